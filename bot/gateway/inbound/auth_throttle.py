"""The throttle for wrong keys: each failure from an address delays the next error response to it.

Rule: pure, in bounded memory. A valid key is never delayed, because many people may share one address.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

FIRST_DELAY_S, MAX_DELAY_S = 0.1, 5.0  # the delay doubles with each failure
FORGET_AFTER = timedelta(minutes=10)
MAX_ADDRESSES = 10_000


class AuthThrottle:
    """Counts failures by address."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, datetime]] = OrderedDict()  # the latest last

    def record_failure(self, address: str, now: datetime) -> float:
        """Count a failure from this address, and return how many seconds to delay its error response."""
        count, last = self._failures.pop(address, (0, now))
        count = 1 if now - last > FORGET_AFTER else count + 1
        self._failures[address] = count, now
        if len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)
        return min(FIRST_DELAY_S * 2.0 ** min(count - 1, 10), MAX_DELAY_S)
