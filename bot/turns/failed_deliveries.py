"""The count of deliveries that this process could not store, until the database stores it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from bot.errors import StoreUnavailable
from bot.store import metrics
from bot.store.engine import Store


class FailedDeliveries:
    """Counts the events that the platform has to deliver again."""

    def __init__(self, store: Store, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._counts: Counter[datetime] = Counter()  # by the hour

    @property
    def unsaved(self) -> int:
        """How many are not in the database yet."""
        return self._counts.total()

    def add(self) -> None:
        """Count one."""
        self._counts[metrics.hour_of(self._clock())] += 1

    async def save(self) -> None:
        """Store the count. Raises StoreUnavailable, and then keeps it here."""
        if not self._counts:
            return
        counts, self._counts = self._counts, Counter()
        try:
            await self._store.run(metrics.add_failed_deliveries, counts, now=self._clock())
        except StoreUnavailable:
            self._counts.update(counts)
            raise
