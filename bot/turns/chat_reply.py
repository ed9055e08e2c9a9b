"""A reply: the answer on its way to a caller who waits for it.

Rule: a reply yields words, then one Done. An incomplete answer ends with an exception.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from bot.domain.sessions import Opened
from bot.errors import ModelError, Trouble
from bot.llm import Done, Retry, Usage
from bot.store.repeated_turns import Repeated
from bot.turns.answer import AnswerStream

Reply = str | Retry | Done


@dataclass(frozen=True, slots=True)
class ChatReply:
    """The reply to a question. Read its words within the block that opened it.

    `words` yields the model's words, then its Done, by when the answer is stored. At a Retry all words so far are void;
    only a question that `reads_whole` gets one. An answer that calls tools is not stored: the caller asks again, with
    their results. Raises ModelError when there is no whole answer, SessionClosed when the session was reset meanwhile,
    SessionLost when its lease was lost, and StoreUnavailable.
    """

    began_at: datetime
    words: Callable[[], AsyncGenerator[Reply, None]]
    opened: Opened | None = None  # None: without a session
    name: str = ""  # the answer's id, which never changes; none when nothing is stored
    repeated: bool = False  # it was given before
    cost: Callable[[], int] = lambda: 0  # the tokens that it has used until now


def whole_answer(answer: AnswerStream) -> Done:
    """Return the end of an answer, with its usage or an estimate. Raises ModelError when the answer is not whole."""
    result = answer.result
    if result.trouble is not None or result.done is None:
        trouble = result.trouble or Trouble.CUT
        raise ModelError(trouble, result.detail, param=result.param, retry_after_s=result.retry_after_s)
    if result.done.usage is not None:
        return result.done
    return replace(result.done, usage=Usage(answer.prompt.tokens, completion=answer.cost.completion_tokens))


def repeated(known: Repeated) -> ChatReply:
    """Return the reply that the first request with this idempotency key got."""

    async def words() -> AsyncGenerator[str | Done, None]:
        if known.text:
            yield known.text
        yield Done(known.model, known.usage, known.truncated)

    name = name_of(known.session_id, known.fence)
    return ChatReply(known.began_at, words, known.opened, name, repeated=True)


def name_of(session_id: str, fence: int) -> str:
    """Return the name of the answer that was begun with this fence.

    No other answer has it: a session outlives no thread, and a thread counts its fences. A turn's id is no such name,
    because SQLite gives the id of a turn that was withdrawn to the next one.
    """
    return f"{session_id}:{fence}"
