"""A probe of the event loop: the CPU time of its longest pass. Other load on the machine does not count."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager


class LoopProbe:
    """Measures the passes of the loop while it runs."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self._loop = asyncio.get_running_loop()
        self._began = time.thread_time()
        self._next = self._loop.call_soon(self._measure)

    def stop(self) -> None:
        """End the measurement."""
        self._next.cancel()

    def _measure(self) -> None:
        now = time.thread_time()
        self.longest_ms = max(self.longest_ms, (now - self._began) * 1_000)
        self._began = now
        self._next = self._loop.call_soon(self._measure)


@contextmanager
def loop_probe() -> Iterator[LoopProbe]:
    """Measure the passes during the block.

    Garbage collection looks at the objects of the block alone, as in the bot, which freezes those of its start:
    a walk through everything that the suite keeps takes up to a second.
    """
    gc.freeze()
    probe = LoopProbe()
    try:
        yield probe
    finally:
        probe.stop()
        gc.unfreeze()
