"""Forwarded messages: words of a person within the messages of others, who passed them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.events import Forwarded, stored_content
from bot.store import file_contents, stored_bytes
from bot.store.locks import lock_threads
from bot.store.tables import MESSAGES, SESSIONS, THREAD_CONTEXT, THREADS

_SHOWN = ("session_id", "message_id", "attachments", "forwarded")
_ERASED = stored_content("", (), [Forwarded("", "", "")])["forwarded"]


def erase_by(connection: Connection, place: Sequence[sa.ColumnElement[bool]], person: str) -> dict[int, int]:
    """Erase this person's words that others passed on, in the threads that match `place`.

    Return the turns that have shown them, each with its thread.
    """
    shown: dict[int, int] = {}
    for table, turn_id in ((MESSAGES, MESSAGES.c.turn_id), (THREAD_CONTEXT, SESSIONS.c.background_turn_id)):
        quotes = sa.cast(table.c.forwarded, sa.Text).contains(person, autoescape=True)
        found = (
            sa.select(table.c.id, table.c.thread_id, turn_id.label("turn_id"), *(table.c[name] for name in _SHOWN))
            .outerjoin(SESSIONS, SESSIONS.c.id == table.c.session_id)
            # Not a join: few messages are forwarded, and a workspace may have many threads.
            .where(table.c.forwarded.is_not(None), quotes, sa.exists().where(THREADS.c.id == table.c.thread_id, *place))
        )
        lock_threads(connection, THREADS.c.id.in_({row.thread_id for row in connection.execute(found)}))
        for row in connection.execute(found).all():
            forwarded = [_ERASED[0] if each["author_id"] == person else each for each in row.forwarded]
            connection.execute(sa.update(table).where(table.c.id == row.id).values(forwarded=forwarded))
            difference = stored_bytes.of_message("", forwarded) - stored_bytes.of_message("", row.forwarded)
            stored_bytes.add(connection, row.session_id, difference)
            left = file_contents.ids_in(row.attachments, forwarded)
            file_contents.keep_only(connection, row.thread_id, row.message_id, left)
            if row.turn_id is not None and _names(row.forwarded, person):
                shown[row.turn_id] = row.thread_id
    return shown


def _names(forwarded: Sequence[Mapping[str, Any]], person: str) -> bool:
    return any(each["author_id"] == person for each in forwarded)
