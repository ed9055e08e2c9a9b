"""The sessions of callers over HTTP and in Python: find, describe and reset them. Their texts are not returned."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bot.domain.events import Thread
from bot.domain.sessions import IdleLimits, Memory, OpenSession, ResetOutcome, is_idle
from bot.store import chat_turns, threads
from bot.store.chat_turns import ChatClaim
from bot.store.engine import Store
from bot.turns.caller_places import CallerPlaces
from bot.turns.open_sessions import OpenSessions
from bot.turns.service import TurnService


class ChatSessions:
    """Describes the session in a thread, and resets it. Each method may raise StoreUnavailable."""

    def __init__(
        self,
        store: Store,
        turns: TurnService[ChatClaim],
        open_sessions: OpenSessions,
        *,
        clock: Callable[[], datetime],
        idle: IdleLimits,
        places: CallerPlaces,
    ) -> None:
        self.places = places
        self._store = store
        self._turns = turns
        self._open_sessions = open_sessions
        self._clock = clock
        self._idle = idle

    async def make(self, thread: Thread) -> None:
        """Store a thread for a session, so that it is known."""
        await self._store.run(threads.ensure, thread)

    async def knows(self, thread: Thread) -> bool:
        """Return whether there is, or was, a session in this thread."""
        return await self._store.run(threads.find, thread) is not None

    async def find(self, thread: Thread) -> OpenSession | None:
        """Return the thread's open session, unless it has been idle for too long."""
        session, idle_after = await self._store.run(chat_turns.find, thread), self._idle.of(thread.channel)
        idle = session is not None and is_idle(session.last_active_at, now=self._clock(), idle_after=idle_after)
        return None if idle else session

    async def memory(self, thread: Thread) -> Memory | None:
        """Return the figures of the thread's memory; None when there is none."""
        return await self._turns.memory(await self._store.run(chat_turns.find, thread))

    async def reset(self, thread: Thread) -> ResetOutcome:
        """Reset the thread's session. A session that has been idle for too long counts as expired already."""
        if await self.find(thread) is None:
            return ResetOutcome.NOTHING
        return await self._open_sessions.reset(thread, chat_turns.speaker(thread))
