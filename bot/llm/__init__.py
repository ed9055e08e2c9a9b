"""A language model, as the work layer sees it: messages in, text out, one piece at a time.

Reading order: errors, stream_parser, timeouts, openai (OpenAI's API), circuit_breaker, stub_server.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from bot.prompt.history import ChatMessage

Parameters = Mapping[str, Any]  # more fields of OpenAI's request: tools, temperature, ...
NO_PARAMETERS: Parameters = MappingProxyType({})
# What offers the model tools: not every backend takes it, and some models of others do not.
OFFERED = frozenset({"tools", "tool_choice"})
_LIMITS = ("max_tokens", "max_completion_tokens")


class Offer(list[Mapping[str, Any]]):
    """As `tools`: those that an answer can do without. Where the backend takes none, the model is asked without."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the backend says a request cost, in tokens; `cached` is the part of `prompt` it had in its cache."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a function to be called; `arguments` is JSON as the model wrote it, so untrusted."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a whole answer. `truncated`: the backend stopped at its own length limit.

    `rounds`: it took so many requests, of which each showed the model what came of the ones before it.
    """

    model: str
    usage: Usage | None
    truncated: bool = False
    tool_calls: tuple[ToolCall, ...] = ()
    rounds: int = 1


def top(param: str) -> str:
    """The parameter of a request that `messages[0].role` is in."""
    return re.split(r"[.\[]", param)[0]


def of_caller(parameters: Parameters) -> frozenset[str]:
    """The names of those that a caller asks with, besides the model that it chose."""
    return frozenset(parameters) - {"model"} - (OFFERED if isinstance(parameters.get("tools"), Offer) else frozenset())


def answer_limit(parameters: Parameters) -> int | None:
    """How many tokens the answer may have, where whoever asks has set a limit."""
    return max((parameters[name] for name in _LIMITS if name in parameters), default=None)


def may_be_empty(parameters: Parameters) -> bool:
    """Whether whoever asks has set what can end an answer before its first word."""
    return not parameters.keys().isdisjoint(("stop", *_LIMITS))


class LLM(Protocol):
    """One language model. Implementations: OpenAI's chat completions (bot/llm/openai.py), a script for tests."""

    def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[str | Done, None]:
        """The answer's pieces of text, none of blank space alone before the first word, then one Done. Only an answer
        that calls tools may have no text, or one that its parameters ended.

        Closing the iterator early ends the request. Raises ModelError when there is no whole answer: before any
        text, or after some of it.
        """
