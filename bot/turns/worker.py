"""Worker: claims threads that are owed an answer and has them answered; one at a time per thread, many threads at once.

Rule: a thread's next turn starts only when its last one is settled. Whoever accepts a message wakes the worker at
once; what others left behind, and what others want to end, is found by looking, every second or so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from bot.errors import PlatformUnavailable, StoreUnavailable
from bot.store import claims, leases
from bot.store.claims import Claim
from bot.store.engine import Store
from bot.store.leases import Owed
from bot.turns.adapter import Asked
from bot.turns.fair_queue import FairQueue, Limits
from bot.turns.handler import TurnHandler
from bot.turns.leases import LEASE, LeaseKeeper

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
LONGEST_PAUSE_S = 60  # before a turn is tried again whose platform is away
LONGEST_RETRY_AFTER_S = 3_600  # and whose platform says for how long
FOUND_AT_ONCE = 200  # threads that one look takes up
CLAIMS_AT_ONCE = 8  # more would begin turns faster than the loop can follow, and messages come in by the same loop


class Worker:
    """Answers what is owed, within limits that are fair."""

    def __init__(
        self,
        store: Store,
        clerk: TurnHandler,
        *,
        owner: str,
        clock: Callable[[], datetime],
        limits: Limits,
        lease: timedelta = LEASE,
    ) -> None:
        """`owner` names this process in its leases; no two processes share one."""
        self._store = store
        self._clerk = clerk
        self.held = LeaseKeeper(store, owner=owner, clock=clock, lease=lease)
        self._clock = clock
        self._turnstile = FairQueue(limits)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self._told: dict[int, Asked] = {}  # that they wait in line, by thread
        self._woken: set[int] = set()
        self._claiming = asyncio.Semaphore(CLAIMS_AT_ONCE)
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """Whether nothing more is taken up."""
        return self._stopping

    @property
    def running(self) -> int:
        """How many threads are being answered here."""
        return self._turnstile.running

    @property
    def waiting(self) -> int:
        """How many threads wait here for their turn."""
        return self._turnstile.waiting

    def wake(self, owed: Owed, asked: Asked | None = None, *, brief: bool = False) -> None:
        """This thread is owed an answer: take it up now, right after what runs there, or when its turn comes.

        Whoever has to wait sees so, when `asked` says where. Nobody waits in line for a line of ours (`brief`).
        """
        if self._stopping:
            return
        if owed.thread_id in self._tasks:
            self._woken.add(owed.thread_id)
        elif brief:
            self._turnstile.admit(owed)
            self._start(owed)
        elif self._turnstile.enter(owed):
            self._start(owed)
        elif asked is not None:
            if self._turnstile.waits(owed):
                self._told[owed.thread_id] = asked
            telling = asyncio.create_task(self._clerk.show_waiting(asked))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)

    async def poll(self) -> None:
        """Take up what others left behind."""
        if not (places := self._clerk.places):
            return
        for owed in await self._store.run(leases.owed, places, now=self._clock(), limit=FOUND_AT_ONCE):
            self.wake(owed)

    async def poll_interruptions(self) -> None:
        """End the answers that are to end, whoever asked for it, on whichever replica."""
        await self.held.poll_interruptions()

    async def renew(self) -> None:
        """Prolong the leases of what runs here."""
        await self.held.renew()

    async def idle(self) -> None:
        """Return when nothing runs here."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks.values()))

    async def stop(self, drain_seconds: float) -> None:
        """Take up nothing more; let what runs finish for so long, then hand it back."""
        self._stopping = True
        self._woken.clear()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=drain_seconds)
        unfinished = [*self._tasks.values(), *self._telling]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)

    def _start(self, owed: Owed) -> None:
        self._woken.add(owed.thread_id)
        self._tasks[owed.thread_id] = asyncio.create_task(self._work(owed))

    async def _work(self, owed: Owed) -> None:
        thread_id, again = owed.thread_id, False
        try:
            while thread_id in self._woken:
                self._woken.discard(thread_id)
                while (claim := await self._claim(thread_id)) is not None:
                    self._told.pop(thread_id, None)
                    await self._answer(*claim)
                    if self._turnstile.waiting:  # they go first: nobody's one busy thread holds them up
                        again = True
                        return
                if (told := self._told.pop(thread_id, None)) is not None:  # nothing is to be answered here any more
                    await self._clerk.end_waiting(told)
        except StoreUnavailable as error:
            log.error("the database did not answer (%s); the thread will be taken up again", error)  # noqa: TRY400
        except Exception:
            log.exception("a turn broke; the thread will be taken up again")
        finally:
            del self._tasks[thread_id]
            self._go_on(self._turnstile.leave(owed))
            if again or thread_id in self._woken:
                self._woken.discard(thread_id)
                self.wake(owed)

    def _go_on(self, entered: Sequence[Owed]) -> None:
        for owed in entered:
            if not self._stopping:
                self._start(owed)

    async def _claim(self, thread_id: int) -> tuple[Claim, float] | None:
        """A claim, and when it was asked for."""
        async with self._claiming:
            if self._stopping:
                return None
            asked_at = time.monotonic()
            claiming = asyncio.ensure_future(
                self._store.run(
                    claims.claim, thread_id, owner=self.held.owner, now=self._clock(), lease=self.held.lease
                )
            )
            try:
                claim = await asyncio.shield(claiming)
            except asyncio.CancelledError:
                if (claim := await claiming) is not None:
                    await self._store.run(claims.hand_back, claim, excused=True)
                raise
            return (claim, asked_at) if claim is not None else None

    async def _answer(self, claim: Claim, asked_at: float) -> None:
        with self.held.holding(claim, asked_at, self._tasks[claim.thread_id]) as running:
            try:
                await self._clerk.answer(claim, running)
            except PlatformUnavailable as error:
                pause = max(min(2**claim.attempt, LONGEST_PAUSE_S), min(error.seconds, LONGEST_RETRY_AFTER_S))
                log.warning("%s; trying again in %s s", error, pause, extra={"place": str(claim.thread)})
                await self._store.run_until_available(
                    claims.postpone, claim, now=self._clock(), pause=timedelta(seconds=pause)
                )
            except BaseException as error:  # so that nobody waits for the lease to run out
                excused = isinstance(error, asyncio.CancelledError)
                await self._store.run(claims.hand_back, claim, excused=excused)
                raise
