"""Held: the claims of this process. Their leases are renewed, and their answers hear when they are to end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.responder import Answer
from bot.sessions import Interrupted
from bot.store import leases
from bot.store.claims import Claim
from bot.store.engine import Store

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
RENEW_EVERY_S = 8.0  # well inside the lease
HEAR_EVERY_S = 0.4  # a stop shall be heard within a second
RENEWED_AT_ONCE = 1_000  # leases in one statement: databases bound its parameters


@dataclass(slots=True)
class Running:
    """A claim that is being answered here."""

    fence: int
    task: asyncio.Task[object] | None
    _answer: Answer | None = None  # None: the model was not asked yet
    _interrupted: Interrupted | None = None

    def begin(self, answer: Answer) -> None:
        """The model is asked."""
        self._answer = answer
        if self._interrupted is not None:
            answer.interrupt(self._interrupted)

    def interrupt(self, why: Interrupted) -> None:
        """End the answer, also one that has not begun yet."""
        self._interrupted = why
        if self._answer is not None:
            self._answer.interrupt(why)


class Held:
    """What is being answered here, thread by thread."""

    def __init__(self, store: Store, *, owner: str, clock: Callable[[], datetime], lease: timedelta = LEASE) -> None:
        """`owner` names this process in its leases; no two processes share one."""
        self.owner = owner
        self.lease = lease
        self._store = store
        self._clock = clock
        self._running: dict[int, Running] = {}

    @contextmanager
    def holding(self, claim: Claim) -> Iterator[Running]:
        """Inside the block, the task that runs it answers this claim; it is cancelled when the lease is lost."""
        running = self._running[claim.thread_id] = Running(claim.fence, asyncio.current_task())
        try:
            yield running
        finally:
            self.let_go(claim)

    def let_go(self, claim: Claim) -> None:
        """Whatever becomes of its lease now, the task that answered this claim goes on."""
        running = self._running.get(claim.thread_id)
        if running is not None and running.fence == claim.fence:
            del self._running[claim.thread_id]

    async def hear(self) -> None:
        """End the answers that are to end, whoever asked for it, on whichever replica."""
        if self._running:
            for thread_id, fence, why in await self._store.run(leases.interruptions, self.owner):
                running = self._running.get(thread_id)
                if running is not None and running.fence == fence:  # not a later turn in the same thread
                    running.interrupt(why)

    async def renew(self) -> None:
        """Prolong the leases of what runs here. What was taken over meanwhile ends, unseen: it is another's now."""
        running = dict(self._running)
        for start in range(0, len(running), RENEWED_AT_ONCE):
            some = list(running)[start : start + RENEWED_AT_ONCE]
            held = await self._store.run(leases.renew, self.owner, some, now=self._clock(), lease=self.lease)
            await self._end_lost({thread_id: running[thread_id] for thread_id in set(some) - held})

    async def _end_lost(self, missing: Mapping[int, Running]) -> None:
        """Of what is leased no more, end what is another's; the rest has just come to its own end."""
        if not missing:
            return
        fences = await self._store.run(leases.fences, list(missing))
        for thread_id, running in missing.items():
            # Not a later turn in the same thread, which began meanwhile.
            if fences.get(thread_id) != running.fence and self._running.get(thread_id) is running:
                log.warning("a lease was lost; the turn is another worker's now")
                if running.task is not None:
                    running.task.cancel()
