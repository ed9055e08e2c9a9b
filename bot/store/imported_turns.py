"""Imported turns: those that an API caller brought into a session, and that no model of ours answered.

Rule: nothing needs their rows once their session is closed. A caller could otherwise fill the database with them, since
the rows of closed sessions count for nobody.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.store.settlement import TurnState
from bot.store.tables import MESSAGES, THREADS, TURNS
from bot.store.threads import PLATFORM_OF_CALLERS


def forget(connection: Connection, session_ids: Collection[str]) -> None:
    """Delete the imported turns of these closed sessions, and their messages."""
    _delete(connection, TURNS.c.session_id.in_(session_ids))


def forget_some(connection: Connection, turn_ids: Collection[int]) -> None:
    """Delete those of these turns that were imported, and their messages. Their session is closed."""
    _delete(connection, TURNS.c.id.in_(turn_ids))


def _delete(connection: Connection, selected: sa.ColumnElement[bool]) -> None:
    if ids := list(connection.execute(sa.select(TURNS.c.id).where(selected, *_IMPORTED)).scalars()):
        connection.execute(sa.delete(MESSAGES).where(MESSAGES.c.turn_id.in_(ids)))
        connection.execute(sa.delete(TURNS).where(TURNS.c.id.in_(ids)))


_IMPORTED = (
    TURNS.c.state == TurnState.ANSWERED.value,
    TURNS.c.model.is_(None),
    TURNS.c.prompt_tokens.is_(None),
    TURNS.c.idempotency_key.is_(None),
    TURNS.c.finished_at == TURNS.c.started_at,
    sa.exists().where(THREADS.c.id == TURNS.c.thread_id, THREADS.c.platform == PLATFORM_OF_CALLERS),
)
