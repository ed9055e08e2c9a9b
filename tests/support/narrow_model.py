"""A model with a narrow window, as a backend: it counts tokens its own way, refuses what is too long, has a cache.

Its chat template is as strict as they come.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.openai_server import Fails, Reply, Request, Says, delta, event

WINDOW = 8_000
FACT = re.compile(r"the code of \w+ is \w+")
_TOKEN = re.compile(r"[a-z]{1,3}|[A-Z]{1,2}|[0-9]|\s|[^a-zA-Z0-9\s]")  # more than any in use makes of a text

Messages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One question as it came: the newest message, the facts that the whole prompt holds, and what it cost."""

    newest: str
    facts: frozenset[str]
    tokens: int
    cached: int
    extends: bool  # it begins with all of the last one but its newest message


class NarrowModel:
    """Answers questions, and writes summaries of nothing but the facts it finds."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.refused = 0
        self._last: Messages = ()
        self._counted: dict[str, int] = {}

    def __call__(self, request: Request) -> Reply:
        """The reply to one request."""
        messages: Messages = request.body["messages"]
        tokens = self._count(messages)
        if not _take_turns(messages):
            self.refused += 1
            return Fails(400, {"message": "Conversation roles must alternate user/assistant/user/assistant/..."})
        if tokens > WINDOW:
            self.refused += 1
            return _refusal(tokens)
        if asks_for_summary(messages):
            return _says(summary(messages), tokens, 0)
        same = sum(1 for _ in itertools.takewhile(_are_same, zip(self._last, messages, strict=False)))
        cached = self._count(messages[:same])
        extends = same >= len(self._last) - 1  # the newest is shown again without what held for that moment
        self.asked.append(Asked(messages[-1]["content"], facts(messages), tokens, cached, extends))
        self._last = messages
        return _says(f"Noted as number {len(self.asked)}. " + "What else? " * (len(self.asked) % 7), tokens, cached)

    def _count(self, messages: Messages) -> int:
        for text in (message["content"] for message in messages):
            if text not in self._counted:
                self._counted[text] = len(_TOKEN.findall(text))
        return sum(self._counted[message["content"]] + 5 for message in messages)


def asks_for_summary(messages: Messages) -> bool:
    """Whether this is what the bot asks for itself, and no question of a person's."""
    return bool(messages[0]["content"].startswith("You keep the memory"))


def summary(messages: Messages) -> str:
    """A very short one."""
    return "What is known: " + "; ".join(sorted(facts(messages)))


def facts(messages: Messages) -> frozenset[str]:
    """The facts that these messages hold."""
    return frozenset(FACT.findall(" ".join(message["content"] for message in messages)))


def _take_turns(messages: Messages) -> bool:
    """As the chat templates of many models demand it."""
    first, *roles = [message["role"] for message in messages]
    return first == "system" and roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]


def _are_same(pair: tuple[object, object]) -> bool:
    return pair[0] == pair[1]


def _refusal(tokens: int) -> Fails:
    told = (
        f"This model's maximum context length is {WINDOW} tokens. However, your messages resulted in {tokens} tokens."
    )
    return Fails(400, {"code": "context_length_exceeded", "param": "messages", "message": told})


def _says(text: str, prompt: int, cached: int) -> Says:
    details = {"cached_tokens": cached}
    usage = {"prompt_tokens": prompt, "completion_tokens": len(text) // 4, "prompt_tokens_details": details}
    return Says((event(delta(text)),), usage=usage)
