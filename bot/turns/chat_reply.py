"""A reply: the answer on its way to a caller who waits for it.

Rule: words, then one Done. Whatever kept the answer from being whole is raised.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime

from bot.domain.sessions import Opened
from bot.errors import ModelError, SessionClosed, Trouble
from bot.llm import Done, Usage
from bot.prompt.tokens import estimate_tokens
from bot.store.chat_turns import Repeated
from bot.turns.answer import AnswerStream

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChatReply:
    """The reply to a question: read its words within the block that opened it.

    `words` gives the model's words, then its Done, by when the answer is remembered. Not so one that calls tools: its
    question is asked again, with their results. Raises ModelError when there is no whole answer, SessionClosed when
    the session was reset meanwhile, SessionLost when its lease was lost, and StoreUnavailable.
    """

    began_at: datetime
    words: Callable[[], AsyncGenerator[str | Done, None]]
    opened: Opened | None = None  # None: without a session
    name: str = ""  # the answer's own, for ever; none when nothing is remembered
    repeated: bool = False  # it was given before
    prompt_tokens: Callable[[], int] = lambda: 0  # estimated: all that the model is shown


async def words_of(answer: AnswerStream, where: Mapping[str, object]) -> AsyncGenerator[str | Done, None]:
    """The model's words, then its Done, with its usage or an estimate; or what went wrong is raised.

    `where` it was asked is for the log.
    """
    async with aclosing(answer.words()) as words:
        async for word in words:
            yield word
    said = answer.said
    if said.interrupted is not None:
        raise SessionClosed("the session was reset meanwhile")
    if said.trouble is not None or said.done is None:
        trouble = said.trouble or Trouble.CUT
        log.error("no whole answer from the model", extra={**where, "trouble": trouble.value, "detail": said.detail})
        raise ModelError(trouble, said.detail, param=said.param)
    estimated = Usage(answer.prompt.tokens, completion=estimate_tokens(said.text))
    yield replace(said.done, usage=said.done.usage or estimated)


def repeated(known: Repeated) -> ChatReply:
    """The reply that was given before."""

    async def words() -> AsyncGenerator[str | Done, None]:
        if known.text:
            yield known.text
        yield Done(known.model, known.usage, known.truncated)

    name = name_of(known.session_id, known.turn_id)
    return ChatReply(known.began_at, words, known.opened, name, repeated=True)


def name_of(session_id: str | None, turn_id: int) -> str:
    """The name of the answer to this turn."""
    return f"{session_id}:{turn_id}"
