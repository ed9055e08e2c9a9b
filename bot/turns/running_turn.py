"""A turn that is being answered here: whether it is surely ours still, and whether it is to end.

Rule: a claim is taken for lost before its lease has run out. Whoever was frozen, or cannot reach the database, must not
write what another worker may be writing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from bot.domain.sessions import Interrupted
from bot.store import posted_messages
from bot.store.claims import Claim
from bot.store.engine import Store
from bot.turns.answer import AnswerStream

log = logging.getLogger(__name__)


class RunningTurn:
    """One claim under way. It is held until a moment that renewals move on; then it ends."""

    def __init__(self, fence: int, task: asyncio.Task[None] | None = None) -> None:
        """`task` is cancelled in the end. None: only the answer ends, because a caller reads it, and nobody else."""
        self.fence = fence
        self.outdated = asyncio.Event()  # it is to end though the model has ended
        self.interrupted: Interrupted | None = None
        self.lost = False
        self._task = task
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.answer: AnswerStream | None = None  # None: the model was not asked yet

    def is_ours(self) -> bool:
        """Whether nobody else can have taken it over."""
        return time.monotonic() < self._until

    def hold(self, until: float) -> None:
        """It is surely ours until then, by the monotonic clock."""
        self.let_go()
        self._until = until
        self._timer = asyncio.get_running_loop().call_later(until - time.monotonic(), self.lose)

    def lose(self) -> None:
        """It is, or may be, another worker's: end here, unseen."""
        log.warning("a lease was lost, or could not be renewed in time; the turn is left to whoever takes it over")
        self._until, self.lost = 0.0, True
        if self._task is not None:
            self._task.cancel()
        else:
            self.interrupt(Interrupted.RESET)

    def let_go(self) -> None:
        """It is not watched any more."""
        if self._timer is not None:
            self._timer.cancel()

    def begin(self, answer: AnswerStream) -> None:
        """The model is asked."""
        self.answer = answer
        if self.interrupted is not None:
            answer.interrupt(self.interrupted)

    def interrupt(self, why: Interrupted) -> None:
        """End the answer, also one that has not begun yet, or that the model has ended and nobody has read yet."""
        self.interrupted = why
        if self.answer is not None:
            self.answer.interrupt(why)
            if self.answer.ended:
                self.outdated.set()


class KeptLedger:
    """What the store knows of the messages that hold a turn's answer. Implements adapter.Ledger."""

    def __init__(self, store: Store, claim: Claim, running: RunningTurn) -> None:
        self._store = store
        self._claim = claim
        self.is_ours = running.is_ours

    async def posted(self, answer_id: str) -> None:
        """See Ledger. It waits for a database that is away."""
        await self._store.run_until_available(posted_messages.posted, self._claim, answer_id)

    async def removed(self, answer_id: str) -> None:
        """See Ledger."""
        await self._store.run_until_available(posted_messages.removed, self._claim, answer_id)

    async def mine(self) -> Sequence[str]:
        """See Ledger."""
        return await self._store.run_until_available(posted_messages.of_turn, self._claim)

    async def settled(self, answer_ids: Sequence[str]) -> AbstractSet[str]:
        """See Ledger."""
        return await self._store.run_until_available(posted_messages.of_other_turns, self._claim, answer_ids)
