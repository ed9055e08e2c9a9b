"""The count of deliveries that this process could not store, until the database is there to keep the count."""

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
        self._counted: Counter[datetime] = Counter()  # by the hour

    @property
    def not_kept(self) -> int:
        """How many are not in the database yet."""
        return self._counted.total()

    def add(self) -> None:
        """Count one."""
        self._counted[metrics.hour_of(self._clock())] += 1

    async def keep(self) -> None:
        """Store the count. Raises StoreUnavailable; then it stays here."""
        if not self._counted:
            return
        counted, self._counted = self._counted, Counter()
        try:
            await self._store.run(metrics.add_failed_deliveries, counted, now=self._clock())
        except StoreUnavailable:
            self._counted.update(counted)
            raise
