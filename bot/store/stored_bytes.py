"""Stored bytes: how much text a session holds, and the sessions of an API key together.

Rule: a transaction that stores or erases a session's text changes both counts. It changes the key's row last, because
the requests of a key wait for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.events import storable
from bot.errors import StorageFull
from bot.store.tables import API_KEYS, MESSAGES, RUNNING, SESSIONS, TURNS

ROW_BYTES = 300  # of a message without its text, in its table and its indexes
MOST_OF_SESSION = 16_000_000  # a session with more expires


def size(texts: Iterable[str]) -> int:
    """Return how many bytes these messages count for."""
    return sum(ROW_BYTES + length(text) for text in texts)


def length(text: str | None) -> int:
    """Return how many bytes the database stores for a text."""
    return len(storable(text or "").encode())


def recounted(connection: Connection, selected: sa.ColumnElement[bool]) -> int:
    """Return how many bytes these messages, and the answers to them, count for. Running turns count no answer yet."""
    messages = connection.execute(sa.select(MESSAGES.c.text, MESSAGES.c.turn_id).where(selected)).all()
    turn_ids = {message.turn_id for message in messages}
    answers = connection.execute(sa.select(TURNS.c.answer).where(TURNS.c.id.in_(turn_ids), ~RUNNING)).scalars()
    return size(message.text for message in messages) + sum(map(length, answers))


def held(
    connection: Connection, turns: sa.ColumnElement[bool], messages: sa.ColumnElement[bool] | None = None
) -> Counter[str]:
    """Return how many bytes of text each session holds in the answers of these turns and in these messages."""
    statements = [sa.select(TURNS.c.session_id, TURNS.c.answer).where(turns, ~RUNNING)]
    if messages is not None:
        statements.append(sa.select(MESSAGES.c.session_id, MESSAGES.c.text).where(messages))
    totals = Counter[str]()
    for statement in statements:
        for session_id, text in connection.execute(statement):
            if session_id is not None:  # a command is in no session
                totals[session_id] += length(text)
    return totals


def subtract(connection: Connection, before: Counter[str], after: Counter[str]) -> None:
    """Count no longer, for open sessions and their keys, the bytes that they held before an erasure and not after."""
    erased = {session_id: count - after[session_id] for session_id, count in before.items()}
    owned = []
    for session_id, count in sorted(erased.items()):
        session = connection.execute(_ADD, {"this_session": session_id, "count": -count}).first() if count else None
        if session is not None:
            owned.append((session.owner, count))
    release(connection, owned)


def add(connection: Connection, session_id: str, count: int) -> int:
    """Count `count` more bytes for an open session, and for the key that owns it. Return the session's bytes."""
    session = connection.execute(_ADD, {"this_session": session_id, "count": count}).first()
    if session is None:
        return 0
    connection.execute(_ADD_TO_KEY, {"owner": session.owner, "count": count})
    return int(session.stored_bytes)


def claim(connection: Connection, session_id: str, count: int, *, limit: int | None) -> None:
    """Like add. Raises StorageFull when the sessions of the key would hold more than `limit` bytes."""
    if limit is None:
        add(connection, session_id, count)
        return
    owner = connection.execute(_ADD, {"this_session": session_id, "count": count}).scalar()
    is_added = connection.execute(_ADD_UP_TO, {"owner": owner, "count": count, "limit": limit}).rowcount > 0
    if not is_added and connection.execute(_KEY, {"owner": owner}).first() is not None:
        raise StorageFull(limit)


def release(connection: Connection, closed: Iterable[tuple[str, int]]) -> None:
    """Count nothing more in the keys that owned these sessions, which are closed or will be deleted.

    `closed`: the owner and the bytes of each.
    """
    totals = Counter[str]()
    for owner, count in closed:
        totals[owner] += count
    owners = [owner for owner, count in totals.items() if owner and count]
    for owner in sorted(connection.execute(_KEYS, {"owners": owners}).scalars()) if owners else ():
        connection.execute(_ADD_TO_KEY, {"owner": owner, "count": -totals[owner]})


_COUNT = sa.bindparam("count", type_=sa.BigInteger)


def _increased(stored: sa.Column[int]) -> sa.ColumnElement[int]:
    return sa.case((stored + _COUNT > 0, stored + _COUNT), else_=0)


_ADD = (
    sa.update(SESSIONS)
    .where(SESSIONS.c.id == sa.bindparam("this_session"), SESSIONS.c.closed_at.is_(None))
    .values(stored_bytes=_increased(SESSIONS.c.stored_bytes))
    .returning(SESSIONS.c.owner, SESSIONS.c.stored_bytes)
)
_KEY = sa.select(API_KEYS.c.id).where(API_KEYS.c.id == sa.bindparam("owner"))
_KEYS = sa.select(API_KEYS.c.id).where(API_KEYS.c.id.in_(sa.bindparam("owners", expanding=True)))
_ADD_TO_KEY = (
    sa.update(API_KEYS)
    .where(API_KEYS.c.id == sa.bindparam("owner"))
    .values(stored_bytes=_increased(API_KEYS.c.stored_bytes))
)
_ADD_UP_TO = _ADD_TO_KEY.where(API_KEYS.c.stored_bytes + _COUNT <= sa.bindparam("limit", type_=sa.BigInteger))
