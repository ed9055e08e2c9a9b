"""An answer in rounds: the model calls for tools, reads what came of it, and goes on, until it has said all.

Rule: a few rounds, and a few calls in each. What was done is told to the person whatever the model makes of it:
also when it falls silent afterwards, or fails.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from bot.errors import ModelError, Trouble
from bot.llm import LLM, NO_PARAMETERS, Done, Offer, Parameters, ToolCall
from bot.prompt.history import ChatMessage
from bot.tools import Arguments, Outcome, Tool, failed

MOST_ROUNDS = 3  # requests for one answer; in the last of them no tool may be called
MOST_CALLS = 8  # in one round
MOST_CHARACTERS = 20_000  # of a call's arguments

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")  # backends take no other name back


class Rounds:
    """An LLM that carries out what the one behind it calls for. Implements llm.LLM."""

    def __init__(self, llm: LLM, tools: Sequence[Tool]) -> None:
        self._llm = llm
        self._tools = {tool.name: tool for tool in tools}
        self._offer = Offer(tool.definition for tool in tools)

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[str | Done, None]:
        """See LLM.stream. What all rounds say is one answer; its usage is the last request's, which showed the others,
        with all completions.
        """
        talk, offer = _Talk(messages), {**parameters, "tools": self._offer}
        failure: ModelError | None = None
        try:
            for left in reversed(range(MOST_ROUNDS)):
                asked = self._llm.stream(talk.messages, offer if left else {**offer, "tool_choice": "none"})
                async with aclosing(asked) as pieces:
                    async for piece in pieces:
                        if text := talk.hear(piece):
                            yield text
                if not left or not talk.calls:
                    break
                talk.go_on([await self._carry_out(call) for call in talk.calls])
        except ModelError as error:
            failure = error
        if note := talk.note():
            yield note
        yield talk.end(failure)

    async def _carry_out(self, call: ToolCall) -> Outcome:
        tool, arguments = self._tools.get(call.name), _arguments(call)
        if tool is None:
            return failed("there is no such tool")
        return failed("the arguments are no JSON object") if arguments is None else await tool.run(arguments)


class _Talk:
    """What was shown, said and done in the rounds so far."""

    def __init__(self, messages: Sequence[ChatMessage]) -> None:
        self.messages = list(messages)
        self._done: Done | None = None  # of this round, once it has ended
        self._before: Done | None = None  # of the round before it
        self._text = ""  # of all rounds
        self._said = ""  # in this round
        self._completions = 0  # tokens, of all rounds
        self._rounds = 1
        self._outcomes: list[Outcome] = []

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """What the model has called for in this round, each call with an id."""
        called = self._done.tool_calls[:MOST_CALLS] if self._done else ()
        return tuple(dataclasses.replace(call, id=call.id or f"call_{at}") for at, call in enumerate(called))

    def hear(self, piece: str | Done) -> str:
        """The text that a piece adds to the answer; what is said in a new round is a new paragraph."""
        if isinstance(piece, Done):
            self._finish_round(piece)
            return ""
        added = piece if self._said else _apart(self._text) + piece.lstrip()
        self._said += piece
        self._text += added
        return added

    def go_on(self, outcomes: Sequence[Outcome]) -> None:
        """Have the next round shown what came of the calls of this one."""
        calls = self.calls
        self.messages.append(
            {"role": "assistant", "content": self._said, "tool_calls": [_echo(call) for call in calls]}
        )
        for call, outcome in zip(calls, outcomes, strict=True):
            result = json.dumps(outcome.result, ensure_ascii=False)
            self.messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
        self._outcomes += outcomes
        self._before, self._done, self._said = self._done, None, ""
        self._rounds += 1

    def note(self) -> str:
        """What the person is to be told, because the model has not told them."""
        said = self._text.casefold()
        untold = [done.note for done in self._outcomes if done.note and not _is_told(done, said)]
        note = _apart(self._text) + "\n\n".join(dict.fromkeys(untold)) if untold else ""
        self._text += note
        return note

    def end(self, failure: ModelError | None) -> Done:
        """The end of the whole answer; silence is one where something was said before. Raises ModelError otherwise."""
        if failure is not None and (failure.trouble is not Trouble.EMPTY or not self._text):
            raise failure
        done = self._done if failure is None else self._before
        if done is None:
            raise ModelError(Trouble.CUT, "the model's stream ended early")
        if not self._text:
            raise ModelError(Trouble.EMPTY, "the model only called for tools, and said nothing")
        return dataclasses.replace(done, tool_calls=())

    def _finish_round(self, done: Done) -> None:
        usage = done.usage
        if usage is not None:
            self._completions += usage.completion
            usage = dataclasses.replace(usage, completion=self._completions)
        self._done = dataclasses.replace(done, usage=usage, rounds=self._rounds)


def _is_told(outcome: Outcome, said: str) -> bool:
    return bool(outcome.told_by) and all(word.casefold() in said for word in outcome.told_by)


def _apart(text: str) -> str:
    return "\n\n" if text else ""


def _arguments(call: ToolCall) -> Arguments | None:
    """The arguments of a call, an empty text being none; None when they are no object, or too long."""
    try:
        made = json.loads(call.arguments or "{}") if len(call.arguments) <= MOST_CHARACTERS else None
    except (ValueError, RecursionError):
        return None
    return made if isinstance(made, dict) else None


def _echo(call: ToolCall) -> dict[str, Any]:
    """The call as the model is shown it again: what a backend would refuse in it is left out."""
    name = _NOT_IN_NAMES.sub("", call.name)[:64] or "unknown"
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": name, "arguments": json.dumps(_arguments(call) or {})},
    }
