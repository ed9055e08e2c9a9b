"""A backend with a narrow window. It counts tokens in its own way, refuses long prompts, and has a cache.

Its chat template is as strict as the strictest ones in use.
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
_TOKEN = re.compile(r"[a-z]{1,3}|[A-Z]{1,2}|[0-9]|\s|[^a-zA-Z0-9\s]")  # yields more tokens than any tokenizer in use

Messages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A received question: the newest message, the facts in the whole prompt, and the cost."""

    newest: str
    facts: frozenset[str]
    tokens: int
    cached: int
    extends: bool  # the prompt begins with the one before, without its newest message


class NarrowModel:
    """Answers questions. Its summaries hold only the facts of the conversation."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.refused = 0
        self.summaries = 0
        self._last: Messages = ()
        self._counted: dict[str, int] = {}

    def __call__(self, request: Request) -> Reply:
        """Return the reply to a request."""
        messages: Messages = request.body["messages"]
        tokens = self._count(messages)
        if not _take_turns(messages):
            self.refused += 1
            return Fails(400, {"message": "Conversation roles must alternate user/assistant/user/assistant/..."})
        if tokens > WINDOW:
            self.refused += 1
            return _refusal(tokens)
        if asks_for_summary(messages):
            self.summaries += 1
            return _says(summary(messages), tokens, 0)
        same = sum(1 for _ in itertools.takewhile(_are_same, zip(self._last, messages, strict=False)))
        cached = self._count(messages[:same])
        extends = same >= len(self._last) - 1  # the newest message is repeated without its note
        self.asked.append(Asked(messages[-1]["content"], facts(messages), tokens, cached, extends))
        self._last = messages
        return _says(f"Noted as number {len(self.asked)}. " + "What else? " * (len(self.asked) % 7), tokens, cached)

    def _count(self, messages: Messages) -> int:
        for text in (message["content"] for message in messages):
            if text not in self._counted:
                self._counted[text] = len(_TOKEN.findall(text))
        return sum(self._counted[message["content"]] + 5 for message in messages)


def asks_for_summary(messages: Messages) -> bool:
    """Return whether the bot asks for a summary, instead of a person asking a question."""
    return bool(messages[0]["content"].startswith("You keep the memory"))


def summary(messages: Messages) -> str:
    """Return a very short summary."""
    return "What is known: " + "; ".join(sorted(facts(messages)))


def facts(messages: Messages) -> frozenset[str]:
    """Return the facts in these messages."""
    return frozenset(FACT.findall(" ".join(message["content"] for message in messages)))


def _take_turns(messages: Messages) -> bool:
    """Return whether the roles alternate, as the chat templates of many models require."""
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
