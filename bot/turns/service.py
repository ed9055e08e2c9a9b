"""The shared parts of all turns: a session's past and memory, the settlement, its log line, compaction.

Rule: Slack's turns and HTTP's differ here by their policy alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Generic

from bot import metrics
from bot.domain.events import Thread
from bot.domain.sessions import IdleLimits, Memory, OpenSession
from bot.prompt.history import Past
from bot.store import chat_turns, claims, history, recalled_turns
from bot.store.claims import Claim
from bot.store.engine import Store
from bot.store.recalled_turns import RecalledTurns
from bot.store.repeated_turns import IdempotencyKey
from bot.store.settlement import Settlement
from bot.turns.answer import AnswerResult, AnswerStream
from bot.turns.assistant import Assistant
from bot.turns.policies import C, Policy
from bot.turns.running_turn import RunningTurn
from bot.turns.summariser import Summariser
from bot.turns.summary_queue import Names, SummaryJob

log = logging.getLogger(__name__)


class TurnService(Generic[C]):
    """Reads and settles turns by one policy."""

    def __init__(
        self,
        store: Store,
        assistant: Assistant,
        summariser: Summariser,
        policy: Policy[C],
        *,
        clock: Callable[[], datetime],
        idle: IdleLimits,
    ) -> None:
        self.policy = policy
        self._run = store.run_until_available if policy.waits_for_store else store.run
        self._assistant = assistant
        self._summariser = summariser
        self._clock = clock
        self._idle = idle

    async def past(self, session_id: str, before_turn: int = history.NEWEST) -> Past:
        """Return the turns of a session before this one, with their summary."""
        budget = self._assistant.budget.history_tokens
        return await self._run(history.before, session_id, before_turn, budget_tokens=budget)

    async def recalled(self, thread: Thread) -> RecalledTurns:
        """Return the newest turns of the thread's open session."""
        idle_after = self._idle.of(thread.channel)
        return await self._run(recalled_turns.read, thread, now=self._clock(), idle_after=idle_after)

    async def was_answered(self, thread: Thread, key: IdempotencyKey | None) -> bool:
        """Return whether the thread's open session has the answer to the request with this key."""
        if key is None:
            return False
        since = self._clock() - self._idle.of(thread.channel)
        return await self._run(chat_turns.was_answered, thread, key, since=since)

    async def memory(self, session: OpenSession | None, before_turn: int = history.NEWEST) -> Memory | None:
        """Return the figures of a session's memory; None without a session, or when it has expired."""
        if session is None:
            return None
        past = await self.past(session.id, before_turn)
        filled = await self.policy.compute(past.size, self._assistant.filled, past)
        idle_after = self._idle.of(session.thread.channel)
        return Memory.of(session, filled, summarized=past.window.after > 0, now=self._clock(), idle_after=idle_after)

    async def settle(self, turn: RunningTurn[C], settlement: Settlement, **log_fields: object) -> bool:
        """Store how the turn ended; False when the claim has lost the turn."""
        stored = await self._run(claims.settle, turn.claim, settlement, now=self._clock())
        state = settlement.state.value if stored else "discarded"
        metrics.TURNS.labels(turn.claim.thread.platform, state, settlement.trouble or "").inc()
        if stored:
            turn.over = True
            log.info("turn_settled", extra={**turn.claim.log_fields, **log_fields, **settlement.figures})
        else:  # its question was edited or deleted, or another process has the turn
            log.info("answer_discarded", extra={**turn.claim.log_fields, **log_fields})
        return stored

    def compact(self, claim: Claim, answer: AnswerStream | None, names: Names, *, caller: str | None = None) -> None:
        """Summarise the oldest turns in the background, if the answer's prompt was crowded.

        `caller`: the caller of the HTTP API, or of Python, whose session it is.
        """
        if answer is not None and answer.prompt.compaction is not None and claim.session_id is not None:
            self._summariser.compact(SummaryJob(claim.session_id, answer.prompt.compaction, names, caller))


def log_trouble(result: AnswerResult, log_fields: Mapping[str, Any]) -> None:
    """Log why the model gave no whole answer, for the operator."""
    if result.trouble is not None:
        log.error("answer_failed", extra={**log_fields, "trouble": result.trouble.value, "error": result.detail})
