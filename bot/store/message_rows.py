"""Rows of messages: each message of a platform is inserted once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.events import MessageReceived, QuietRequested, ResetRequested, StatusRequested, StopRequested
from bot.store.engine import insert_or_ignore
from bot.store.tables import MESSAGES, NO_CONTENT, THREADS

Written = MessageReceived | ResetRequested | StatusRequested | StopRequested | QuietRequested


def insert(connection: Connection, thread_id: int, event: Written, now: datetime, **values: Any) -> None:
    """Insert the row of a message that is no duplicate."""
    connection.execute(sa.insert(MESSAGES), values | _of(thread_id, event, now))


def insert_command(connection: Connection, thread_id: int, event: Written, now: datetime, fixed_reply: str) -> bool:
    """Insert the row of a command that touches no session, to be replied to; False for a duplicate."""
    values = {**NO_CONTENT, "fixed_reply": fixed_reply, **_of(thread_id, event, now)}
    return insert_or_ignore(connection, MESSAGES, values) is not None


def is_duplicate(connection: Connection, thread_id: int, event: Written) -> bool:
    """Return whether this message is stored already, also under another id."""
    same_id = {"in_thread": thread_id, "this_message": event.message_id}
    if connection.execute(_SAME_MESSAGE_ID, same_id).first() is not None:
        return True
    if not isinstance(event, MessageReceived) or event.client_id is None:
        return False
    same_client_id = {
        "this_client_id": event.client_id,
        "by": event.author.id,
        "on_platform": event.thread.platform,
        "in_workspace": event.thread.workspace,
        "in_channel": event.thread.channel,
    }
    return connection.execute(_SAME_CLIENT_ID, same_client_id).first() is not None


def _of(thread_id: int, event: Written, now: datetime) -> dict[str, Any]:
    return {
        "thread_id": thread_id,
        "message_id": event.message_id,
        "author_id": event.author.id,
        "author_workspace": event.author.workspace,
        "accepted_at": now,
    }


_SAME_MESSAGE_ID = sa.select(MESSAGES.c.id).where(
    MESSAGES.c.thread_id == sa.bindparam("in_thread"), MESSAGES.c.message_id == sa.bindparam("this_message")
)
# Slack may deliver one message twice, with two values of `ts` and the same `client_msg_id`.
_SAME_CLIENT_ID = (
    sa.select(MESSAGES.c.id)
    .join(THREADS, THREADS.c.id == MESSAGES.c.thread_id)
    .where(
        MESSAGES.c.client_id == sa.bindparam("this_client_id"),
        MESSAGES.c.author_id == sa.bindparam("by"),
        THREADS.c.platform == sa.bindparam("on_platform"),
        THREADS.c.workspace == sa.bindparam("in_workspace"),
        THREADS.c.channel == sa.bindparam("in_channel"),
    )
    .limit(1)
)
