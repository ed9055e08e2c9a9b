"""Upkeep: what operators ask of the database, beside a running bot or without one."""

from __future__ import annotations

from collections.abc import Callable

from bot.config.settings import Settings
from bot.domain.sessions import OpenSession
from bot.errors import AttendantError
from bot.services import open_store, utc_now
from bot.store import erasure
from bot.store import sessions as session_rows
from bot.store.erasure import Erasable, Scope
from bot.store.metrics import WorkMetrics, figures

SCRUB_PATIENCE_S = 15.0  # for a running bot that is in the way


async def open_sessions(settings: Settings, limit: int) -> list[OpenSession]:
    """The open sessions of everybody, newest activity first."""
    async with open_store(settings, there=True) as store:
        return await store.run(session_rows.newest, limit=limit)


async def status(settings: Settings) -> WorkMetrics:
    """What is owed, what runs and what became of the turns of the last day, in all replicas together."""
    async with open_store(settings, there=True) as store:
        return await store.run(figures, now=utc_now())


async def erase(
    settings: Settings, scope: Scope, *, confirmed: Callable[[Erasable], bool], patience_s: float = SCRUB_PATIENCE_S
) -> int | None:
    """Erase what people wrote, as far as it is in scope; how many messages, or None when it was not confirmed.

    Raises AttendantError when a running bot keeps the file busy for so long that words may be left in it.
    """
    async with open_store(settings) as store:
        if not confirmed(await store.run(erasure.count, scope)):
            return None
        total = 0
        while erased := await store.run(erasure.erase, scope, now=utc_now()):
            total += erased
        if not await store.vacuum_now(lock_timeout_s=patience_s):
            raise AttendantError(
                f"Erased {total} messages, but the database's file could not be written anew: another process is busy "
                "with it, and their words may still be found in its bytes. Run the same command again."
            )
        return total
