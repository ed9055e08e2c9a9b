"""Brake: slows down whoever presents wrong keys, by address, in bounded memory.

Rule: pure. A right key is never slowed, for many people may share one address.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

FIRST_S, MOST_S = 0.1, 5.0  # a refusal is held back so long, doubling with each
FORGOTTEN_AFTER = timedelta(minutes=10)
REMEMBERED = 10_000  # addresses


class AuthThrottle:
    """Counts failed attempts."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, datetime]] = OrderedDict()  # the latest last

    def failed(self, address: str, now: datetime) -> float:
        """One more failed attempt from there: for how many seconds to hold its refusal back."""
        count, last = self._failures.pop(address, (0, now))
        count = 1 if now - last > FORGOTTEN_AFTER else count + 1
        self._failures[address] = count, now
        if len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)
        return min(FIRST_S * 2.0 ** min(count - 1, 10), MOST_S)
