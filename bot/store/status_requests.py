"""Status requests: a message in a thread that asks about the bot's memory there. It belongs to no session."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from bot.domain.events import StatusRequested
from bot.domain.sessions import StatusReply
from bot.store import message_rows, threads


def accept(connection: Connection, event: StatusRequested, *, now: datetime) -> int | None:
    """Store a status request, to be replied to, and return its thread's id. It does not touch the session.

    Return None for a duplicate, or for a bare `!status` in a thread in which the bot takes no part.
    """
    event = replace(event, thread=threads.located(connection, event.thread, event.message_id))
    row = threads.find(connection, event.thread)
    if not (event.mentions_bot or event.thread.direct or (row is not None and row.engaged)):
        return None
    thread_id = row.id if row is not None else threads.ensure(connection, event.thread)
    stored = message_rows.insert_command(connection, thread_id, event, now, StatusReply.STATUS.value)
    return int(thread_id) if stored else None
