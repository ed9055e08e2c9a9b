"""The open sessions of people and callers: list them, and reset them on request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bot.domain.events import Author, Thread
from bot.domain.sessions import OpenSession, ResetOutcome
from bot.store import inbox, sessions
from bot.store.engine import Store
from bot.turns.leases import LeaseKeeper

LISTED_SESSIONS = 50


class OpenSessions:
    """Lists and resets open sessions. Each method may raise StoreUnavailable."""

    def __init__(self, store: Store, leases: LeaseKeeper, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._leases = leases
        self._clock = clock

    async def count_open(self, platform: str, workspace: str, channel: str, author: Author) -> int:
        """Return how many open sessions of a channel the person took part in."""
        return await self._store.run_urgent(sessions.count_for, platform, workspace, author.id, channel=channel)

    async def open_sessions(self, platform: str, workspace: str, channel: str, author: Author) -> list[OpenSession]:
        """Return at most LISTED_SESSIONS of them, newest activity first."""
        return await self._store.run_urgent(
            sessions.open_for, platform, workspace, author.id, channel=channel, limit=LISTED_SESSIONS
        )

    async def reset(self, thread: Thread, author: Author) -> ResetOutcome:
        """Reset this thread's session, if the person took part in it."""
        outcome = await self._store.run_urgent(inbox.reset, thread, author, now=self._clock())
        if outcome is ResetOutcome.DONE:
            await self._leases.poll_interruptions()
        return outcome

    async def reset_session(self, session_id: str, author: Author) -> ResetOutcome:
        """Reset this session, if it is still open and the person took part in it."""
        thread = await self._store.run_urgent(sessions.thread_of, session_id)
        return await self.reset(thread, author) if thread is not None else ResetOutcome.NOTHING

    async def reset_all(self, platform: str, workspace: str, channel: str, author: Author) -> int:
        """Reset all of the person's open sessions in a channel; return how many."""
        total = 0
        while found := await self.open_sessions(platform, workspace, channel, author):
            outcomes = [await self.reset(session.thread, author) for session in found]
            total += outcomes.count(ResetOutcome.DONE)
        return total
