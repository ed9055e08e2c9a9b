"""A model with a narrow window, as a backend: it counts tokens its own way, refuses what is too long, has a cache."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.openai_server import Fails, Reply, Request, Says, delta, event

WINDOW = 8_000
FACT = re.compile(r"the code of \w+ is \w+")
_TOKEN = re.compile(r"[a-z]{1,4}|[A-Z]{1,2}|[0-9]|\s|[^a-zA-Z0-9\s]")  # stricter than any that is in use


@dataclass(slots=True)
class NarrowModel:
    """Answers questions, and writes summaries of nothing but the facts it finds. `asked` are the questions' prompts."""

    asked: list[Asked] = field(default_factory=list)
    refused: int = 0
    summaries: int = 0
    _last: Sequence[Mapping[str, Any]] = ()

    def __call__(self, request: Request) -> Reply:
        """The reply to one request."""
        messages = request.body["messages"]
        tokens = count(messages)
        if tokens > WINDOW:
            self.refused += 1
            return _refusal(tokens)
        if messages[0]["content"].startswith("You keep the memory"):
            self.summaries += 1
            facts = dict.fromkeys(FACT.findall(messages[1]["content"]))
            return _says("What is known: " + "; ".join(facts), tokens, 0)
        same = sum(1 for _ in _alike(self._last, messages))
        cached, self._last = count(messages[:same]), messages
        self.asked.append(Asked(messages, tokens, cached))
        return _says(
            f"Noted as number {len(self.asked)}, thank you. " + "What else? " * (len(self.asked) % 7), tokens, cached
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """One prompt, and what it cost."""

    messages: Sequence[Mapping[str, Any]]
    tokens: int
    cached: int

    def knows(self, text: str) -> bool:
        """Whether any message holds this text."""
        return any(text in message["content"] for message in self.messages)


def count(messages: Sequence[Mapping[str, Any]]) -> int:
    """What these messages cost this model."""
    return sum(len(_TOKEN.findall(message["content"])) + 5 for message in messages)


def _alike(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Iterator[object]:
    return itertools.takewhile(lambda pair: pair[0] == pair[1], zip(before, now, strict=False))


def _refusal(tokens: int) -> Fails:
    message = (
        f"This model's maximum context length is {WINDOW} tokens. However, your messages resulted in {tokens} tokens."
    )
    return Fails(
        400,
        {"code": "context_length_exceeded", "type": "invalid_request_error", "param": "messages", "message": message},
    )


def _says(text: str, prompt: int, cached: int) -> Says:
    details = {"cached_tokens": cached}
    usage = {"prompt_tokens": prompt, "completion_tokens": len(text) // 4, "prompt_tokens_details": details}
    return Says((event(delta(text)),), usage=usage)
