"""What a request's messages mean: instructions, what the session may have already, what is new, and calls of tools.

Rule: pure. The messages have passed their schema; what is wrong with their order is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.gateway.errors import invalid, unsupported
from bot.prompt.history import ChatMessage, Turn, Utterance

Message = Mapping[str, Any]
NOBODY = ""  # who said what a client recalls: its session knows


@dataclass(frozen=True, slots=True)
class RequestMessages:
    """The messages of a request that names a session, but for the system's."""

    recalled: tuple[Turn, ...]
    said: tuple[str, ...]
    following: tuple[ChatMessage, ...]


def in_session(messages: Sequence[Message]) -> RequestMessages:
    """What is new are the messages after the last answer. A refusal when there are none, or not from a user."""
    for index, message in enumerate(messages):
        if "name" in message:
            raise unsupported(f"messages[{index}].name", "in a session")
    spoken = _spoken(messages)
    last = max((index for index, message in enumerate(spoken) if _is_answer(message)), default=-1)
    said, following = _new(spoken[last + 1 :])
    return RequestMessages(tuple(_turns(spoken[: last + 1])), said, following)


def instructions(messages: Sequence[Message]) -> str:
    """What the client's system messages say, wherever they stand."""
    return "\n\n".join(_text(message) for message in messages if _is_system(message))


def as_they_are(messages: Sequence[Message]) -> tuple[ChatMessage, ...]:
    """The messages for the model, but for the system's. A refusal when there are none."""
    if not (spoken := _spoken(messages)):
        raise invalid("There must be at least one message that is not of the system.", "messages")
    return tuple(_shown(message) for message in spoken)


def _spoken(messages: Sequence[Message]) -> list[Message]:
    return [message for message in messages if not _is_system(message)]


def _new(messages: Sequence[Message]) -> tuple[tuple[str, ...], tuple[ChatMessage, ...]]:
    """The user's words, and what followed them."""
    users = next((index for index, message in enumerate(messages) if message["role"] != "user"), len(messages))
    if not messages:
        raise invalid("There is nothing to answer: the last message must be a user's, or a tool's result.", "messages")
    if not users:
        raise invalid("Send the user's message again, before the tool calls and their results.", "messages")
    following = messages[users:]
    if any(message["role"] == "user" for message in following):
        raise invalid("A user's message cannot stand between tool calls and their results.", "messages")
    if following and following[-1]["role"] != "tool":
        raise invalid("After tool calls there must be their results.", "messages")
    return tuple(_text(message) for message in messages[:users]), tuple(_shown(message) for message in following)


def _turns(messages: Sequence[Message]) -> list[Turn]:
    """Questions and their answers; the calls of tools between them are left out."""
    found: list[Turn] = []
    said: list[Utterance] = []
    for message in messages:
        if message["role"] == "user":
            said.append(Utterance(NOBODY, _text(message)))
        elif _is_answer(message):
            found.append(Turn(tuple(said) or (Utterance(NOBODY, ""),), _text(message)))
            said = []
    return found


def _is_system(message: Message) -> bool:
    return message["role"] in {"system", "developer"}


def _is_answer(message: Message) -> bool:
    return message["role"] == "assistant" and not message.get("tool_calls")


def _text(message: Message) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content)


def _shown(message: Message) -> ChatMessage:
    shown: ChatMessage = {"role": message["role"], "content": _text(message)}
    if name := message.get("name"):
        shown["name"] = name
    if calls := message.get("tool_calls"):
        shown["tool_calls"] = calls
    if call := message.get("tool_call_id"):
        shown["tool_call_id"] = call
    return shown
