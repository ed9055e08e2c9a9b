"""Accepting: a message or a reset becomes rows, once, in the transaction that is committed before Slack is told."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.events import Author, MessageReceived, ResetRequested, Thread
from bot.sessions import Closed, ResetOutcome, wants_answer
from bot.store import sessions as session_rows
from bot.store import threads as thread_rows
from bot.store.claims import State
from bot.store.engine import storable
from bot.store.tables import RUNNING, messages, sessions, threads, turns


def accept(
    connection: Connection, message: MessageReceived, *, now: datetime, new_id: str, idle_after: timedelta
) -> int | None:
    """Store a message that wants an answer; the id of its thread. None when it wants none or is a duplicate.

    An ignored message leaves no trace, so that it cannot hide a later event of the same message.
    """
    known = thread_rows.find(connection, message.thread)
    if not wants_answer(message, engaged=known is not None and known.engaged):
        return None
    thread_id = known.id if known is not None else thread_rows.ensure(connection, message.thread)
    if _is_duplicate(connection, thread_id, message):
        return None
    session_id = session_rows.continue_or_open(connection, thread_id, new_id=new_id, now=now, idle_after=idle_after)
    if known is None or not known.engaged:
        thread_rows.engage(connection, thread_id)
    _insert(
        connection,
        thread_id,
        message,
        now,
        session_id=session_id,
        text=storable(message.text),
        attachments=[asdict(attachment) for attachment in message.attachments],
        client_id=message.client_id,
    )
    return thread_id


def accept_reset(
    connection: Connection, asked: ResetRequested, *, now: datetime
) -> tuple[ResetOutcome, int] | tuple[None, None]:
    """Reset the thread's session and store the message that asked, which is owed a line of confirmation.

    The outcome and the thread's id; neither for a duplicate, or a bare `!reset` where the bot takes no part.
    """
    known = thread_rows.find(connection, asked.thread)
    if not (asked.mentions_bot or asked.thread.direct or (known is not None and known.engaged)):
        return None, None
    thread_id = known.id if known is not None else thread_rows.ensure(connection, asked.thread)
    if _is_duplicate(connection, thread_id, asked):
        return None, None
    outcome = _reset(connection, thread_id, asked.author, now)
    _insert(connection, thread_id, asked, now, text="", attachments=[], fixed_reply=outcome.value)
    return outcome, thread_id


def reset(connection: Connection, thread: Thread, author: Author, *, now: datetime) -> tuple[ResetOutcome, int | None]:
    """Reset the thread's open session for somebody who took part in it; the outcome and the thread's id."""
    known = thread_rows.find(connection, thread)
    if known is None:
        return ResetOutcome.NOTHING, None
    return _reset(connection, known.id, author, now), known.id


def _reset(connection: Connection, thread_id: int, author: Author, now: datetime) -> ResetOutcome:
    session_id = connection.execute(
        sa.select(sessions.c.id)
        .where(sessions.c.thread_id == thread_id, sessions.c.closed_at.is_(None))
        .with_for_update()
    ).scalar()
    if session_id is None:
        return ResetOutcome.NOTHING
    if not session_rows.took_part(connection, session_id, author.id):
        return ResetOutcome.NOT_YOURS
    _supersede(connection, thread_id, session_id, now)
    session_rows.close(connection, [session_id], Closed.RESET, now=now)
    return ResetOutcome.DONE


def _supersede(connection: Connection, thread_id: int, session_id: str, now: datetime) -> None:
    """The running turn's late answer is discarded, and what waits in this session is owed no answer any more."""
    ended = {"state": State.SUPERSEDED.value, "finished_at": now}
    connection.execute(
        sa.update(turns).where(turns.c.thread_id == thread_id, turns.c.session_id == session_id, RUNNING).values(ended)
    )
    waiting = sa.and_(messages.c.session_id == session_id, messages.c.turn_id.is_(None))
    if connection.execute(sa.select(messages.c.id).where(waiting).limit(1)).first() is None:
        return
    turn_id = connection.execute(
        sa.insert(turns)
        .values(thread_id=thread_id, session_id=session_id, attempt=0, started_at=now, **ended)
        .returning(turns.c.id)
    ).scalar_one()
    connection.execute(sa.update(messages).where(waiting).values(turn_id=turn_id))


def _insert(
    connection: Connection, thread_id: int, event: MessageReceived | ResetRequested, now: datetime, **values: Any
) -> None:
    values |= {
        "thread_id": thread_id,
        "message_id": event.message_id,
        "author_id": event.author.id,
        "author_workspace": event.author.workspace,
        "accepted_at": now,
    }
    connection.execute(sa.insert(messages), values)


def _is_duplicate(connection: Connection, thread_id: int, event: MessageReceived | ResetRequested) -> bool:
    if connection.execute(_SAME, {"in_thread": thread_id, "known_as": event.message_id}).first() is not None:
        return True
    if not isinstance(event, MessageReceived) or event.client_id is None:
        return False
    gesture = {
        "gesture": event.client_id,
        "by": event.author.id,
        "on_platform": event.thread.platform,
        "in_workspace": event.thread.workspace,
        "in_channel": event.thread.channel,
    }
    return connection.execute(_SAME_GESTURE, gesture).first() is not None


_SAME = sa.select(messages.c.id).where(
    messages.c.thread_id == sa.bindparam("in_thread"), messages.c.message_id == sa.bindparam("known_as")
)
# Slack may deliver one gesture twice under two ts; the sender's own id of it tells.
_SAME_GESTURE = (
    sa.select(messages.c.id)
    .join(threads, threads.c.id == messages.c.thread_id)
    .where(
        messages.c.client_id == sa.bindparam("gesture"),
        messages.c.author_id == sa.bindparam("by"),
        threads.c.platform == sa.bindparam("on_platform"),
        threads.c.workspace == sa.bindparam("in_workspace"),
        threads.c.channel == sa.bindparam("in_channel"),
    )
    .limit(1)
)
