"""Inbox: the door for everything a platform tells us. What returns from here is committed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import assert_never

from bot.domain.events import (
    Author,
    ChannelGone,
    Event,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    ResetRequested,
    StatusRequested,
    StopRequested,
    Thread,
    Uninstalled,
)
from bot.domain.preferences import Preferences
from bot.domain.sessions import EditOutcome, IdleLimits, Kept, OpenSession, ResetOutcome, StopOutcome
from bot.store import edits, erasure, export, status_requests
from bot.store import inbox as accepted
from bot.store import preferences as preference_rows
from bot.store import sessions as session_rows
from bot.store.engine import Store
from bot.store.erasure import Scope
from bot.store.leases import Owed
from bot.turns.adapter import Asked
from bot.turns.failed_deliveries import FailedDeliveries
from bot.turns.worker import Worker

log = logging.getLogger(__name__)

LISTED_SESSIONS = 50
EXPORTED_MESSAGES = 10_000


class Inbox:
    """Stores what happened, then has the worker see to it. Each method may raise StoreUnavailable."""

    def __init__(
        self,
        store: Store,
        worker: Worker,
        refusals: FailedDeliveries,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        idle: IdleLimits,
    ) -> None:
        self._store = store
        self._worker = worker
        self._refusals = refusals
        self._clock = clock
        self._new_id = new_id
        self._idle = idle

    async def accept(self, event: Event) -> bool:
        """Store the event; False when it is none of ours or known already."""
        taken: Awaitable[bool]
        match event:
            case MessageReceived():
                taken = self._accept_message(event)
            case ResetRequested():
                taken = self._accept_reset(event)
            case StatusRequested():
                taken = self._accept_status(event)
            case StopRequested():
                taken = self._accept_stop(event)
            case MessageEdited():
                taken = self._accept_edit(event)
            case MessageDeleted():
                taken = self._accept_deletion(event)
            case ChannelGone() | Uninstalled():
                taken = self._leave(event)
            case _:
                assert_never(event)
        return await taken

    def refused(self) -> None:
        """Count something that was not taken in, and that the platform was left to deliver again."""
        self._refusals.add()

    async def _accept_message(self, message: MessageReceived) -> bool:
        idle_after = self._idle.of(message.thread.channel)
        thread_id = await self._store.run_urgent(
            accepted.accept, message, now=self._clock(), new_id=self._new_id(), idle_after=idle_after
        )
        if thread_id is not None:
            self._wake(thread_id, message, waits=True)
        return thread_id is not None

    async def _accept_reset(self, asked: ResetRequested) -> bool:
        outcome, thread_id = await self._store.run_urgent(
            accepted.accept_reset, asked, now=self._clock(), new_id=self._new_id()
        )
        if thread_id is None:
            return False
        if outcome is ResetOutcome.DONE:
            await self._worker.poll_interruptions()
        self._wake(thread_id, asked)
        return True

    async def _accept_status(self, asked: StatusRequested) -> bool:
        thread_id = await self._store.run_urgent(status_requests.accept, asked, now=self._clock())
        if thread_id is not None:
            self._wake(thread_id, asked)
        return thread_id is not None

    async def _accept_stop(self, asked: StopRequested) -> bool:
        outcome, thread_id = await self._store.run_urgent(accepted.accept_stop, asked, now=self._clock())
        if thread_id is None:
            return False
        if outcome is StopOutcome.STOPPED:
            await self._worker.poll_interruptions()
        self._wake(thread_id, asked)
        return True

    async def _accept_edit(self, edited: MessageEdited) -> bool:
        idle_after = self._idle.of(edited.message.thread.channel)
        outcome, thread_id = await self._store.run_urgent(
            edits.accept_edit, edited, now=self._clock(), new_id=self._new_id(), idle_after=idle_after
        )
        if thread_id is not None:
            self._wake(thread_id, edited.message, waits=True)
        if outcome is EditOutcome.ANEW:
            await self._worker.poll_interruptions()
        return outcome is not EditOutcome.NOTHING

    async def _accept_deletion(self, deleted: MessageDeleted) -> bool:
        ends_an_answer = await self._store.run_urgent(edits.accept_deletion, deleted, now=self._clock())
        if ends_an_answer:
            await self._worker.poll_interruptions()
        return ends_an_answer

    async def _leave(self, gone: ChannelGone | Uninstalled) -> bool:
        await self._store.run_urgent(erasure.leave, gone, now=self._clock())
        await self._worker.poll_interruptions()
        return True

    async def reset(self, thread: Thread, author: Author) -> ResetOutcome:
        """Reset this thread's session, for somebody who took part in it."""
        outcome = await self._store.run_urgent(accepted.reset, thread, author, now=self._clock())
        if outcome is ResetOutcome.DONE:
            await self._worker.poll_interruptions()
        return outcome

    async def reset_session(self, session_id: str, author: Author) -> ResetOutcome:
        """Reset this session, if it is still open and the person took part in it."""
        thread = await self._store.run_urgent(session_rows.thread_of, session_id)
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
        return await self._store.run_urgent(session_rows.count_for, platform, workspace, author.id, channel=channel)

    async def open_sessions(self, platform: str, workspace: str, channel: str, author: Author) -> list[OpenSession]:
        """The open sessions the person took part in there, newest activity first; at most LISTED_SESSIONS."""
        return await self._store.run_urgent(
            session_rows.open_for, platform, workspace, author.id, channel=channel, limit=LISTED_SESSIONS
        )

    async def preferences(self, platform: str, workspace: str, user_id: str) -> Preferences:
        """What this person asked us to keep in mind."""
        return await self._store.run_urgent(preference_rows.of_person, platform, workspace, user_id)

    async def set_preferences(
        self, platform: str, workspace: str, user_id: str, wishes: Mapping[str, object]
    ) -> Preferences:
        """Take in what this person wishes; what they ask for now. Raises PreferencesRefused."""
        change = preference_rows.change
        return await self._store.run_urgent(change, platform, workspace, user_id, wishes, now=self._clock())

    async def forget(self, platform: str, workspace: str, author: Author) -> int:
        """Erase what the person wrote in a workspace, and the answers to it; how many messages."""
        scope, total = Scope(platform, workspace, person=author.id), 0
        while erased := await self._store.run(erasure.erase, scope, now=self._clock()):
            total += erased
            await self._worker.poll_interruptions()
        log.info("somebody was forgotten", extra={"place": f"{platform}/{workspace}", "count": total})
        return total

    async def export(self, platform: str, workspace: str, author: Author) -> Kept:
        """What is kept of what the person wrote in a workspace: the newest EXPORTED_MESSAGES, oldest first."""
        return await self._store.run(export.of_person, platform, workspace, author.id, limit=EXPORTED_MESSAGES)

    def _wake(
        self,
        thread_id: int,
        event: MessageReceived | ResetRequested | StatusRequested | StopRequested,
        *,
        waits: bool = False,
    ) -> None:
        owed = Owed(thread_id, event.thread.workspace, event.author.id)
        asked = Asked(event.thread, event.author, event.message_id or event.thread.root) if waits else None
        self._worker.wake(owed, asked, brief=not waits)
