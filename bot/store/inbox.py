"""Accepting: a message or a reset becomes rows, once, in the transaction that is committed before Slack is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.domain.events import Author, MessageReceived, ResetRequested, StopRequested, Thread, storable
from bot.domain.sessions import Closed, Interrupted, ResetOutcome, StopOutcome, wants_answer
from bot.store import sessions as session_rows
from bot.store import thread_context
from bot.store import threads as thread_rows
from bot.store.erasure import erase_messages
from bot.store.interruptions import answer_never, interrupt
from bot.store.settlement import TurnState
from bot.store.tables import messages, sessions, threads


def accept(
    connection: Connection, message: MessageReceived, *, now: datetime, new_id: str, idle_after: timedelta
) -> int | None:
    """Store a message that wants an answer; the id of its thread. None when it wants none or is a duplicate.

    An ignored message leaves no trace, so that it cannot hide a later event of the same message.
    """
    known = thread_rows.find(connection, message.thread)
    followed = known is not None and thread_rows.is_followed(connection, known.id, message.message_id)
    if not wants_answer(message, engaged=known is not None and known.engaged and followed):
        return None
    return take_in(connection, message, known, followed=followed, now=now, new_id=new_id, idle_after=idle_after)


def take_in(
    connection: Connection,
    message: MessageReceived,
    known: Row[int, bool, bool] | None,
    *,
    followed: bool,
    now: datetime,
    new_id: str,
    idle_after: timedelta,
    edited_at: datetime | None = None,
) -> int | None:
    """Store a message that wants an answer, in the thread that is `known` or a new one, unless it is a duplicate.

    `followed`: something older in the thread was for the bot.
    """
    thread_id = known.id if known is not None else thread_rows.ensure(connection, message.thread)
    if _is_duplicate(connection, thread_id, message):
        return None
    if known is not None and not followed:
        thread_context.erase(connection, thread_id, message.message_id)  # it was read there, and is answered only now
    session_id = session_rows.continue_or_open(connection, thread_id, new_id=new_id, now=now, idle_after=idle_after)
    if not (known is not None and known.begun) and message.message_id != message.thread.root:
        thread_context.expect(connection, session_id)
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
        edited_at=edited_at,
    )
    return thread_id


def accept_reset(
    connection: Connection, asked: ResetRequested, *, now: datetime, new_id: str
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
    thread_rows.begin(connection, thread_id)
    if asked.thread.direct and asked.message_id == asked.thread.root:  # not in a thread: all of the direct messages
        outcome = _reset_direct(connection, asked, now)
        _insert(connection, thread_id, asked, now, text="", attachments=[], fixed_reply=outcome.value)
        return outcome, thread_id
    # Slack promises no order: what was written after the reset, but arrived before it, starts the next session.
    later = session_rows.set_apart(connection, thread_id, asked.message_id)
    outcome = _reset(connection, thread_id, asked.author, now)
    if later:
        session_rows.open_with(connection, thread_id, later, new_id=new_id, now=now)
        if outcome is ResetOutcome.DONE:
            _erase_before(connection, thread_id, later, now)
    _insert(connection, thread_id, asked, now, text="", attachments=[], fixed_reply=outcome.value)
    return outcome, thread_id


def _erase_before(connection: Connection, thread_id: int, later: Sequence[int], now: datetime) -> None:
    """What was written before a reset and is answered in one turn with what was written later leaves that turn."""
    shared = sa.select(messages.c.turn_id).where(messages.c.id.in_(later), messages.c.turn_id.is_not(None))
    earlier = sa.select(messages.c.id).where(messages.c.turn_id.in_(shared), messages.c.id.not_in(later))
    if ids := list(connection.execute(earlier).scalars()):
        erase_messages(connection, thread_id, ids, Interrupted.RESET, now=now)


def reset(connection: Connection, thread: Thread, author: Author, *, now: datetime) -> ResetOutcome:
    """Reset the thread's open session for somebody who took part in it."""
    known = thread_rows.find(connection, thread)
    return _reset(connection, known.id, author, now) if known is not None else ResetOutcome.NOTHING


def _reset_direct(connection: Connection, asked: ResetRequested, now: datetime) -> ResetOutcome:
    """Reset all that was said directly: there every message outside a thread begins a session of its own."""
    opened = (
        sa.select(threads.c.id)
        .join(sessions, sessions.c.thread_id == threads.c.id)
        .where(
            threads.c.platform == asked.thread.platform,
            threads.c.workspace == asked.thread.workspace,
            threads.c.channel == asked.thread.channel,
            sessions.c.closed_at.is_(None),
        )
        .order_by(threads.c.id)
        .with_for_update(of=threads)  # against a claim at this moment
    )
    found = list(connection.execute(opened).scalars())
    done = [_reset(connection, thread_id, asked.author, now) for thread_id in found]
    return ResetOutcome.DONE if ResetOutcome.DONE in done else ResetOutcome.NOTHING


def _reset(connection: Connection, thread_id: int, author: Author, now: datetime) -> ResetOutcome:
    session_id = connection.execute(
        sa.select(sessions.c.id)
        .where(sessions.c.thread_id == thread_id, sessions.c.closed_at.is_(None))
        .with_for_update()
    ).scalar()
    if session_id is None:
        return ResetOutcome.NOTHING
    if not session_rows.took_part(connection, session_id, author.id):
        nobody = session_rows.is_empty(connection, session_id)  # all of it was set apart
        return ResetOutcome.NOTHING if nobody else ResetOutcome.NOT_YOURS
    interrupt(connection, thread_id, Interrupted.RESET)  # not a turn that was set apart: it has no session now
    waiting = sa.and_(messages.c.thread_id == thread_id, messages.c.session_id == session_id)
    answer_never(connection, thread_id, waiting, now)
    session_rows.close(connection, [session_id], Closed.RESET, now=now)
    return ResetOutcome.DONE


def accept_stop(
    connection: Connection, asked: StopRequested, *, now: datetime
) -> tuple[StopOutcome, int] | tuple[None, None]:
    """Have the thread's running answer end, and store the message that asked: owed a line where nothing ends.

    The outcome and the thread's id; neither for a duplicate, or a bare `!stop` where the bot takes no part.
    """
    thread_id = _thread_of_stop(connection, asked)
    if thread_id is None or (asked.message_id is not None and _is_duplicate(connection, thread_id, asked)):
        return None, None
    before = asked.message_id or asked.asked_at
    turn_id = interrupt(connection, thread_id, Interrupted.STOPPED, before=before)
    outcome = StopOutcome.STOPPED if turn_id else _stop_waiting(connection, thread_id, now, before)
    if asked.message_id is not None:
        _insert(connection, thread_id, asked, now, text="", attachments=[], turn_id=turn_id, fixed_reply=outcome.value)
    return outcome, thread_id


def _thread_of_stop(connection: Connection, asked: StopRequested) -> int | None:
    known = thread_rows.find(connection, asked.thread)
    if known is not None and (known.engaged or asked.message_id is None):
        return int(known.id)
    addressed = asked.message_id is not None and (asked.mentions_bot or asked.thread.direct)
    return thread_rows.ensure(connection, asked.thread) if addressed else None


def _stop_waiting(connection: Connection, thread_id: int, now: datetime, before: str | None) -> StopOutcome:
    waiting = sa.and_(messages.c.thread_id == thread_id, messages.c.fixed_reply.is_(None))
    if before is not None:
        waiting &= messages.c.message_id < before
    stopped = answer_never(connection, thread_id, waiting, now, TurnState.STOPPED)
    return StopOutcome.NOT_BEGUN if stopped else StopOutcome.NOTHING_RUNS


def _insert(
    connection: Connection,
    thread_id: int,
    event: MessageReceived | ResetRequested | StopRequested,
    now: datetime,
    **values: Any,
) -> None:
    values |= {
        "thread_id": thread_id,
        "message_id": event.message_id,
        "author_id": event.author.id,
        "author_workspace": event.author.workspace,
        "accepted_at": now,
    }
    connection.execute(sa.insert(messages), values)


def _is_duplicate(
    connection: Connection, thread_id: int, event: MessageReceived | ResetRequested | StopRequested
) -> bool:
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
