"""Retention: the emptied rows of what is over are deleted after a while; that the bot took part in a thread stays.

Rule: safe on several replicas at once; a batch is small, so that answers go between two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.store import threads as thread_rows
from bot.store.tables import RUNNING, POSTED_MESSAGES, MESSAGES, SESSIONS, TURNS


def expunge(connection: Connection, *, before: datetime, batch: int) -> int:
    """Delete at most `batch` sessions that closed before then, and as many older messages of none; how many in all.

    A thread in which a session began, or a reset was asked for, stays: what is older is not to be read there again.
    Any other goes when nothing is left of it.
    """
    closed = _closed(connection, before, batch)
    apart = _apart(connection, before, batch)
    _delete_sessions(connection, list(closed))
    _delete_apart(connection, list(apart))
    thread_rows.remove_empty(connection, {*closed.values(), *apart.values()})
    return len(closed) + len(apart)


def _closed(connection: Connection, before: datetime, batch: int) -> dict[str, int]:
    """Sessions that are long over, with their threads; none that another replica deletes now."""
    found = (
        sa.select(SESSIONS.c.id, SESSIONS.c.thread_id)
        .where(SESSIONS.c.closed_at < before)
        .order_by(SESSIONS.c.closed_at)
        .limit(batch)
        .with_for_update(skip_locked=True)
    )
    return {row.id: row.thread_id for row in connection.execute(found)}


def _apart(connection: Connection, before: datetime, batch: int) -> dict[int, int]:
    """Messages of no session (commands, what was deleted before it came) that are long settled, with their threads."""
    settled = sa.exists().where(TURNS.c.id == MESSAGES.c.turn_id, ~RUNNING)
    found = (
        sa.select(MESSAGES.c.id, MESSAGES.c.thread_id)
        .where(MESSAGES.c.session_id.is_(None), MESSAGES.c.accepted_at < before, settled)
        .order_by(MESSAGES.c.accepted_at)
        .limit(batch)
        .with_for_update(skip_locked=True)
    )
    return {row.id: row.thread_id for row in connection.execute(found)}


def _delete_sessions(connection: Connection, ids: Sequence[str]) -> None:
    theirs = sa.select(TURNS.c.id).where(TURNS.c.session_id.in_(ids))
    connection.execute(sa.delete(POSTED_MESSAGES).where(POSTED_MESSAGES.c.turn_id.in_(theirs)))
    connection.execute(sa.delete(MESSAGES).where(MESSAGES.c.session_id.in_(ids)))
    connection.execute(sa.delete(MESSAGES).where(MESSAGES.c.turn_id.in_(theirs)))  # what stopped them
    connection.execute(sa.delete(TURNS).where(TURNS.c.session_id.in_(ids)))
    connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.id.in_(ids)))


def _delete_apart(connection: Connection, ids: Sequence[int]) -> None:
    said = sa.select(MESSAGES.c.turn_id).where(MESSAGES.c.id.in_(ids))
    turn_ids = list(connection.execute(said).scalars())
    connection.execute(sa.delete(MESSAGES).where(MESSAGES.c.id.in_(ids)))
    needed = sa.exists().where(MESSAGES.c.turn_id == TURNS.c.id)
    over = sa.select(TURNS.c.id).where(TURNS.c.id.in_(turn_ids), TURNS.c.session_id.is_(None), ~needed)
    gone = list(connection.execute(over).scalars())
    connection.execute(sa.delete(POSTED_MESSAGES).where(POSTED_MESSAGES.c.turn_id.in_(gone)))
    connection.execute(sa.delete(TURNS).where(TURNS.c.id.in_(gone)))
