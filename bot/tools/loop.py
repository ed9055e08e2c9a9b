"""An answer in rounds: the model calls tools, reads their results, and continues until its answer is complete.

Rule: a few rounds, and a few calls in each. The person reads of each change, also when the model does not mention it,
falls silent afterwards, or fails.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from bot.errors import ModelError, Trouble
from bot.llm import LLM, NO_PARAMETERS, Done, Offer, Parameters, Piece, Retry, ToolCall
from bot.prompt.history import ChatMessage
from bot.tools import Arguments, Outcome, Tool, failed

MOST_ROUNDS = 3  # requests for one answer; in the last of them no tool may be called
MOST_CALLS = 8  # in one round
MOST_CHARACTERS = 20_000  # of a call's arguments

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")  # backends take no other name back


class Rounds:
    """An LLM that runs the tool calls of the LLM behind it. Implements llm.LLM."""

    def __init__(self, llm: LLM, tools: Sequence[Tool]) -> None:
        self._llm = llm
        self._tools = {tool.name: tool for tool in tools}
        self._offer = Offer(tool.definition for tool in tools)

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[Piece, None]:
        """See LLM.stream. The text of all rounds is one answer. A retry repeats its own round alone.

        Its usage has the prompt of the last request, which contains the others, and the completions of all.
        """
        conversation, offer = _Conversation(messages), {**parameters, "tools": self._offer}
        failure: ModelError | None = None
        try:
            for left in reversed(range(MOST_ROUNDS)):
                stream = self._llm.stream(conversation.messages, offer if left else {**offer, "tool_choice": "none"})
                async with aclosing(stream) as pieces:
                    async for piece in pieces:
                        for shown in conversation.add(piece):
                            yield shown
                if not left or not conversation.calls:
                    break
                conversation.begin_round([await self._run(call) for call in conversation.calls])
        except ModelError as error:
            failure = error
        if note := conversation.note():
            yield note
        yield conversation.end(failure)

    async def _run(self, call: ToolCall) -> Outcome:
        tool, arguments = self._tools.get(call.name), _arguments(call)
        if tool is None:
            return failed("there is no such tool")
        return failed("the arguments are no JSON object") if arguments is None else await tool.run(arguments)


class _Conversation:
    """The messages, the text and the outcomes of the rounds so far."""

    def __init__(self, messages: Sequence[ChatMessage]) -> None:
        self.messages = list(messages)
        self._done: Done | None = None  # of this round, once it has ended
        self._before: Done | None = None  # of the round before it
        self._text = ""  # of all rounds
        self._text_before = ""  # of the rounds before this one
        self._round_text = ""  # of this round
        self._completions = 0  # tokens, of all rounds
        self._rounds = 1
        self._outcomes: list[Outcome] = []

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The model's tool calls of this round, each with an id."""
        called = self._done.tool_calls[:MOST_CALLS] if self._done else ()
        return tuple(dataclasses.replace(call, id=call.id or f"call_{at}") for at, call in enumerate(called))

    def add(self, piece: Piece) -> Sequence[Piece]:
        """Add a piece of this round; return the pieces that it adds to the answer. A new round is a new paragraph."""
        match piece:
            case Done():
                self._finish_round(piece)
                return ()
            case str():
                added = piece if self._round_text else _paragraph_break(self._text) + piece.lstrip()
                self._round_text += piece
                self._text += added
                return (added,) if added else ()
            case Retry():
                self._text, self._round_text = self._text_before, ""
                return (piece, self._text) if self._text else (piece,)
        return (piece,)

    def begin_round(self, outcomes: Sequence[Outcome]) -> None:
        """Show the outcomes of this round's calls to the next round."""
        calls = self.calls
        self.messages.append(
            {"role": "assistant", "content": self._round_text, "tool_calls": [_echo(call) for call in calls]}
        )
        for call, outcome in zip(calls, outcomes, strict=True):
            result = json.dumps(outcome.result, ensure_ascii=False)
            self.messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
        self._outcomes += outcomes
        self._before, self._done, self._round_text = self._done, None, ""
        self._text_before = self._text
        self._rounds += 1

    def note(self) -> str:
        """Return the changes that the model did not mention, as text for the person."""
        text = self._text.casefold()
        unmentioned = [outcome.note for outcome in self._outcomes if outcome.note and not _is_mentioned(outcome, text)]
        note = _paragraph_break(self._text) + "\n\n".join(dict.fromkeys(unmentioned)) if unmentioned else ""
        self._text += note
        return note

    def end(self, failure: ModelError | None) -> Done:
        """Return the end of the whole answer. An empty last round is no failure when an earlier round had text.

        Raises ModelError when there is no whole answer.
        """
        if failure is not None and (failure.trouble is not Trouble.EMPTY or not self._text):
            raise failure
        done = self._done if failure is None else self._before
        if done is None:
            raise ModelError(Trouble.CUT, "the model's stream ended early")
        if not self._text:
            raise ModelError(Trouble.EMPTY, "the model only called tools, and wrote no text")
        return dataclasses.replace(done, tool_calls=())

    def _finish_round(self, done: Done) -> None:
        usage = done.usage
        if usage is not None:
            self._completions += usage.completion
            usage = dataclasses.replace(usage, completion=self._completions)
        self._done = dataclasses.replace(done, usage=usage, rounds=self._rounds)


def _is_mentioned(outcome: Outcome, text: str) -> bool:
    return bool(outcome.mentioned_by) and all(word.casefold() in text for word in outcome.mentioned_by)


def _paragraph_break(text: str) -> str:
    return "\n\n" if text else ""


def _arguments(call: ToolCall) -> Arguments | None:
    """Return the arguments of a call, {} for an empty text; None when they are no JSON object, or too long."""
    try:
        made = json.loads(call.arguments or "{}") if len(call.arguments) <= MOST_CHARACTERS else None
    except (ValueError, RecursionError):
        return None
    return made if isinstance(made, dict) else None


def _echo(call: ToolCall) -> dict[str, Any]:
    """Return the call for the next request, without the parts that a backend would refuse."""
    name = _NOT_IN_NAMES.sub("", call.name)[:64] or "unknown"
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": name, "arguments": json.dumps(_arguments(call) or {})},
    }
