"""The ledger of one turn in the store: which of the platform's messages hold its answer."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from bot.domain.sessions import Interrupted
from bot.store import answer_files, posted_messages
from bot.store.claims import PlatformClaim
from bot.store.engine import Store
from bot.turns.running_turn import RunningTurn


class StoredLedger:
    """Implements adapter.Ledger. Each awaited method waits while the database is unavailable."""

    def __init__(self, store: Store, turn: RunningTurn[PlatformClaim]) -> None:
        self.is_ours = turn.is_ours
        self._store = store
        self._claim = turn.claim
        self._shown: set[str] = set()  # messages that hold a part of the answer, as far as this attempt knows

    def finishes_despite(self, why: Interrupted) -> bool:
        """Return whether the rest of an answer is shown although its turn was interrupted after the model had ended.

        True for a stop after the first words were shown. For any other reason the answer is removed.
        """
        return why is Interrupted.STOPPED and bool(self._shown)

    async def posted(self, answer_id: str) -> None:
        """See Ledger."""
        self._shown.add(answer_id)
        await self._store.run_until_available(posted_messages.posted, self._claim, answer_id)

    async def removed(self, answer_id: str) -> None:
        """See Ledger."""
        self._shown.discard(answer_id)
        await self._store.run_until_available(posted_messages.removed, self._claim, answer_id)

    async def of_this_turn(self) -> Sequence[str]:
        """See Ledger."""
        found = await self._store.run_until_available(posted_messages.of_turn, self._claim)
        self._shown.update(found)
        return found

    async def uploading(self, file_id: str) -> None:
        """See Ledger."""
        await self._store.run_until_available(answer_files.add, self._claim.turn_id, file_id)

    async def file_removed(self, file_id: str) -> None:
        """See Ledger."""
        await self._store.run_until_available(answer_files.remove, [(self._claim.turn_id, file_id)])

    async def uploaded(self) -> Sequence[str]:
        """See Ledger."""
        return await self._store.run_until_available(answer_files.of_turn, self._claim.turn_id)

    async def of_other_turns(self, answer_ids: Sequence[str]) -> AbstractSet[str]:
        """See Ledger."""
        return await self._store.run_until_available(posted_messages.of_other_turns, self._claim, answer_ids)
