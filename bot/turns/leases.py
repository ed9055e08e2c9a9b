"""The leases of this process: take them, renew them while their turns are answered here, and release them.

Rule: no lease is leaked. If a task is cancelled while the store takes its lease, the lease is released.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from bot.errors import StoreUnavailable
from bot.store import chat_turns, lease_clock, leases
from bot.store.claims import Claim
from bot.store.engine import Store
from bot.store.leases import LeaseRequest, P, T, Take, Undo
from bot.store.summaries import CompactionClaim
from bot.turns.lock_keeper import LockKeeper
from bot.turns.policies import C, Policy
from bot.turns.running_turn import RunningTurn

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
RENEW_EVERY_S = 8.0  # well inside the lease
SURE_SHARE = 2 / 3  # of a lease: after this part of its time, counted from the request, it may be lost
POLL_INTERRUPTIONS_EVERY_S = 0.4  # a stop takes effect within a second
WITHDRAWN_AT_ONCE = 50  # questions in one transaction
RENEWED_AT_ONCE = 1_000  # leases in one statement: databases bound its parameters

R = TypeVar("R")


class LeaseKeeper:
    """Takes leases in the name of this process, and renews those of the turns that are answered here."""

    def __init__(
        self,
        store: Store,
        *,
        owner: str,
        clock: Callable[[], datetime],
        length: timedelta = LEASE,
        lock: LockKeeper | None = None,
    ) -> None:
        """`owner` names this process in its leases; no two processes share a name. It ends with the lock's token."""
        self._store = store
        self._owner = owner
        self._clock = clock
        self._length = length
        self._lock = lock
        self._running: dict[int, RunningTurn[Any]] = {}  # by thread

    async def claim(
        self, policy: Policy[C], take: Take[P, C | R], /, *args: P.args, **kwargs: P.kwargs
    ) -> RunningTurn[C] | R:
        """Claim a turn, and renew its lease from now on, until it is released or given up.

        Returns the result of `take` itself when that is no claim. See `take`.
        """
        requested_at = lease_clock.now()
        taken = await self.take(self._length, policy.undo, take, *args, **kwargs)
        if not isinstance(taken, Claim):
            return taken
        turn = RunningTurn(cast("C", taken), policy, self._lock.until_sure if self._lock is not None else None)
        self._running[taken.thread_id] = turn
        turn.hold(self._sure_until(requested_at))
        return turn

    async def take(
        self, length: timedelta, undo: Undo[Any], take: Take[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a store function that takes a lease of this length, and return its result.

        If the caller is cancelled before the result arrives, `undo` releases the lease.
        """
        taking = asyncio.ensure_future(self._store.run(take, self._request(length), *args, **kwargs))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:  # the transaction may be committed nevertheless
            if isinstance(taken := await taking, Claim | CompactionClaim):
                await self.undo(undo, taken)
            raise

    def release(self, turn: RunningTurn[Any]) -> None:
        """Stop renewing this lease, because the turn is about to be settled or given up."""
        turn.release()
        if self._running.get(turn.claim.thread_id) is turn:
            del self._running[turn.claim.thread_id]

    async def give_up(self, turn: RunningTurn[Any]) -> None:
        """Give a turn up by its policy, unless it is over."""
        self.release(turn)
        if not turn.over:
            turn.over = True
            await self.undo(turn.policy.undo, turn.claim)

    async def undo(self, undo: Undo[Any], taken: Claim | CompactionClaim) -> None:
        """Give up what was taken by its store function, also when the caller is cancelled meanwhile."""
        undoing = asyncio.ensure_future(self._store.run(undo, taken))
        try:
            await asyncio.shield(undoing)
        except asyncio.CancelledError:  # the transaction must still run
            await asyncio.wait([undoing])
            raise
        except StoreUnavailable as error:  # the lease expires, and the next claim does it
            log.warning("lease_not_given_up", extra={"session": taken.session_id, "error": str(error)})

    async def poll_interruptions(self) -> None:
        """Interrupt the turns that run here and are to end. Any replica may have received the request."""
        if self._running:
            for thread_id, fence, why in await self._store.run_urgent(leases.interruptions, self._owner):
                turn = self._running.get(thread_id)
                if turn is not None and turn.claim.fence == fence:  # not a later turn in the same thread
                    turn.interruption.interrupt(why)

    async def renew(self) -> None:
        """Prolong the leases of the turns that run here, and end the turns whose lease was lost."""
        running = dict(self._running)
        for start in range(0, len(running), RENEWED_AT_ONCE):
            batch = list(running)[start : start + RENEWED_AT_ONCE]
            requested_at = lease_clock.now()
            renewed = await self._store.run_urgent(leases.renew, self._request(self._length), batch)
            for thread_id in renewed:
                if self._running.get(thread_id) is running[thread_id]:  # not a later turn in the same thread
                    running[thread_id].hold(self._sure_until(requested_at))
            await self._end_lost({thread_id: running[thread_id] for thread_id in batch if thread_id not in renewed})

    async def free_abandoned(self) -> bool:
        """Free the leases of processes that have ended; return whether there were any. Raises StoreUnavailable.

        No process continues an answer to a caller, so the callers' questions of these processes are withdrawn at once.
        """
        if self._lock is None or not await self._lock.free_leases():
            return False
        await self.withdraw_abandoned()
        return True

    async def withdraw_abandoned(self) -> None:
        """Withdraw the callers' questions whose leases nobody holds any more. Raises StoreUnavailable."""
        while await self._store.run(chat_turns.withdraw_abandoned, now=self._clock(), batch=WITHDRAWN_AT_ONCE):
            pass

    async def is_lost(self, claim: Claim) -> bool:
        """Return whether another process has claimed the thread since. Raises StoreUnavailable."""
        fences = await self._store.run(leases.fences, [claim.thread_id])
        return fences.get(claim.thread_id) != claim.fence

    async def _end_lost(self, missing: Mapping[int, RunningTurn[Any]]) -> None:
        """End those of these turns that another process has claimed; the others have just ended by themselves."""
        if not missing:
            return
        fences = await self._store.run_urgent(leases.fences, list(missing))
        for thread_id, turn in missing.items():
            # Not a later turn of the same thread, which may have begun since.
            if fences.get(thread_id) != turn.claim.fence and self._running.get(thread_id) is turn:
                turn.lose()

    def _request(self, length: timedelta) -> LeaseRequest:
        return LeaseRequest(self._owner, self._clock(), length)

    def _sure_until(self, requested_at: float) -> float:
        return requested_at + SURE_SHARE * self._length.total_seconds()
