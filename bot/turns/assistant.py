"""The assistant: one model with one persona and one budget, which answers turns on every platform alike.

Rule: beginning an answer takes time in proportion to its texts. The callers do it in a thread (bot/turns/cpu.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from bot.access.redaction import DEFAULT_REDACTOR, Redactor
from bot.errors import ModelError, Trouble
from bot.llm import LLM, NO_PARAMETERS, Parameters
from bot.llm.callers import PerCaller
from bot.prompt.budget import Budget
from bot.prompt.compose import Prompt, PromptParts, compose, compose_verbatim, filled
from bot.prompt.history import ChatMessage, Past
from bot.prompt.tokens import estimate_tokens
from bot.store.settlement import KeptAnswer
from bot.tools import Tool
from bot.tools.loop import Rounds
from bot.turns.answer import AnswerStream
from bot.turns.cpu import Compute, CpuWork, compute
from bot.turns.interruption import Interruption
from bot.turns.repeated_answer import RepeatedAnswer


class Assistant:
    """Begins the answers of turns."""

    def __init__(
        self, llm: LLM, *, persona: str, budget: Budget, extra_tokens: int = 0, redactor: Redactor = DEFAULT_REDACTOR
    ) -> None:
        """`persona` is the whole system message; `extra_tokens` are the tokens that its tools add to a request.

        What people write passes the `redactor` before an answer begins.
        """
        self.budget = budget
        self.redactor = redactor
        self._llm = llm
        self._persona = persona
        self._budgets = PerCaller(budget, lambda _, model: budget.for_caller(model))
        self._extra_tokens = extra_tokens

    @property
    def room(self) -> int:
        """Estimated tokens for all but persona and tools. Only the model's window changes it."""
        return self.budget.room(estimate_tokens(self._persona) + self._extra_tokens).most

    def filled(self, past: Past) -> float:
        """Return the share, up to 1, that a session's past takes of the room that it may take."""
        return filled(self._persona, past, self.budget, extra_tokens=self._extra_tokens)

    def answer(
        self,
        parts: PromptParts,
        *,
        tools: Sequence[Tool] = (),
        parameters: Parameters = NO_PARAMETERS,
        whole: bool = False,
        kept: KeptAnswer | None = None,
        can_restart: bool = False,
        interruption: Interruption | None = None,
        compute: Compute = compute,
    ) -> AnswerStream:
        """Begin the answer to the newest turn of these parts.

        `tools` are the tools that the model may call. A question that is too long is shortened; with `whole`,
        ModelError is raised instead. A `kept` answer is repeated, and the model is not asked. `compute` does the CPU
        work of a further attempt. For `can_restart` see AnswerStream.
        """
        llm = RepeatedAnswer(kept) if kept else Rounds(self._llm, tools) if tools else self._llm
        parts = replace(parts, extra_tokens=(self._extra_tokens if tools else 0) + _cost(parameters))
        composer = partial(compose, self._persona, parts)
        return AnswerStream(
            llm,
            partial(_compose_whole, composer) if whole else composer,
            self._budgets.of(parameters),
            work=CpuWork(parts.size, compute),
            window=parts.past.window,
            parameters=parameters,
            interruption=interruption,
            can_restart=can_restart,
        )

    def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        instructions: str = "",
        parameters: Parameters = NO_PARAMETERS,
        can_restart: bool = False,
        interruption: Interruption | None = None,
    ) -> AnswerStream:
        """Begin the answer to these messages as they are, below the persona and the instructions.

        Raises ModelError when the model's window has no room for them.
        """
        budget, cost = self._budgets.of(parameters), _cost(parameters)
        composer = partial(compose_verbatim, self._persona, messages, instructions=instructions, extra_tokens=cost)
        return AnswerStream(
            self._llm,
            partial(_compose_whole, composer),
            budget,
            work=CpuWork(sum(len(message["content"]) for message in messages)),
            parameters=parameters,
            interruption=interruption,
            can_restart=can_restart,
        )


def _cost(parameters: Parameters) -> int:
    return estimate_tokens(json.dumps(dict(parameters))) if parameters else 0


def _compose_whole(composer: Callable[[Budget], Prompt], budget: Budget) -> Prompt:
    """Compose the prompt. Raises ModelError when a part of the question had to be left out."""
    if (prompt := composer(budget)).shortened:
        raise ModelError(Trouble.WINDOW_EXCEEDED, "there is no room for the question")
    return prompt
