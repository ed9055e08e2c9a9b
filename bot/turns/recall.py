"""Recall: which of the earlier turns that a caller sends along its session lacks.

Rule: computed outside of any transaction, and in a thread when it is long, so that neither the database nor the event
loop waits for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from bot.domain.events import Thread
from bot.prompt.client_history import missing_turns
from bot.prompt.history import Turn
from bot.store.chat_turns import ChatClaim
from bot.turns.cpu import compute
from bot.turns.service import TurnService


class Recall:
    """Compares callers' earlier turns with their sessions."""

    def __init__(self, turns: TurnService[ChatClaim]) -> None:
        self._turns = turns

    async def lacking(self, thread: Thread, earlier: Sequence[Turn]) -> tuple[tuple[Turn, ...], int]:
        """Return the turns that the thread's session lacks, and the id of its newest turn at that moment.

        Raises StoreUnavailable.
        """
        known = await self._turns.recalled(thread)
        compare = partial(missing_turns, known.turns, earlier, whole=known.whole)
        size = sum(turn.size for turn in (*known.turns, *earlier))
        return tuple(await compute(size, compare)), known.newest
