"""The worker: claims threads with unanswered messages and has them answered; one turn at a time in each thread.

Rule: a thread's next turn starts only when its last one is settled. A process that accepts a message wakes its own
worker at once; a poll finds the threads that other processes left.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from bot.errors import PlatformUnavailable, StoreUnavailable, trace
from bot.store import claims, leases
from bot.store.engine import Store
from bot.store.leases import QueueEntry
from bot.turns.adapter import AnswerTarget
from bot.turns.fair_queue import FairQueue, Limits
from bot.turns.handler import Running, TurnHandler
from bot.turns.leases import LeaseKeeper
from bot.turns.waiting_statuses import WaitingStatuses

log = logging.getLogger(__name__)

POLL_EVERY_S = 1.0
LONGEST_PAUSE_S = 60  # before a turn is retried after its platform was unavailable
LONGEST_RETRY_AFTER_S = 3_600  # if the platform itself names a pause
POLLED_AT_ONCE = 200  # threads
CLAIMS_AT_ONCE = 8  # more would begin turns faster than the loop can follow, and messages come in by the same loop


class Worker:
    """Answers waiting threads within fair limits."""

    def __init__(
        self,
        store: Store,
        handler: TurnHandler,
        lease_keeper: LeaseKeeper,
        *,
        clock: Callable[[], datetime],
        limits: Limits,
    ) -> None:
        self._store = store
        self._handler = handler
        self.leases = lease_keeper
        self._clock = clock
        self._queue = FairQueue(limits)
        self._tasks: dict[int, asyncio.Task[None]] = {}  # by thread
        self._woken: set[int] = set()  # threads in which to look for messages (again)
        self._statuses = WaitingStatuses(handler, clock)
        self._claiming = asyncio.Semaphore(CLAIMS_AT_ONCE)
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """Whether it starts no further turn."""
        return self._stopping

    @property
    def running(self) -> int:
        """How many threads are answered here."""
        return self._queue.running

    @property
    def waiting(self) -> int:
        """How many threads queue here."""
        return self._queue.waiting

    @property
    def places(self) -> list[tuple[str, str]]:
        """The platforms and workspaces that it answers in."""
        return self._handler.places

    def wake(self, entry: QueueEntry, target: AnswerTarget | None = None, *, brief: bool = False) -> None:
        """Answer this thread now, or right after its running turn, or when the queue comes to it.

        If the thread has to wait and `target` is given, its status says so. `brief`: a fixed reply skips the queue.
        """
        if self._stopping:
            return
        if entry.thread_id in self._tasks:
            self._woken.add(entry.thread_id)
            if brief:
                self._handler.refusals.post_in(entry.thread_id)
        elif brief:
            self._queue.admit(entry)
            self._start(entry)
        elif self._queue.enter(entry):
            self._start(entry)
        elif target is not None:
            self._statuses.show(entry.thread_id, target, queued=self._queue.is_waiting(entry))

    async def poll(self) -> None:
        """Wake the threads that other processes left, and renew the statuses of messages that wait here."""
        self._statuses.renew()
        await self._handler.refusals.poll()
        if not (places := self._handler.places):
            return
        for entry in await self._store.run(leases.owed_threads, places, now=self._clock(), limit=POLLED_AT_ONCE):
            self.wake(entry)

    async def idle(self) -> None:
        """Return when nothing runs here."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks.values()))

    async def stop(self, drain_seconds: float) -> None:
        """Start no further turn; let the running turns finish until the timeout, then hand them back."""
        self._stopping = True
        self._woken.clear()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=drain_seconds)
        unfinished = [*self._tasks.values(), *self._statuses.tasks]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)

    def _start(self, entry: QueueEntry) -> None:
        self._woken.add(entry.thread_id)
        self._tasks[entry.thread_id] = asyncio.create_task(self._work(entry))

    async def _work(self, entry: QueueEntry) -> None:
        thread_id, again = entry.thread_id, False
        try:
            again = await self._answer_all(thread_id)
        except StoreUnavailable as error:
            log.error("thread_postponed", extra={"thread_id": thread_id, "error": str(error)})  # noqa: TRY400 - expected
        except Exception as error:  # noqa: BLE001 - other turns go on
            fields = {"thread_id": thread_id, "traceback": trace(error)}
            log.error("turn_broke", extra=fields)  # noqa: TRY400 - the error's text may quote a person
        finally:
            del self._tasks[thread_id]
            self._start_next(self._queue.leave(entry))
            if again or thread_id in self._woken:
                self._woken.discard(thread_id)
                self.wake(entry)

    async def _answer_all(self, thread_id: int) -> bool:
        """Answer the thread until no message waits in it; return whether it stopped because other threads queue."""
        while thread_id in self._woken:
            self._woken.discard(thread_id)
            while (turn := await self._claim(thread_id)) is not None:
                self._statuses.forget(thread_id)
                await self._handle(turn)
                if self._queue.waiting:  # they go first: one busy thread does not delay the others
                    return True
            await self._statuses.end(thread_id)
        return False

    def _start_next(self, entries: Sequence[QueueEntry]) -> None:
        for entry in entries:
            if not self._stopping:
                self._start(entry)

    async def _claim(self, thread_id: int) -> Running | None:
        async with self._claiming:
            if self._stopping:
                return None
            return await self.leases.claim(self._handler.policy, claims.claim, thread_id)

    async def _handle(self, turn: Running) -> None:
        try:
            await self._handler.handle(turn)
        except PlatformUnavailable as error:
            seconds = max(min(2**turn.claim.attempt, LONGEST_PAUSE_S), min(error.seconds, LONGEST_RETRY_AFTER_S))
            log.warning("turn_postponed", extra={**turn.claim.log_fields, "seconds": seconds, "error": str(error)})
            pause = timedelta(seconds=seconds)
            await self._store.run_until_available(claims.postpone, turn.claim, now=self._clock(), pause=pause)
        except asyncio.CancelledError:  # another worker can take the turn over before the lease runs out
            await self.leases.give_up(turn)
            raise
        except BaseException:
            await self._store.run(claims.fail_attempt, turn.claim)
            raise
        finally:
            self.leases.release(turn)
