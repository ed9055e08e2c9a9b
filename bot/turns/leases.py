"""Held: the claims of this process. Their leases are renewed, and their answers hear when they are to end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

from bot.store import leases
from bot.store.claims import Claim
from bot.store.engine import Store
from bot.turns.running_turn import RunningTurn

LEASE = timedelta(seconds=30)
RENEW_EVERY_S = 8.0  # well inside the lease
SURE_SHARE = 2 / 3  # of a lease: so long after it was asked for, a turn is surely ours still
HEAR_EVERY_S = 0.4  # a stop shall be heard within a second
RENEWED_AT_ONCE = 1_000  # leases in one statement: databases bound its parameters


class LeaseKeeper:
    """What is being answered here, thread by thread."""

    def __init__(self, store: Store, *, owner: str, clock: Callable[[], datetime], lease: timedelta = LEASE) -> None:
        """`owner` names this process in its leases; no two processes share one."""
        self.owner = owner
        self.lease = lease
        self._store = store
        self._clock = clock
        self._running: dict[int, RunningTurn] = {}

    @contextmanager
    def holding(self, claim: Claim, asked_at: float, task: asyncio.Task[None] | None = None) -> Iterator[RunningTurn]:
        """Inside the block this claim is answered, by a task that is cancelled when the lease is lost, if one is given.

        `asked_at`: when the lease was asked for, by the monotonic clock.
        """
        running = self._running[claim.thread_id] = RunningTurn(claim.fence, task)
        running.hold(self._sure_until(asked_at))
        try:
            yield running
        finally:
            self.let_go(claim)

    def let_go(self, claim: Claim) -> None:
        """Whatever becomes of its lease now, whoever answered this claim goes on."""
        running = self._running.get(claim.thread_id)
        if running is not None and running.fence == claim.fence:
            running.let_go()
            del self._running[claim.thread_id]

    async def poll_interruptions(self) -> None:
        """End the answers that are to end, whoever asked for it, on whichever replica."""
        if self._running:
            for thread_id, fence, why in await self._store.run_urgent(leases.interruptions, self.owner):
                running = self._running.get(thread_id)
                if running is not None and running.fence == fence:  # not a later turn in the same thread
                    running.interrupt(why)

    async def renew(self) -> None:
        """Prolong the leases of what runs here. What was taken over meanwhile ends, unseen: it is another's now."""
        claimed = dict(self._running)
        for start in range(0, len(claimed), RENEWED_AT_ONCE):
            some = list(claimed)[start : start + RENEWED_AT_ONCE]
            asked_at = time.monotonic()
            held = await self._store.run_urgent(leases.renew, self.owner, some, now=self._clock(), lease=self.lease)
            for thread_id in held:
                if self._running.get(thread_id) is claimed[thread_id]:  # not a later turn in the same thread
                    claimed[thread_id].hold(self._sure_until(asked_at))
            await self._end_lost({thread_id: claimed[thread_id] for thread_id in some if thread_id not in held})

    async def _end_lost(self, missing: Mapping[int, RunningTurn]) -> None:
        """Of what is leased no more, end what is another's; the rest has just come to its own end."""
        if not missing:
            return
        fences = await self._store.run_urgent(leases.fences, list(missing))
        for thread_id, running in missing.items():
            # Not a later turn in the same thread, which began meanwhile.
            if fences.get(thread_id) != running.fence and self._running.get(thread_id) is running:
                running.lose()

    def _sure_until(self, asked_at: float) -> float:
        return asked_at + SURE_SHARE * self.lease.total_seconds()
