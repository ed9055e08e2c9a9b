"""The statuses of messages that wait in this process's queue: shown, renewed while they wait, and ended.

Rule: best effort, and never in the way of a turn. Each call to the platform is a task of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter

from bot.turns.adapter import AnswerTarget
from bot.turns.handler import TurnHandler

RENEW_AFTER = timedelta(seconds=90)  # Slack ends a status after two minutes
RENEWED_AT_ONCE = 20  # at each poll: Slack limits their rate


@dataclass(slots=True)
class _Waiting:
    """A message that waits, since when, and when its status was shown last."""

    target: AnswerTarget
    since: datetime
    shown_at: datetime


class WaitingStatuses:
    """Where the status says that a message waits, by thread."""

    def __init__(self, handler: TurnHandler, clock: Callable[[], datetime]) -> None:
        self._handler = handler
        self._clock = clock
        self._waiting: dict[int, _Waiting] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def tasks(self) -> Iterable[asyncio.Task[None]]:
        """The calls to the platform that are under way."""
        return self._tasks

    def show(self, thread_id: int, target: AnswerTarget, *, queued: bool) -> None:
        """Show that this message waits. If it is `queued` here, the status is renewed until it is forgotten."""
        if queued:
            self._waiting[thread_id] = _Waiting(target, now := self._clock(), now)
        self._call(target, timedelta())

    def renew(self) -> None:
        """Renew the statuses that the platform would end soon, a few at a time, the oldest first."""
        now = self._clock()
        due = [each for each in self._waiting.values() if now - each.shown_at >= RENEW_AFTER]
        for waiting in sorted(due, key=attrgetter("shown_at"))[:RENEWED_AT_ONCE]:
            waiting.shown_at = now
            self._call(waiting.target, now - waiting.since)

    def forget(self, thread_id: int) -> None:
        """Renew the thread's status no more, because its answer begins and ends it."""
        self._waiting.pop(thread_id, None)

    async def end(self, thread_id: int) -> None:
        """End the thread's status, if there is one, because no answer will end it."""
        if (waiting := self._waiting.pop(thread_id, None)) is not None:
            await self._handler.end_waiting(waiting.target)

    def _call(self, target: AnswerTarget, waited: timedelta) -> None:
        showing = asyncio.create_task(self._handler.show_waiting(target, waited))
        self._tasks.add(showing)
        showing.add_done_callback(self._tasks.discard)
