"""Forewarning: a thread is told, once in an idle time, that its session will expire.

Rule: it is no activity of the session, and nothing hangs on it: what could not be said is tried again while there is
time, and the session expires when it would have.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from bot.domain import texts
from bot.domain.sessions import Expiring, IdleLimits
from bot.errors import PlatformError, PlatformUnavailable
from bot.store import sessions as session_rows
from bot.store.engine import Store
from bot.turns.adapter import Adapter

log = logging.getLogger(__name__)

BATCH = 50  # sessions that one replica takes on at a time


class ExpiryWarnings:
    """Warns in the threads of these adapters."""

    def __init__(
        self,
        store: Store,
        adapters: Sequence[Adapter],
        *,
        clock: Callable[[], datetime],
        idle: IdleLimits,
        ahead: timedelta,
    ) -> None:
        """`ahead`: how long before the expiry the line is said."""
        self._store = store
        self._adapters = {(adapter.platform, adapter.workspace): adapter for adapter in adapters}
        self._clock = clock
        self._idle = idle
        self._ahead = ahead

    async def warn(self) -> int:
        """Warn wherever it is time to; how many threads were told."""
        total = 0
        while due := await self._due():
            for number, expiring in enumerate(due):
                try:
                    total += await self._tell(expiring)
                except PlatformUnavailable as error:
                    log.warning("%s; nobody was warned of an expiry", error)
                    await self._store.run(session_rows.unwarn, due[number:])
                    return total
        if total:
            log.info("threads warned of their expiry", extra={"count": total})
        return total

    async def _due(self) -> list[Expiring]:
        return await self._store.run(
            session_rows.forewarn,
            list(self._adapters),
            now=self._clock(),
            idle=self._idle,
            ahead=self._ahead,
            batch=BATCH,
        )

    async def _tell(self, expiring: Expiring) -> bool:
        left, thread = expiring.expires_at - self._clock(), expiring.thread
        if left <= timedelta() or not await self._store.run(session_rows.is_warned, expiring):
            return False
        try:
            await self._adapters[thread.platform, thread.workspace].notify(thread, texts.expires_soon(left))
        except PlatformError as error:
            log.warning("a thread was not warned of its expiry: %s", error, extra={"place": str(thread)})
            return False
        return True
