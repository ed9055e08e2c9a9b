"""Closed sessions that held much text: erase it in steps, each in a short transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.store import imported_turns, sessions
from bot.store.engine import mark_dirty
from bot.store.sessions import BYTES_PER_STEP
from bot.store.tables import FILE_CONTENTS, MESSAGES, NO_CONTENT, NO_TEXT, SESSIONS, TURNS, UNERASED

ROWS_PER_STEP = 500


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the erasure of a session has come: the last message and the last turn that it erased."""

    session_id: str
    message_id: int = 0
    turn_id: int = 0


def erase_next(connection: Connection, progress: Progress | None) -> Progress | None:
    """Erase the next texts of a closed session, and return the progress; None when all closed sessions are empty.

    A new process begins with None. Replicas may do it at once.
    """
    if progress is None:
        session_id = connection.execute(_UNERASED).scalar()
        if session_id is None:
            return None
        progress = Progress(session_id)
    mark_dirty(connection)
    if ids := _next(connection, _MESSAGES, progress.session_id, progress.message_id):
        connection.execute(sa.update(MESSAGES).where(MESSAGES.c.id.in_(ids)).values(NO_CONTENT))
        return replace(progress, message_id=ids[-1])
    if ids := _next(connection, _TURNS, progress.session_id, progress.turn_id):
        connection.execute(sa.update(TURNS).where(TURNS.c.id.in_(ids)).values(NO_TEXT))
        imported_turns.forget_some(connection, ids)
        return replace(progress, turn_id=ids[-1])
    if ids := _next(connection, _FILES, progress.session_id, 0):
        connection.execute(sa.delete(FILE_CONTENTS).where(FILE_CONTENTS.c.id.in_(ids)))
        return progress
    sessions.forget_related(connection, [progress.session_id])
    connection.execute(sa.update(SESSIONS).where(SESSIONS.c.id == progress.session_id).values(stored_bytes=0))
    following = connection.execute(_UNERASED).scalar()
    return Progress(following) if following is not None else None


def _next(connection: Connection, statement: sa.Select[Any], session_id: str, after: int) -> list[int]:
    """Return the ids of the session's next rows: as many as hold BYTES_PER_STEP together, and at least one."""
    ids, left = list[int](), BYTES_PER_STEP
    with connection.execute(statement, {"this_session": session_id, "after": after}) as rows:
        for row in rows:
            ids.append(row.id)
            left -= row.characters
            if left <= 0:
                break
    return ids


_UNERASED = sa.select(SESSIONS.c.id).where(UNERASED).limit(1)


def _rows_of(table: sa.Table, *texts: sa.Column[Any]) -> sa.Select[Any]:
    lengths = [sa.func.coalesce(sa.func.length(text), 0) for text in texts]
    return (
        sa.select(table.c.id, sum(lengths[1:], lengths[0]).label("characters"))
        .where(table.c.session_id == sa.bindparam("this_session"), table.c.id > sa.bindparam("after"))
        .order_by(table.c.id)
        .limit(ROWS_PER_STEP)
    )


_MESSAGES, _TURNS = _rows_of(MESSAGES, MESSAGES.c.text), _rows_of(TURNS, TURNS.c.answer)
_FILES = _rows_of(FILE_CONTENTS, FILE_CONTENTS.c.text, FILE_CONTENTS.c.image)
