"""The limit of the requests that one key may run at once.

Rule: a request counts from its admission until the client has read the response. So it counts while its body arrives,
while it waits for its session, and while the client reads slowly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from bot.gateway.outbound.errors import too_many_running


class RunningRequests:
    """Counts the running requests of each key."""

    def __init__(self, most: int) -> None:
        """`most`: of one key."""
        self._most = most
        self._by_key: Counter[str] = Counter()

    @contextmanager
    def admit(self, key_id: str) -> Iterator[None]:
        """Count a request while the block runs. Raises ApiError when the key runs too many already."""
        if self._by_key[key_id] >= self._most:
            raise too_many_running(self._most)
        self._by_key[key_id] += 1
        try:
            yield
        finally:
            self._by_key -= Counter([key_id])  # also removes a key whose count is zero
