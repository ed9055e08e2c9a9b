"""Expiry warnings: one message in a thread, some time before its session expires.

Rule: a warning is not an activity, so the session expires when it would have. A warning that could not be posted is
retried until then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from bot.domain import session_texts
from bot.domain.language import speaking
from bot.domain.sessions import ExpiringSession, IdleLimits
from bot.errors import PlatformError, PlatformUnavailable
from bot.store import session_owners, sessions
from bot.store.engine import Store
from bot.turns.adapter import Adapter
from bot.turns.reader_languages import ReaderLanguages

log = logging.getLogger(__name__)

BATCH = 50  # sessions that one replica claims at a time


class ExpiryWarnings:
    """Posts the warnings in the threads of some adapters."""

    def __init__(
        self,
        store: Store,
        adapters: Sequence[Adapter],
        *,
        clock: Callable[[], datetime],
        idle: IdleLimits,
        ahead: timedelta,
    ) -> None:
        """`ahead` is the time between the warning and the expiry."""
        self._store = store
        self._adapters = {(adapter.platform, adapter.workspace): adapter for adapter in adapters}
        self._languages = ReaderLanguages(store, {adapter.platform: adapter for adapter in adapters})
        self._clock = clock
        self._idle = idle
        self._ahead = ahead

    async def warn(self) -> int:
        """Post every warning that is due, and return how many."""
        total = 0
        while due := await self._due():
            for number, expiring in enumerate(due):
                try:
                    total += await self._post(expiring)
                except PlatformUnavailable as error:
                    log.warning("expiry_warnings_postponed", extra={"error": str(error)})
                    await self._store.run(sessions.release_expiry_warnings, due[number:])
                    return total
        if total:
            log.info("expiry_warnings_posted", extra={"count": total})
        return total

    async def _due(self) -> list[ExpiringSession]:
        return await self._store.run(
            sessions.claim_expiry_warnings,
            list(self._adapters),
            now=self._clock(),
            idle=self._idle,
            ahead=self._ahead,
            batch=BATCH,
        )

    async def _post(self, expiring: ExpiringSession) -> bool:
        remaining, thread = expiring.expires_at - self._clock(), expiring.thread
        if remaining <= timedelta() or not await self._store.run(sessions.is_warned, expiring):
            return False
        try:
            with speaking(await self._language(expiring)):
                line = session_texts.expires_soon(remaining)
            await self._adapters[thread.platform, thread.workspace].notify(thread, line)
        except PlatformError as error:
            log.warning("expiry_warning_refused", extra={"place": str(thread), "error": str(error)})
            return False
        return True

    async def _language(self, expiring: ExpiringSession) -> str:
        """Return the language of the person who asked last."""
        asker = await self._store.run(session_owners.last_asker, expiring.id)
        return await self._languages.find(expiring.thread.platform, expiring.thread.workspace, asker)
