"""A question of a caller who waits for the answer, over HTTP or in Python."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bot.access.redaction import Redactor
from bot.domain.events import Thread
from bot.llm import NO_PARAMETERS, Parameters
from bot.prompt.history import ChatMessage, Turn
from bot.store.repeated_turns import IdempotencyKey


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
    size: int = 0  # of the whole request in bytes, as it came
    most_bytes: int | None = None  # of text in the open sessions of the owner, an API key; None: any number
    tokens_left: int | None = None  # of the owner's key, as it was found; None: not known, or no limit
    request: str | None = None  # the request's id in the log
    reads_whole: bool = False  # no word is passed on before the answer is whole, so that it may begin anew

    def without_secrets(self, redactor: Redactor) -> Question:
        """Return the question without secrets in what people and tools wrote. The model's answers stay as they are."""

        def without(message: ChatMessage) -> ChatMessage:
            return {**message, "content": redactor.text(message["content"])}

        def verbatim(messages: tuple[ChatMessage, ...]) -> tuple[ChatMessage, ...]:
            return tuple(each if each["role"] == "assistant" else without(each) for each in messages)

        def turn(earlier: Turn) -> Turn:
            return replace(earlier, messages=tuple(replace(m, text=redactor.text(m.text)) for m in earlier.messages))

        return replace(
            self,
            texts=tuple(map(redactor.text, self.texts)),
            earlier=tuple(map(turn, self.earlier)),
            following=verbatim(self.following),
            messages=None if self.messages is None else verbatim(self.messages),
        )
