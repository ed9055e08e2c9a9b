"""Purge: delete the rows of closed sessions and settled commands after the retention time.

Rule: replicas may purge at once. A batch is small, so that other transactions need not wait long.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.store import threads
from bot.store.tables import MESSAGES, POSTED_MESSAGES, RUNNING, SESSIONS, TURNS

TURNS_BATCH = 300


def delete_old_rows(connection: Connection, *, before: datetime, batch: int) -> int:
    """Delete at most `batch` sessions that closed before that time, and as many older messages without a session.

    Return how many in all. A thread stays if a session was opened or reset in it, because messages that are older
    than that must not be read there again. Other threads are deleted once they are empty.
    """
    session_threads = _closed_sessions(connection, before, batch)
    message_threads = _messages_without_session(connection, before, batch)
    _delete_sessions(connection, list(session_threads))
    _delete_messages(connection, list(message_threads))
    threads.remove_empty(connection, {*session_threads.values(), *message_threads.values()})
    return len(session_threads) + len(message_threads)


def delete_old_turns(connection: Connection, *, before: datetime, batch: int) -> int:
    """Delete at most TURNS_BATCH turns of those sessions that `delete_old_rows` deletes next. Return how many.

    A session may have any number of turns. This leaves little to be deleted with the session itself.
    """
    sessions = list(_closed_sessions(connection, before, batch))
    some = sa.select(TURNS.c.id).where(TURNS.c.session_id.in_(sessions)).limit(TURNS_BATCH)
    ids = list(connection.execute(some).scalars())
    connection.execute(sa.delete(POSTED_MESSAGES).where(POSTED_MESSAGES.c.turn_id.in_(ids)))
    connection.execute(sa.delete(MESSAGES).where(MESSAGES.c.turn_id.in_(ids)))  # also the commands that stopped them
    connection.execute(sa.delete(TURNS).where(TURNS.c.id.in_(ids)))
    return len(ids)


def _closed_sessions(connection: Connection, before: datetime, batch: int) -> dict[str, int]:
    """Lock and return sessions that closed before that time, with their threads. Skip those that are locked."""
    statement = (
        sa.select(SESSIONS.c.id, SESSIONS.c.thread_id)
        .where(SESSIONS.c.closed_at < before)
        .order_by(SESSIONS.c.closed_at)
        .limit(batch)
        .with_for_update(skip_locked=True)
    )
    return {row.id: row.thread_id for row in connection.execute(statement)}


def _messages_without_session(connection: Connection, before: datetime, batch: int) -> dict[int, int]:
    """Lock and return old, settled messages without a session, with their threads.

    These are commands, and messages that were deleted before they arrived.
    """
    is_settled = sa.exists().where(TURNS.c.id == MESSAGES.c.turn_id, ~RUNNING)
    statement = (
        sa.select(MESSAGES.c.id, MESSAGES.c.thread_id)
        .where(MESSAGES.c.session_id.is_(None), MESSAGES.c.accepted_at < before, is_settled)
        .order_by(MESSAGES.c.accepted_at)
        .limit(batch)
        .with_for_update(skip_locked=True)
    )
    return {row.id: row.thread_id for row in connection.execute(statement)}


def _delete_sessions(connection: Connection, ids: Sequence[str]) -> None:
    turn_ids = sa.select(TURNS.c.id).where(TURNS.c.session_id.in_(ids))
    connection.execute(sa.delete(POSTED_MESSAGES).where(POSTED_MESSAGES.c.turn_id.in_(turn_ids)))
    connection.execute(sa.delete(MESSAGES).where(MESSAGES.c.session_id.in_(ids)))
    connection.execute(sa.delete(MESSAGES).where(MESSAGES.c.turn_id.in_(turn_ids)))  # the commands that stopped them
    connection.execute(sa.delete(TURNS).where(TURNS.c.session_id.in_(ids)))
    connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.id.in_(ids)))


def _delete_messages(connection: Connection, ids: Sequence[int]) -> None:
    """Delete these messages without a session, and their turns when no other message belongs to them."""
    turn_ids = list(connection.execute(sa.select(MESSAGES.c.turn_id).where(MESSAGES.c.id.in_(ids))).scalars())
    connection.execute(sa.delete(MESSAGES).where(MESSAGES.c.id.in_(ids)))
    has_messages = sa.exists().where(MESSAGES.c.turn_id == TURNS.c.id)
    empty = sa.select(TURNS.c.id).where(TURNS.c.id.in_(turn_ids), TURNS.c.session_id.is_(None), ~has_messages)
    empty_ids = list(connection.execute(empty).scalars())
    connection.execute(sa.delete(POSTED_MESSAGES).where(POSTED_MESSAGES.c.turn_id.in_(empty_ids)))
    connection.execute(sa.delete(TURNS).where(TURNS.c.id.in_(empty_ids)))
