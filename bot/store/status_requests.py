"""Asking, in a thread, what is remembered there: a message that is owed a line, and belongs to no session."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bot.domain.events import StatusRequested
from bot.domain.sessions import StatusReply
from bot.store import threads as thread_rows
from bot.store.engine import insert_or_ignore
from bot.store.tables import messages


def accept(connection: Connection, asked: StatusRequested, *, now: datetime) -> int | None:
    """Store a message that asks what is remembered, which is owed a line; the id of its thread.

    None for a duplicate, or a bare `!status` where the bot takes no part. Asking is no activity of the session.
    """
    known = thread_rows.find(connection, asked.thread)
    if not (asked.mentions_bot or asked.thread.direct or (known is not None and known.engaged)):
        return None
    thread_id = known.id if known is not None else thread_rows.ensure(connection, asked.thread)
    values: dict[str, Any] = {
        "thread_id": thread_id,
        "message_id": asked.message_id,
        "author_id": asked.author.id,
        "author_workspace": asked.author.workspace,
        "text": "",
        "attachments": [],
        "fixed_reply": StatusReply.STATUS.value,
        "accepted_at": now,
    }
    return int(thread_id) if insert_or_ignore(connection, messages, values) is not None else None
