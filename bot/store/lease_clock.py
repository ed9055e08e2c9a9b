"""The clock by which a process measures how long its own leases last.

Rule: it never falls behind the clocks of other processes. The monotonic clock stands still while a machine is
suspended, and others may take the leases over meanwhile. CLOCK_BOOTTIME goes on (man 2 clock_gettime). The wall clock
decides about leases on SQLite, so it counts too, when it is set forward.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class LeaseClock:
    """A clock that advances by as much as the fastest of its sources, and never goes back. Its zero means nothing."""

    def __init__(self, *sources: Callable[[], float]) -> None:
        """`sources` are clocks, in seconds."""
        self._sources = sources or (_since_boot, time.time)
        self._last = [source() for source in self._sources]
        self._now = 0.0
        self._lock = threading.Lock()  # the process's lock is watched in a thread of its own

    def __call__(self) -> float:
        """Return the time in seconds."""
        with self._lock:
            present = [source() for source in self._sources]
            self._now += max(0.0, *(now - last for now, last in zip(present, self._last, strict=True)))
            self._last = present
            return self._now


now = LeaseClock()
