"""Holds: a session stays open until the transaction ends, so that no words are left in one that is being closed."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.store.tables import sessions


def is_open(connection: Connection, session_id: str) -> bool:
    """Whether the session is open; if so, nobody closes it before the transaction ends."""
    return connection.execute(_OPEN, {"this_session": session_id}).first() is not None


_OPEN = (
    sa.select(sessions.c.id)
    .where(sessions.c.id == sa.bindparam("this_session"), sessions.c.closed_at.is_(None))
    .with_for_update()
)
