"""Repeated turns: a request that comes again with its idempotency key gets the answer that it got before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.sessions import Opened
from bot.llm import Usage
from bot.store.tables import MESSAGES, SESSIONS, TURNS


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's name for a request, by which it is answered once: its hash, and a digest of the whole request."""

    hash: str
    digest: str


@dataclass(frozen=True, slots=True)
class Repeated:
    """The answer that a request with this idempotency key got before."""

    session_id: str
    fence: int  # under which it was answered
    began_at: datetime
    opened: Opened  # how the first request found its session
    same: bool  # both requests ask the same
    text: str
    model: str
    usage: Usage
    truncated: bool


def find(connection: Connection, thread_id: int, key: IdempotencyKey, since: datetime) -> Repeated | None:
    """Return the answer to the request with this key, if its session is open, and was active since then."""
    row = connection.execute(_REPEATED, {"in_thread": thread_id, "key_hash": key.hash, "since": since}).first()
    if row is None:
        return None
    usage = Usage(row.prompt_tokens or 0, row.cached_tokens or 0, row.completion_tokens or 0)
    same, truncated = row.request_digest == key.digest, bool(row.truncated)
    # Imported turns have no model.
    earlier = sa.exists().where(TURNS.c.session_id == row.session_id, TURNS.c.id < row.id, TURNS.c.model.is_not(None))
    how = opened(connection, row.session_id, new=not connection.execute(sa.select(earlier)).scalar())
    fence = _fence_of(connection.execute(_A_MESSAGE, {"this_turn": row.id}).scalar_one())
    return Repeated(row.session_id, fence, row.started_at, how, same, row.answer, row.model or "", usage, truncated)


def message_id(fence: int, number: int) -> str:
    """Return the id of a caller's message: the n-th one that was stored under this fence."""
    return f"{fence:010}.{number:06}"  # sorts as text: no fence comes twice in a thread


def _fence_of(message_id: str) -> int:
    return int(message_id.partition(".")[0])


_A_MESSAGE = sa.select(sa.func.min(MESSAGES.c.message_id)).where(MESSAGES.c.turn_id == sa.bindparam("this_turn"))
_REPEATED = (
    sa.select(TURNS)
    .join(SESSIONS, SESSIONS.c.id == TURNS.c.session_id)
    .where(
        TURNS.c.thread_id == sa.bindparam("in_thread"),
        TURNS.c.idempotency_key == sa.bindparam("key_hash"),
        TURNS.c.answer.is_not(None),
        SESSIONS.c.closed_at.is_(None),
        SESSIONS.c.last_active_at >= sa.bindparam("since"),
    )
    .order_by(TURNS.c.id.desc())
    .limit(1)
)


def opened(connection: Connection, session_id: str, *, new: bool) -> Opened:
    """Return how a request found its session. `new`: no earlier request was answered in it."""
    if not new:
        return Opened.CONTINUED
    expired = sa.select(SESSIONS.c.follows_expired).where(SESSIONS.c.id == session_id)
    return Opened.EXPIRED if connection.execute(expired).scalar() else Opened.CREATED
