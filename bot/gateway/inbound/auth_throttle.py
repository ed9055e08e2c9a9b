"""The throttle for refused requests: each failure under a name delays the next error response to it.

The name is the address of a client without a key, or a key that is no longer valid or over a limit.
Rule: pure, in bounded memory. An accepted request is never delayed, because many people may share one address.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

FIRST_DELAY_S, MAX_DELAY_S = 0.1, 5.0  # the delay doubles with each failure
FORGET_AFTER = timedelta(minutes=10)
MAX_NAMES = 10_000


class AuthThrottle:
    """Counts failures by name."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, datetime]] = OrderedDict()  # the latest last

    def record_failure(self, name: str, now: datetime) -> float:
        """Count a failure under this name, and return how many seconds to delay its error response."""
        count, last = self._failures.pop(name, (0, now))
        count = 1 if now - last > FORGET_AFTER else count + 1
        self._failures[name] = count, now
        if len(self._failures) > MAX_NAMES:
            self._failures.popitem(last=False)
        return min(FIRST_DELAY_S * 2.0 ** min(count - 1, 10), MAX_DELAY_S)
