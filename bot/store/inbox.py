"""Accepting: a message or a reset becomes rows, once, in the transaction that is committed before Slack is told."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from bot import wording
from bot.events import Author, MessageDeleted, MessageReceived, ResetRequested, StopRequested, Thread, Uninstalled
from bot.sessions import Closed, Interrupted, ResetOutcome, StopOutcome, wants_answer
from bot.store import sessions as session_rows
from bot.store import threads as thread_rows
from bot.store.claims import State
from bot.store.engine import storable
from bot.store.tables import RUNNING, messages, sessions, threads, turns

CLOSED_AT_ONCE = 1_000  # sessions in one statement: databases bound its parameters


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
    if asked.thread.direct and asked.message_id == asked.thread.root:  # not in a thread: all of the direct messages
        outcome = _reset_direct(connection, asked, now)
        _insert(connection, thread_id, asked, now, text="", attachments=[], fixed_reply=outcome.value)
        return outcome, thread_id
    # Slack promises no order: what was written after the reset, but arrived before it, starts the next session.
    later = session_rows.set_apart(connection, thread_id, asked.message_id)
    outcome = _reset(connection, thread_id, asked.author, now)
    if later:
        session_rows.open_with(connection, thread_id, later, new_id=new_id, now=now)
    _insert(connection, thread_id, asked, now, text="", attachments=[], fixed_reply=outcome.value)
    return outcome, thread_id


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
    _answer_never(connection, thread_id, waiting, now)
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


def accept_deletion(connection: Connection, deleted: MessageDeleted, *, now: datetime) -> bool:
    """Erase a deleted message. What waits gets no answer; whether a running answer is to end."""
    known = thread_rows.find(connection, deleted.thread)
    if known is None:
        return False
    this = sa.and_(
        messages.c.thread_id == known.id, messages.c.message_id == deleted.message_id, messages.c.fixed_reply.is_(None)
    )
    connection.execute(sa.update(messages).where(this).values(text="", attachments=[], deleted_at=now))
    _answer_never(connection, known.id, this, now)
    turn_id = connection.execute(sa.select(messages.c.turn_id).where(this)).scalar()
    if turn_id is None or _is_asked(connection, turn_id):
        return False
    return interrupt(connection, known.id, Interrupted.DELETED, turn_id) is not None


def uninstall(connection: Connection, gone: Uninstalled, *, now: datetime) -> None:
    """Nothing in this workspace is owed an answer any more, and its words are erased."""
    place = sa.and_(threads.c.platform == gone.platform, threads.c.workspace == gone.workspace)
    there = sa.select(threads.c.id).where(place)
    # First of all, so that until this is committed nobody opens a turn there that it has not seen.
    connection.execute(sa.update(threads).where(place).values(engaged=False))
    for thread_id in connection.execute(
        sa.select(turns.c.thread_id).where(turns.c.thread_id.in_(there), RUNNING)
    ).scalars():
        interrupt(connection, thread_id, Interrupted.UNINSTALLED)
    waiting = sa.select(messages.c.thread_id).where(messages.c.thread_id.in_(there), messages.c.turn_id.is_(None))
    for thread_id in connection.execute(waiting.distinct()).scalars():
        _answer_never(connection, thread_id, messages.c.thread_id == thread_id, now)
    opened = sa.select(sessions.c.id).where(sessions.c.thread_id.in_(there), sessions.c.closed_at.is_(None))
    while some := list(connection.execute(opened.limit(CLOSED_AT_ONCE)).scalars()):
        session_rows.close(connection, some, Closed.UNINSTALLED, now=now)


def interrupt(
    connection: Connection, thread_id: int, why: Interrupted, turn_id: int | None = None, before: str | None = None
) -> int | None:
    """Have the thread's running turn end, on whichever replica runs it; its id, None without one.

    Only the turn `turn_id`, and only if all it answers was written before the message `before`, when these are given;
    never one that is a command's fixed reply.
    """
    running = sa.select(turns.c.id).where(turns.c.thread_id == thread_id, RUNNING, turns.c.session_id.is_not(None))
    if before is not None:  # Slack promises no order: a stop may arrive after what was written later
        later = (messages.c.turn_id == turns.c.id, messages.c.fixed_reply.is_(None), messages.c.message_id > before)
        running = running.where(~sa.exists().where(*later))
    found: int | None = connection.execute(running).scalar()
    if found is None or turn_id not in {None, found}:
        return None
    ending = sa.update(threads).where(threads.c.id == thread_id)
    if why is Interrupted.STOPPED:  # what was said would stay: that is no more so after a reset
        ending = ending.where(threads.c.interrupted.is_(None))
    connection.execute(ending.values(interrupted=why.value))
    return found


def _stop_waiting(connection: Connection, thread_id: int, now: datetime, before: str | None) -> StopOutcome:
    waiting = sa.and_(messages.c.thread_id == thread_id, messages.c.fixed_reply.is_(None))
    if before is not None:
        waiting &= messages.c.message_id < before
    stopped = _answer_never(connection, thread_id, waiting, now, State.STOPPED)
    return StopOutcome.NOT_BEGUN if stopped else StopOutcome.NOTHING_RUNS


def _is_asked(connection: Connection, turn_id: int) -> bool:
    """Whether something that was not deleted is still to be answered by this turn."""
    left = sa.select(messages.c.id).where(
        messages.c.turn_id == turn_id, messages.c.deleted_at.is_(None), messages.c.fixed_reply.is_(None)
    )
    return connection.execute(left.limit(1)).first() is not None


def _answer_never(
    connection: Connection,
    thread_id: int,
    these: sa.ColumnElement[bool],
    now: datetime,
    state: State = State.SUPERSEDED,
) -> bool:
    """Put waiting messages into a turn that has ended, so that they are owed no answer; False when there are none."""
    waiting = sa.and_(these, messages.c.turn_id.is_(None))
    first = connection.execute(sa.select(messages.c.session_id).where(waiting).limit(1)).first()
    if first is None:
        return False
    turn_id = connection.execute(
        sa.insert(turns)
        .values(
            thread_id=thread_id,
            session_id=first.session_id,
            attempt=0,
            state=state.value,
            answer=wording.interrupted(Interrupted.STOPPED) if state is State.STOPPED else None,
            started_at=now,
            finished_at=now,
        )
        .returning(turns.c.id)
    ).scalar_one()
    connection.execute(sa.update(messages).where(waiting).values(turn_id=turn_id))
    return True


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
