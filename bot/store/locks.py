"""Row locks, which last until the transaction ends.

Rule: a transaction locks threads before sessions, and the rows of one table in id order. This prevents deadlocks.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.store.tables import SESSIONS, THREADS


def lock_threads(connection: Connection, *conditions: sa.ColumnElement[bool]) -> None:
    """Lock these threads."""
    connection.execute(sa.select(THREADS.c.id).where(*conditions).order_by(THREADS.c.id).with_for_update())


def lock_sessions(connection: Connection, *conditions: sa.ColumnElement[bool]) -> None:
    """Lock these sessions."""
    connection.execute(sa.select(SESSIONS.c.id).where(*conditions).order_by(SESSIONS.c.id).with_for_update())


def lock_if_open(connection: Connection, session_id: str) -> bool:
    """Return whether the session is open, and lock it, so that no other transaction closes it before this one ends."""
    return connection.execute(_OPEN, {"this_session": session_id}).first() is not None


_OPEN = (
    sa.select(SESSIONS.c.id)
    .where(SESSIONS.c.id == sa.bindparam("this_session"), SESSIONS.c.closed_at.is_(None))
    .with_for_update()
)
