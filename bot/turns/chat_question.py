"""A question of a caller who waits for the answer, over HTTP or in Python, and the thread of its session."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from bot.domain.events import Thread
from bot.llm import NO_PARAMETERS, Parameters
from bot.prompt.history import ChatMessage, Turn
from bot.store import chat_turns
from bot.store.chat_turns import IdempotencyKey


@dataclass(frozen=True, slots=True)
class Question:
    """One request of a caller."""

    owner: str
    thread: Thread | None  # None: nothing is stored
    texts: tuple[str, ...] = ()  # the messages to answer, in a session
    earlier: tuple[Turn, ...] = ()  # earlier turns that the caller sent along
    following: tuple[ChatMessage, ...] = ()  # after `texts`: tool calls, and their results
    messages: tuple[ChatMessage, ...] | None = None  # for the model as they are, instead of a session's turns
    instructions: str = ""  # below the persona
    parameters: Parameters = field(default_factory=lambda: NO_PARAMETERS)
    idempotency_key: IdempotencyKey | None = None
    request: str | None = None  # the request's id in the log
    reads_whole: bool = False  # no word is passed on before the answer is whole, so that it may begin anew


def place(owner: str, name: str) -> Thread:
    """Return the thread of the session that its owner calls by this name: the session header, or the chat's id."""
    return Thread(chat_turns.PLATFORM, owner, "", _digest(name), direct=True)


def place_of_one(owner: str, idempotency_key: str) -> Thread:
    """Return the thread of a question without a session, where its idempotency key is stored."""
    return Thread(chat_turns.PLATFORM, owner, "once", _digest(idempotency_key), direct=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()  # one length for texts of any length
