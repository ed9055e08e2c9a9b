"""Inbox: what was accepted is stored before anybody is told so. Worker: one thread at a time, many threads at once.

Rule: a thread's next turn starts only when its last one is settled, and whoever accepts a message tries at once to
answer it; what others left behind is found by looking, every few seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import assert_never

from bot.attendant import Attendant
from bot.errors import StoreUnavailable
from bot.events import Author, Event, MessageReceived, ResetRequested, Thread
from bot.responder import Answer
from bot.sessions import OpenSession, ResetOutcome
from bot.store import claims
from bot.store import inbox as accepted
from bot.store import sessions as session_rows
from bot.store.claims import Claim
from bot.store.engine import Store

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
RENEW_EVERY_S = 15.0  # well inside the lease
LOOK_EVERY_S = 5.0
FOUND_AT_ONCE = 200  # threads that one look takes up
RENEWED_AT_ONCE = 1_000  # leases in one statement: databases bound its parameters
LISTED_SESSIONS = 50


class Worker:
    """Claims threads that are owed an answer, and has them answered; at most `max_running` at once."""

    def __init__(
        self, store: Store, attendant: Attendant, *, owner: str, clock: Callable[[], datetime], max_running: int
    ) -> None:
        """`owner` names this process in its leases; no two processes share one."""
        self._store = store
        self._attendant = attendant
        self._owner = owner
        self._clock = clock
        self._slots = asyncio.Semaphore(max_running)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._woken: set[int] = set()
        self._answers: dict[int, Answer | None] = {}  # of the claimed threads; None: not begun yet
        self._abandoned: set[int] = set()
        self._stopping = False

    def wake(self, thread_id: int) -> None:
        """This thread is owed an answer: take it up now, or right after what runs there."""
        self._woken.add(thread_id)
        if thread_id not in self._tasks and not self._stopping:
            self._tasks[thread_id] = asyncio.create_task(self._work(thread_id))

    def abandon(self, thread_id: int) -> None:
        """The session of what runs in this thread was closed: end the answer, also one that has not begun yet."""
        if thread_id in self._answers:
            self._abandoned.add(thread_id)
        if (answer := self._answers.get(thread_id)) is not None:
            answer.abandon()

    async def look(self) -> None:
        """Take up what others left behind."""
        platforms = self._attendant.platforms
        for thread_id in await self._store.run(claims.owed, platforms, now=self._clock(), limit=FOUND_AT_ONCE):
            self.wake(thread_id)

    async def renew(self) -> None:
        """Prolong the leases of what runs here."""
        claimed = list(self._answers)
        for start in range(0, len(claimed), RENEWED_AT_ONCE):
            now = self._clock()
            some = claimed[start : start + RENEWED_AT_ONCE]
            await self._store.run(claims.renew, self._owner, some, now=now, lease_until=now + LEASE)

    async def idle(self) -> None:
        """Return when nothing runs here."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks.values()))

    async def stop(self, drain_seconds: float) -> None:
        """Take up nothing more; let what runs finish for so long, then hand it back."""
        self._stopping = True
        self._woken.clear()
        tasks = list(self._tasks.values())
        if tasks:
            _, unfinished = await asyncio.wait(tasks, timeout=drain_seconds)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)

    async def _work(self, thread_id: int) -> None:
        try:
            async with self._slots:
                while thread_id in self._woken:
                    self._woken.discard(thread_id)
                    while not self._stopping and (claim := await self._claim(thread_id)) is not None:
                        await self._answer(claim)
        except StoreUnavailable as error:
            log.error("the database did not answer (%s); the thread will be taken up again", error)  # noqa: TRY400
        except Exception:
            log.exception("a turn broke; the thread will be taken up again")
        finally:
            del self._tasks[thread_id]

    async def _claim(self, thread_id: int) -> Claim | None:
        now = self._clock()
        return await self._store.run(claims.claim, thread_id, owner=self._owner, now=now, lease_until=now + LEASE)

    async def _answer(self, claim: Claim) -> None:
        def started(answer: Answer) -> None:
            self._answers[claim.thread_id] = answer
            if claim.thread_id in self._abandoned:
                answer.abandon()

        self._answers[claim.thread_id] = None
        try:
            await self._attendant.answer(claim, started)
        except BaseException:
            await self._store.run(claims.hand_back, claim)  # so that nobody waits for the lease to run out
            raise
        finally:
            del self._answers[claim.thread_id]
            self._abandoned.discard(claim.thread_id)


class Inbox:
    """The door for everything a platform tells us. What returns from here is committed."""

    def __init__(
        self,
        store: Store,
        worker: Worker,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        idle_after: timedelta,
    ) -> None:
        self._store = store
        self._worker = worker
        self._clock = clock
        self._new_id = new_id
        self._idle_after = idle_after

    async def accept(self, event: Event) -> bool:
        """Store the event; False when it is none of ours or known already. Raises StoreUnavailable."""
        match event:
            case MessageReceived():
                thread_id = await self._accept_message(event)
            case ResetRequested():
                thread_id = await self._accept_reset(event)
            case _:
                assert_never(event)
        if thread_id is None:
            return False
        self._worker.wake(thread_id)
        return True

    async def _accept_message(self, message: MessageReceived) -> int | None:
        return await self._store.run(
            accepted.accept, message, now=self._clock(), new_id=self._new_id(), idle_after=self._idle_after
        )

    async def _accept_reset(self, asked: ResetRequested) -> int | None:
        outcome, thread_id = await self._store.run(accepted.accept_reset, asked, now=self._clock())
        if outcome is ResetOutcome.DONE and thread_id is not None:
            self._worker.abandon(thread_id)
        return thread_id

    async def reset(self, thread: Thread, author: Author) -> ResetOutcome:
        """Reset this thread's session, for somebody who took part in it. Raises StoreUnavailable."""
        outcome, thread_id = await self._store.run(accepted.reset, thread, author, now=self._clock())
        if outcome is ResetOutcome.DONE and thread_id is not None:
            self._worker.abandon(thread_id)
        return outcome

    async def reset_session(self, session_id: str, author: Author) -> ResetOutcome:
        """Reset this session, if it is still open and the person took part in it."""
        thread = await self._store.run(session_rows.thread_of, session_id)
        return await self.reset(thread, author) if thread is not None else ResetOutcome.NOTHING

    async def reset_all(self, platform: str, workspace: str, channel: str, author: Author) -> int:
        """Reset the person's open sessions in a channel; how many."""
        found = await self.open_sessions(platform, workspace, channel, author)
        outcomes = [await self.reset(session.thread, author) for session in found]
        return outcomes.count(ResetOutcome.DONE)

    async def open_sessions(self, platform: str, workspace: str, channel: str, author: Author) -> list[OpenSession]:
        """The open sessions the person took part in there, newest activity first; at most LISTED_SESSIONS."""
        return await self._store.run(
            session_rows.open_for, platform, workspace, author.id, channel=channel, limit=LISTED_SESSIONS
        )
