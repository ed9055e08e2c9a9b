"""Forwarded messages: words of a person within the messages of others, who passed them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.events import Forwarded, stored_content
from bot.store import file_contents, stored_bytes
from bot.store.tables import MESSAGES, SESSIONS, THREAD_CONTEXT, THREADS

_ERASED = stored_content("", (), [Forwarded("", "", "")])["forwarded"]


def erase_by(connection: Connection, place: Sequence[sa.ColumnElement[bool]], person: str) -> dict[int, int]:
    """Erase this person's words that others passed on, in the threads that match `place`.

    Return the turns that have shown them, each with its thread.
    """
    shown: dict[int, int] = {}
    for table in (MESSAGES, THREAD_CONTEXT):
        quotes = sa.cast(table.c.forwarded, sa.Text).contains(person, autoescape=True)
        found = sa.select(table.c.thread_id).where(table.c.forwarded.is_not(None), quotes)
        threads = set(connection.execute(found).scalars())  # by itself, so that the small partial index is read
        if not threads:
            continue
        in_place = sa.select(THREADS.c.id).where(THREADS.c.id.in_(threads), *place)
        locked = list(connection.execute(in_place.order_by(THREADS.c.id).with_for_update()).scalars())
        for row in connection.execute(_rows(table).where(table.c.thread_id.in_(locked), quotes)).all():
            if not _names(row.forwarded, person):
                continue
            forwarded = [_ERASED[0] if each["author_id"] == person else each for each in row.forwarded]
            connection.execute(sa.update(table).where(table.c.id == row.id).values(forwarded=forwarded))
            difference = stored_bytes.of_message("", forwarded) - stored_bytes.of_message("", row.forwarded)
            stored_bytes.add(connection, row.session_id, difference)
            left = file_contents.ids_in(row.attachments, forwarded)
            file_contents.keep_only(connection, row.thread_id, row.message_id, left)
            if row.shown_in is not None:
                shown[row.shown_in] = row.thread_id
    return shown


def _rows(table: sa.Table) -> sa.Select[Any]:
    """Return the statement for messages with the turns that show them."""
    shown_in = MESSAGES.c.turn_id if table is MESSAGES else SESSIONS.c.background_turn_id
    shown = (table.c[name] for name in ("id", "thread_id", "session_id", "message_id", "attachments", "forwarded"))
    rows = sa.select(*shown, shown_in.label("shown_in"))
    joined = rows if table is MESSAGES else rows.outerjoin(SESSIONS, SESSIONS.c.id == table.c.session_id)
    return joined.where(table.c.forwarded.is_not(None)).order_by(table.c.id)


def _names(forwarded: Sequence[Mapping[str, Any]], person: str) -> bool:
    return any(each["author_id"] == person for each in forwarded)
