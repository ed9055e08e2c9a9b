"""The inbox accepts every event of a platform. An event is committed when `accept` returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, assert_never

from bot.access.redaction import Redactor
from bot.domain.events import (
    ChannelGone,
    ChannelMoved,
    Event,
    FileDeleted,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    QuietRequested,
    ResetRequested,
    StatusRequested,
    StopRequested,
    Uninstalled,
)
from bot.domain.listening import ThreadAnswers
from bot.domain.sessions import EditOutcome, IdleLimits, ResetOutcome, StopOutcome
from bot.errors import StoreUnavailable
from bot.metrics import EVENTS
from bot.store import edits, erasure, inbox, listening, moved_channels, status_requests
from bot.store.engine import Store
from bot.store.leases import QueueEntry
from bot.store.message_rows import Written
from bot.turns.adapter import AnswerTarget
from bot.turns.failed_deliveries import FailedDeliveries
from bot.turns.worker import Worker


class Inbox:
    """Stores events, then wakes the worker or ends running turns. Each method may raise StoreUnavailable."""

    def __init__(
        self,
        store: Store,
        worker: Worker,
        failed_deliveries: FailedDeliveries,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        idle: IdleLimits,
        redactor: Redactor,
        answers: ThreadAnswers = ThreadAnswers.ALL,
    ) -> None:
        """`answers`: whose messages in a thread are answered without a mention."""
        self._store = store
        self._worker = worker
        self._leases = worker.leases
        self._failed_deliveries = failed_deliveries
        self._clock = clock
        self._new_id = new_id
        self._idle = idle
        self._redactor = redactor
        self._answers = answers

    async def accept(self, event: Event) -> bool:
        """Store the event without secrets; False when the bot has nothing to do with it, or stored it before."""
        kind = type(event).__name__
        try:
            accepted = await self._accept(self._redactor.event(event))
        except StoreUnavailable:
            EVENTS.labels(kind, "failed").inc()
            raise
        EVENTS.labels(kind, "accepted" if accepted else "ignored").inc()
        return accepted

    def _accept(self, event: Event) -> Awaitable[bool]:
        accepting: Awaitable[bool]
        match event:
            case MessageReceived():
                accepting = self._accept_message(event)
            case ResetRequested():
                accepting = self._accept_reset(event)
            case StatusRequested() | QuietRequested():
                accepting = self._accept_request(event)
            case StopRequested():
                accepting = self._accept_stop(event)
            case MessageEdited():
                accepting = self._accept_edit(event)
            case MessageDeleted():
                accepting = self._accept_deletion(event)
            case FileDeleted():
                accepting = self._accept_file_deletion(event)
            case ChannelMoved():
                accepting = self._move(event)
            case ChannelGone() | Uninstalled():
                accepting = self._leave(event)
            case _:
                assert_never(event)
        return accepting

    def count_failed_delivery(self) -> None:
        """Count an event that was not stored, so that the platform delivers it again."""
        self._failed_deliveries.add()

    async def _accept_message(self, message: MessageReceived) -> bool:
        thread_id = await self._store.run_urgent(inbox.accept, message, **self._how(message))
        if thread_id is not None:
            self._wake(thread_id, message, waits=True)
        return thread_id is not None

    async def _accept_reset(self, event: ResetRequested) -> bool:
        outcome, thread_id = await self._store.run_urgent(
            inbox.accept_reset, event, now=self._clock(), new_id=self._new_id()
        )
        if thread_id is None:
            return False
        if outcome is ResetOutcome.DONE:
            await self._leases.poll_interruptions()
        self._wake(thread_id, event)
        return True

    async def _accept_request(self, event: StatusRequested | QuietRequested) -> bool:
        if isinstance(event, StatusRequested):
            thread_id = await self._store.run_urgent(status_requests.accept, event, now=self._clock())
        else:
            thread_id = await self._store.run_urgent(listening.accept, event, now=self._clock())
        if thread_id is not None:
            self._wake(thread_id, event)
        return thread_id is not None

    async def _accept_stop(self, event: StopRequested) -> bool:
        outcome, thread_id = await self._store.run_urgent(inbox.accept_stop, event, now=self._clock())
        if thread_id is None:
            return False
        if outcome is StopOutcome.STOPPED:
            await self._leases.poll_interruptions()
        self._wake(thread_id, event)
        return True

    async def _accept_edit(self, edited: MessageEdited) -> bool:
        outcome, thread_id = await self._store.run_urgent(edits.accept_edit, edited, **self._how(edited.message))
        if thread_id is not None:
            self._wake(thread_id, edited.message, waits=True)
        if outcome is EditOutcome.ANEW:
            await self._leases.poll_interruptions()
        return outcome is not EditOutcome.NOTHING

    async def _accept_deletion(self, deleted: MessageDeleted) -> bool:
        ends_an_answer = await self._store.run_urgent(edits.accept_deletion, deleted, now=self._clock())
        if ends_an_answer:
            await self._leases.poll_interruptions()
        return ends_an_answer

    async def _accept_file_deletion(self, deleted: FileDeleted) -> bool:
        restarts_an_answer = await self._store.run_urgent(edits.accept_file_deletion, deleted)
        if restarts_an_answer:
            await self._leases.poll_interruptions()
        return restarts_an_answer

    async def _leave(self, gone: ChannelGone | Uninstalled) -> bool:
        after: int | None = 0
        while after is not None:
            after = await self._store.run_urgent(erasure.leave, gone, now=self._clock(), after=after)
            await self._leases.poll_interruptions()
        return True

    async def _move(self, moved: ChannelMoved) -> bool:
        while await self._store.run_urgent(moved_channels.move, moved):
            pass
        await self._leases.poll_interruptions()
        return await self._leave(ChannelGone(moved.platform, moved.workspace, moved.channel))

    def _how(self, message: MessageReceived) -> dict[str, Any]:
        """Return the time, the id of a session that the message may open, and the rules of its place."""
        idle_after = self._idle.of(message.thread.channel)
        return {"now": self._clock(), "new_id": self._new_id(), "idle_after": idle_after, "answers": self._answers}

    def _wake(
        self,
        thread_id: int,
        event: Written,
        *,
        waits: bool = False,
    ) -> None:
        entry = QueueEntry(thread_id, event.thread.workspace, event.author.id)
        target = AnswerTarget(event.thread, event.author, event.message_id or event.thread.root) if waits else None
        self._worker.wake(entry, target, brief=not waits)
