"""Inbox: the door for everything a platform tells us. What returns from here is committed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import assert_never

from bot.adapter import Asked
from bot.events import (
    Author,
    Event,
    MessageDeleted,
    MessageReceived,
    ResetRequested,
    StopRequested,
    Thread,
    Uninstalled,
)
from bot.refusals import Refusals
from bot.sessions import OpenSession, ResetOutcome, StopOutcome
from bot.store import inbox as accepted
from bot.store import sessions as session_rows
from bot.store.engine import Store
from bot.store.leases import Owed
from bot.worker import Worker

LISTED_SESSIONS = 50


class Inbox:
    """Stores what happened, then has the worker see to it. Each method may raise StoreUnavailable."""

    def __init__(
        self,
        store: Store,
        worker: Worker,
        refusals: Refusals,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        idle_after: timedelta,
    ) -> None:
        self._store = store
        self._worker = worker
        self._refusals = refusals
        self._clock = clock
        self._new_id = new_id
        self._idle_after = idle_after

    async def accept(self, event: Event) -> bool:
        """Store the event; False when it is none of ours or known already."""
        match event:
            case MessageReceived():
                return await self._accept_message(event)
            case ResetRequested():
                return await self._accept_reset(event)
            case StopRequested():
                return await self._accept_stop(event)
            case MessageDeleted():
                return await self._accept_deletion(event)
            case Uninstalled():
                return await self._uninstall(event)
            case _:
                assert_never(event)

    def refused(self) -> None:
        """Count something that was not taken in, and that the platform was left to deliver again."""
        self._refusals.add()

    async def _accept_message(self, message: MessageReceived) -> bool:
        thread_id = await self._store.run_first(
            accepted.accept, message, now=self._clock(), new_id=self._new_id(), idle_after=self._idle_after
        )
        if thread_id is not None:
            self._wake(thread_id, message, waits=True)
        return thread_id is not None

    async def _accept_reset(self, asked: ResetRequested) -> bool:
        outcome, thread_id = await self._store.run_first(
            accepted.accept_reset, asked, now=self._clock(), new_id=self._new_id()
        )
        if thread_id is None:
            return False
        if outcome is ResetOutcome.DONE:
            await self._worker.hear()
        self._wake(thread_id, asked)
        return True

    async def _accept_stop(self, asked: StopRequested) -> bool:
        outcome, thread_id = await self._store.run_first(accepted.accept_stop, asked, now=self._clock())
        if thread_id is None:
            return False
        if outcome is StopOutcome.STOPPED:
            await self._worker.hear()
        self._wake(thread_id, asked)
        return True

    async def _accept_deletion(self, deleted: MessageDeleted) -> bool:
        ends_an_answer = await self._store.run_first(accepted.accept_deletion, deleted, now=self._clock())
        if ends_an_answer:
            await self._worker.hear()
        return ends_an_answer

    async def _uninstall(self, gone: Uninstalled) -> bool:
        await self._store.run_first(accepted.uninstall, gone, now=self._clock())
        await self._worker.hear()
        return True

    async def reset(self, thread: Thread, author: Author) -> ResetOutcome:
        """Reset this thread's session, for somebody who took part in it."""
        outcome = await self._store.run_first(accepted.reset, thread, author, now=self._clock())
        if outcome is ResetOutcome.DONE:
            await self._worker.hear()
        return outcome

    async def reset_session(self, session_id: str, author: Author) -> ResetOutcome:
        """Reset this session, if it is still open and the person took part in it."""
        thread = await self._store.run_first(session_rows.thread_of, session_id)
        return await self.reset(thread, author) if thread is not None else ResetOutcome.NOTHING

    async def reset_all(self, platform: str, workspace: str, channel: str, author: Author) -> int:
        """Reset all of the person's open sessions in a channel; how many."""
        total = 0
        while found := await self.open_sessions(platform, workspace, channel, author):
            outcomes = [await self.reset(session.thread, author) for session in found]
            total += outcomes.count(ResetOutcome.DONE)
        return total

    async def count_open(self, platform: str, workspace: str, channel: str, author: Author) -> int:
        """How many open sessions in a channel the person took part in."""
        return await self._store.run_first(session_rows.count_for, platform, workspace, author.id, channel=channel)

    async def open_sessions(self, platform: str, workspace: str, channel: str, author: Author) -> list[OpenSession]:
        """The open sessions the person took part in there, newest activity first; at most LISTED_SESSIONS."""
        return await self._store.run_first(
            session_rows.open_for, platform, workspace, author.id, channel=channel, limit=LISTED_SESSIONS
        )

    def _wake(
        self, thread_id: int, event: MessageReceived | ResetRequested | StopRequested, *, waits: bool = False
    ) -> None:
        owed = Owed(thread_id, event.thread.workspace, event.author.id)
        asked = Asked(event.thread, event.author, event.message_id or event.thread.root) if waits else None
        self._worker.wake(owed, asked, brief=not waits)
