"""A language model, as turns/ uses it: messages in, text out, one piece at a time.

Reading order: callers, errors, image_parts, stream_parser, timeouts, lazy_types, openai, circuit_breaker, patience,
demo_files, demo_model, from_settings.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from bot.errors import ModelError
from bot.prompt.history import ChatMessage

Parameters = Mapping[str, Any]  # more fields of OpenAI's request: tools, temperature, ...
NO_PARAMETERS: Parameters = MappingProxyType({})
# The parameters that offer tools. Some backends refuse them, and so do some models of the others.
OFFERED = frozenset({"tools", "tool_choice"})
_LIMITS = ("max_tokens", "max_completion_tokens")


class Offer(list[Mapping[str, Any]]):
    """A list for `tools` that an answer can do without: where the backend refuses tools, the request omits it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of a request, as the backend counted them; `cached` is the part of `prompt` from its cache."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function call that the model asks for. `arguments` is JSON as the model wrote it: untrusted."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a whole answer. `truncated`: the backend stopped at its length limit.

    `rounds` counts the requests that it took; each one after the first showed the model the results of its tool calls.
    """

    model: str
    usage: Usage | None
    truncated: bool = False
    tool_calls: tuple[ToolCall, ...] = ()
    rounds: int = 1
    images_unseen: bool = False  # the request had images, and this model takes none


@dataclass(frozen=True, slots=True)
class Thinking:
    """The model streams reasoning, which is no part of its answer. It comes once before each piece of text."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The request failed and is made again after a pause. All text of the answer so far is void."""

    why: ModelError


Piece = str | Thinking | Retry | Done


def top(param: str) -> str:
    """Return the top-level parameter of a path: `messages` of `messages[0].role`."""
    return re.split(r"[.\[]", param)[0]


def of_caller(parameters: Parameters) -> frozenset[str]:
    """Return the names of the parameters that a caller set, besides the model."""
    return frozenset(parameters) - {"model"} - (OFFERED if isinstance(parameters.get("tools"), Offer) else frozenset())


def answer_limit(parameters: Parameters) -> int | None:
    """Return the most tokens that the caller allows the answer, if it set a limit."""
    return max((parameters[name] for name in _LIMITS if name in parameters), default=None)


def may_be_empty(parameters: Parameters) -> bool:
    """Return whether the caller set a parameter that can end an answer before its first word."""
    return not parameters.keys().isdisjoint(("stop", *_LIMITS))


class LLM(Protocol):
    """One language model. Implementations: OpenAI's chat completions (bot/llm/openai.py), a script for tests."""

    def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[Piece, None]:
        """Yield the answer's pieces of text, then one Done. Blank space before the first word comes with that word.

        A Thinking or a Retry may come before any piece. Only an answer that calls tools, or that its parameters ended,
        may have no text. Closing the iterator early ends the request. Raises ModelError when there is no whole answer:
        before any text, or after some of it.
        """
