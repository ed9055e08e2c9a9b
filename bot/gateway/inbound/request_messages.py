"""The meaning of a request's messages: instructions, earlier turns, the new question, and tool calls.

Rule: pure. The messages have passed validation. Here only their order is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.gateway.inbound.request_models import (
    AssistantMessage,
    InstructionMessage,
    RequestMessage,
    ToolMessage,
    UserMessage,
)
from bot.gateway.outbound.errors import invalid, unsupported
from bot.prompt.history import ChatMessage, Turn, Utterance

UNKNOWN_AUTHOR = ""  # the session's own history knows the authors of its turns

ConversationMessage = UserMessage | AssistantMessage | ToolMessage


@dataclass(frozen=True, slots=True)
class RequestMessages:
    """The messages of a request that names a session, without system messages.

    `earlier`: the turns that the client repeats. `questions`: the texts to answer. `following`: tool calls and their
    results after the question.
    """

    earlier: tuple[Turn, ...]
    questions: tuple[str, ...]
    following: tuple[ChatMessage, ...]


def in_session(messages: Sequence[RequestMessage]) -> RequestMessages:
    """Split the messages at the last answer: the messages after it are new.

    Raises ApiError if there is no new question, or if it is not from the user.
    """
    for index, message in enumerate(messages):
        if isinstance(message, UserMessage | AssistantMessage) and message.name:
            raise unsupported(f"messages[{index}].name", "in a session")
    conversation = _conversation(messages)
    last_answer = max((index for index, message in enumerate(conversation) if _is_answer(message)), default=-1)
    questions, following = _new(conversation[last_answer + 1 :])
    return RequestMessages(tuple(_turns(conversation[: last_answer + 1])), questions, following)


def instructions(messages: Sequence[RequestMessage]) -> str:
    """Return the text of the system and developer messages, in any position."""
    return "\n\n".join(_text(message) for message in messages if isinstance(message, InstructionMessage))


def compose_verbatim(messages: Sequence[RequestMessage]) -> tuple[ChatMessage, ...]:
    """Return the messages for the model, without system messages. Raises ApiError if there are none."""
    if not (conversation := _conversation(messages)):
        raise invalid("Send at least one message that is not a system message.", "messages")
    return tuple(_chat_message(message) for message in conversation)


def _conversation(messages: Sequence[RequestMessage]) -> list[ConversationMessage]:
    return [message for message in messages if not isinstance(message, InstructionMessage)]


def _new(messages: Sequence[ConversationMessage]) -> tuple[tuple[str, ...], tuple[ChatMessage, ...]]:
    """Return the texts of the new question, and the tool calls and results that follow it."""
    users = next((n for n, message in enumerate(messages) if not isinstance(message, UserMessage)), len(messages))
    if not messages:
        raise invalid(
            "There is nothing to answer: the last message must be the user's, or the result of a tool.", "messages"
        )
    if not users:
        raise invalid("Send the user's message again, before the tool calls and their results.", "messages")
    following = messages[users:]
    if any(isinstance(message, UserMessage) for message in following):
        raise invalid("A user's message must not come between tool calls and their results.", "messages")
    if following and not isinstance(following[-1], ToolMessage):
        raise invalid("Tool calls must be followed by their results.", "messages")
    return tuple(_text(message) for message in messages[:users]), tuple(map(_chat_message, following))


def _turns(messages: Sequence[ConversationMessage]) -> Iterator[Turn]:
    """Yield each question with its answer. The tool calls between them are left out."""
    question: list[Utterance] = []
    for message in messages:
        if isinstance(message, UserMessage):
            question.append(Utterance(UNKNOWN_AUTHOR, _text(message)))
        elif _is_answer(message):
            yield Turn(tuple(question) or (Utterance(UNKNOWN_AUTHOR, ""),), _text(message))
            question = []


def _is_answer(message: ConversationMessage) -> bool:
    return isinstance(message, AssistantMessage) and not message.tool_calls


def _text(message: RequestMessage) -> str:
    content = message.content or ""
    return content if isinstance(content, str) else "\n".join(part.text for part in content)


def _chat_message(message: ConversationMessage) -> ChatMessage:
    chat_message: ChatMessage = {"role": message.role, "content": _text(message)}
    if isinstance(message, ToolMessage):
        chat_message["tool_call_id"] = message.tool_call_id
    elif message.name:
        chat_message["name"] = message.name
    if isinstance(message, AssistantMessage) and message.tool_calls:
        chat_message["tool_calls"] = [call.model_dump() for call in message.tool_calls]
    return chat_message
