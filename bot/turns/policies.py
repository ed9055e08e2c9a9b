"""The two policies by which a turn is answered: they differ in the fate of a turn without an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from bot.store import chat_turns, claims
from bot.store.chat_turns import ChatClaim
from bot.store.claims import Claim, PlatformClaim
from bot.store.leases import Undo
from bot.turns.cpu import Compute, compute, compute_for_platform

C = TypeVar("C", bound=Claim)


@dataclass(frozen=True, slots=True)
class Policy(Generic[C]):
    """How a turn is answered."""

    undo: Undo[C]  # the store function that gives up a turn without an answer
    waits_for_store: bool  # wait for an unavailable database; otherwise raise StoreUnavailable
    compute: Compute  # who waits for the CPU work of the turn
    cancels_when_lost: bool  # a lost lease cancels the answering task; otherwise it only interrupts the answer


# Slack: the turn is owed until it is answered. Another worker takes it over.
DURABLE: Policy[PlatformClaim] = Policy(
    claims.hand_back, waits_for_store=True, compute=compute_for_platform, cancels_when_lost=True
)
# HTTP and Python: the turn is undone unless it is answered. The caller waits in the answering task, and retries.
WITHDRAWABLE: Policy[ChatClaim] = Policy(
    chat_turns.withdraw, waits_for_store=False, compute=compute, cancels_when_lost=False
)
