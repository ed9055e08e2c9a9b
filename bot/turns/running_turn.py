"""A claim that is being answered here: when its lease counts as lost, and how it is interrupted.

Rule: a lease counts as lost before it has run out. A process that was frozen, or cannot reach the database, must not
write into a message that another worker may be writing.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Generic

from bot.domain.sessions import Interrupted
from bot.store import lease_clock
from bot.turns.interruption import Interruption
from bot.turns.policies import C, Policy

log = logging.getLogger(__name__)


class RunningTurn(Generic[C]):
    """A claim with its lease. Renewals move the end of the lease on."""

    def __init__(self, claim: C, policy: Policy[C], until_sure: Callable[[], Awaitable[None]] | None = None) -> None:
        """Create it in the task that answers the claim. `until_sure`: see LockKeeper."""
        self.claim = claim
        self.policy = policy
        self.interruption = Interruption()
        self.lost = False
        self.over = False  # settled, or given up
        self._until_sure = until_sure
        self._task = asyncio.current_task() if policy.cancels_when_lost else None
        self._until = -math.inf  # by the lease clock
        self._timer: asyncio.TimerHandle | None = None

    async def is_ours(self) -> bool:
        """Return whether no other process can have taken the turn over."""
        if self._until_sure is not None and self._is_held():
            await self._until_sure()
        return self._is_held()

    def hold(self, until: float) -> None:
        """Move the end of the lease to this moment of the lease clock."""
        self.release()
        self._until = until
        self._timer = asyncio.get_running_loop().call_later(until - lease_clock.now(), self.lose)

    def lose(self) -> None:
        """End the turn without writing any more, because another worker may have it now."""
        log.warning("lease_lost", extra=self.claim.log_fields)
        self._until, self.lost = -math.inf, True
        if self._task is not None:
            self._task.cancel()
        else:
            self.interruption.interrupt(Interrupted.RESET)  # any reason ends the stream; the caller looks at `lost`

    def _is_held(self) -> bool:
        return lease_clock.now() < self._until

    def release(self) -> None:
        """Stop watching the lease."""
        if self._timer is not None:
            self._timer.cancel()
