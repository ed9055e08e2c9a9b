"""Inbox: store a message, a reset or a stop, once, in the transaction that is committed before the ack to Slack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.events import Author, MessageReceived, ResetRequested, StopRequested, Thread, stored_content
from bot.domain.listening import ThreadAnswers
from bot.domain.sessions import Closed, Interrupted, ResetOutcome, StopOutcome, wants_answer
from bot.store import (
    listening,
    message_rows,
    session_owners,
    sessions,
    stored_bytes,
    thread_context,
    threads,
    workflow_limits,
)
from bot.store.erasure import erase_messages
from bot.store.interruptions import interrupt, leave_sessions_unanswered, leave_unanswered
from bot.store.settlement import TurnState
from bot.store.tables import MESSAGES, RUNNING, SESSIONS, THREADS, TURNS
from bot.store.threads import ThreadRow


def accept(
    connection: Connection,
    message: MessageReceived,
    *,
    now: datetime,
    new_id: str,
    idle_after: timedelta,
    answers: ThreadAnswers = ThreadAnswers.ALL,
) -> int | None:
    """Store a message that wants an answer, and return its thread's id; None when it wants none or is a duplicate.

    Other messages are overheard in an open session. They never hide a later event of the same message.
    """
    message = replace(message, thread=threads.located(connection, message.thread, message.message_id))
    thread = threads.find(connection, message.thread)
    followed = thread is not None and threads.is_followed(connection, thread.id, message.message_id)
    engaged = followed and listening.is_engaged(connection, thread, message, answers)
    if not wants_answer(message, engaged=engaged):
        listening.overhear(connection, message, thread, now=now, idle_after=idle_after)
        return None
    return store_message(connection, message, thread, followed=followed, now=now, new_id=new_id, idle_after=idle_after)


def store_message(
    connection: Connection,
    message: MessageReceived,
    thread: ThreadRow | None,
    *,
    followed: bool,
    now: datetime,
    new_id: str,
    idle_after: timedelta,
    edited_at: datetime | None = None,
) -> int | None:
    """Store a message that wants an answer, unless it is a duplicate, and return its thread's id.

    `thread` is the thread's row; None creates it. `followed`: the bot took part in it when the message was written.
    """
    thread_id = thread.id if thread is not None else threads.ensure(connection, message.thread)
    if _is_stored(connection, thread_id, message) or workflow_limits.exceeded(connection, thread_id, message, now):
        return None
    if thread is not None and not followed:
        thread_context.erase(connection, thread_id, message.message_id)  # it is now a question of its own
    session_id = sessions.continue_or_open(
        connection, thread_id, message.author.id, new_id=new_id, now=now, idle_after=idle_after
    )
    begins = message.thread.rolling or message.message_id == message.thread.root
    if not (thread is not None and thread.begun) and not begins:
        thread_context.expect(connection, session_id)
    _engage(connection, thread_id, thread, message, edited=edited_at is not None)
    content = stored_content(message.text, message.attachments, message.forwarded)
    message_rows.insert(
        connection,
        thread_id,
        message,
        now,
        session_id=session_id,
        **content,
        client_id=message.client_id,
        edited_at=edited_at,
    )
    total = stored_bytes.add(connection, session_id, stored_bytes.of_message(message.text, content["forwarded"]))
    if session_id == new_id or total > session_owners.SMALL_SESSION:
        session_owners.expire_oldest(connection, message.author.id, now=now)
    return thread_id


def _is_stored(connection: Connection, thread_id: int, message: MessageReceived) -> bool:
    """Return whether the message is a duplicate. One that mentions the bot may have been overheard before."""
    if message.mentions_bot:
        listening.retract(connection, thread_id, message.message_id)
    return message_rows.is_duplicate(connection, thread_id, message)


def _engage(
    connection: Connection, thread_id: int, thread: ThreadRow | None, message: MessageReceived, *, edited: bool
) -> None:
    """Note that the bot takes part in the thread, and that a mention has ended its quiet."""
    if thread is None or not thread.engaged:
        threads.engage(connection, thread_id)
    if thread is not None:
        listening.end_by_mention(connection, thread, message, edited=edited)


def accept_reset(
    connection: Connection, event: ResetRequested, *, now: datetime, new_id: str
) -> tuple[ResetOutcome, int] | tuple[None, None]:
    """Reset the thread's session, and store the command, to be replied to. Return the outcome and the thread's id.

    Return neither for a duplicate, or for a bare `!reset` in a thread in which the bot takes no part.
    """
    event = replace(event, thread=threads.located(connection, event.thread, event.message_id))
    thread = threads.find(connection, event.thread)
    if not (event.mentions_bot or event.thread.direct or (thread is not None and thread.engaged)):
        return None, None
    thread_id = thread.id if thread is not None else threads.ensure(connection, event.thread)
    if message_rows.is_duplicate(connection, thread_id, event):
        return None, None
    threads.begin(connection, thread_id)
    if event.thread.direct and event.message_id == event.thread.root:  # in a DM, but in no thread of it
        outcome = _reset_direct(connection, event, now)
    else:
        outcome = _reset_before(connection, thread_id, event, now=now, new_id=new_id)
    message_rows.insert(connection, thread_id, event, now, text="", attachments=[], fixed_reply=outcome.value)
    return outcome, thread_id


def _reset_before(
    connection: Connection, thread_id: int, event: ResetRequested, *, now: datetime, new_id: str
) -> ResetOutcome:
    """Reset the thread's session, and open a new one with the messages that were written after the command.

    Slack guarantees no order, so that such messages may be delivered before the command.
    """
    later = sessions.detach_messages(connection, thread_id, event.message_id)
    outcome = _reset(connection, thread_id, event.author, now)
    if later:
        sessions.attach_messages(connection, thread_id, later, event.author.id, new_id=new_id, now=now)
        if outcome is ResetOutcome.DONE:
            _erase_before(connection, thread_id, later, now)
    return outcome


def _erase_before(connection: Connection, thread_id: int, later: Sequence[int], now: datetime) -> None:
    """Erase messages from before a reset that share a turn with messages from after it."""
    shared = sa.select(MESSAGES.c.turn_id).where(MESSAGES.c.id.in_(later), MESSAGES.c.turn_id.is_not(None))
    earlier = sa.select(MESSAGES.c.id).where(MESSAGES.c.turn_id.in_(shared), MESSAGES.c.id.not_in(later))
    if ids := list(connection.execute(earlier).scalars()):
        erase_messages(connection, thread_id, ids, Interrupted.RESET, now=now)


def reset(connection: Connection, thread: Thread, author: Author, *, now: datetime) -> ResetOutcome:
    """Reset the thread's open session, if this author took part in it.

    At the top level of a DM, a message may belong to the rolling conversation instead of to a thread of its own.
    """
    row, other = threads.find(connection, thread), threads.located(connection, thread, thread.root)
    outcome = _reset(connection, row.id, author, now) if row is not None else ResetOutcome.NOTHING
    if outcome is not ResetOutcome.NOTHING or other == thread:
        return outcome
    row = threads.find(connection, other)
    return _reset(connection, row.id, author, now) if row is not None else ResetOutcome.NOTHING


def _reset_direct(connection: Connection, event: ResetRequested, now: datetime) -> ResetOutcome:
    """Reset all sessions of a DM. Each message outside a thread has opened its own, so there may be hundreds."""
    open_sessions = (
        sa.select(THREADS.c.id, SESSIONS.c.id.label("session_id"))
        .join(SESSIONS, SESSIONS.c.thread_id == THREADS.c.id)
        .where(
            THREADS.c.platform == event.thread.platform,
            THREADS.c.workspace == event.thread.workspace,
            THREADS.c.channel == event.thread.channel,
            SESSIONS.c.closed_at.is_(None),
            sa.exists().where(MESSAGES.c.session_id == SESSIONS.c.id, MESSAGES.c.author_id == event.author.id),
        )
        .order_by(THREADS.c.id)
        .with_for_update(of=THREADS)  # a worker may be claiming one
    )
    rows = connection.execute(open_sessions).all()
    session_ids = [row.session_id for row in rows]
    running = sa.select(TURNS.c.thread_id).where(TURNS.c.thread_id.in_([row.id for row in rows]), RUNNING)
    for thread_id in connection.execute(running).scalars():
        interrupt(connection, thread_id, Interrupted.RESET)
    leave_sessions_unanswered(connection, session_ids, now)
    closed = sessions.close(connection, session_ids, Closed.RESET, now=now)
    return ResetOutcome.DONE if closed else ResetOutcome.NOTHING


def _reset(connection: Connection, thread_id: int, author: Author, now: datetime) -> ResetOutcome:
    session_id = connection.execute(
        sa.select(SESSIONS.c.id)
        .where(SESSIONS.c.thread_id == thread_id, SESSIONS.c.closed_at.is_(None))
        .with_for_update()
    ).scalar()
    if session_id is None:
        return ResetOutcome.NOTHING
    if not sessions.took_part(connection, session_id, author.id):
        is_empty = sessions.is_empty(connection, session_id)  # all its messages were detached
        return ResetOutcome.NOTHING if is_empty else ResetOutcome.NOT_YOURS
    interrupt(connection, thread_id, Interrupted.RESET)  # skips a turn that was detached: it has no session now
    waiting = sa.and_(MESSAGES.c.thread_id == thread_id, MESSAGES.c.session_id == session_id)
    leave_unanswered(connection, thread_id, waiting, now)
    sessions.close(connection, [session_id], Closed.RESET, now=now)
    threads.end_quiet(connection, thread_id)
    return ResetOutcome.DONE


def accept_stop(
    connection: Connection, event: StopRequested, *, now: datetime
) -> tuple[StopOutcome, int] | tuple[None, None]:
    """Interrupt the thread's running turn, and store the command. Return the outcome and the thread's id.

    The command is replied to only when it interrupted no turn. Return neither for a duplicate, or for a bare `!stop` in
    a thread in which the bot takes no part. Slack decides who may press its own stop button.
    """
    event = replace(event, thread=threads.located(connection, event.thread, event.message_id))
    thread_id = _thread_of_stop(connection, event)
    if thread_id is None or (event.message_id is not None and message_rows.is_duplicate(connection, thread_id, event)):
        return None, None
    turn_id, before = None, event.message_id or event.asked_at
    if event.message_id is not None and _is_bystander(connection, thread_id, event.author):
        outcome = StopOutcome.NOT_YOURS
    elif turn_id := interrupt(connection, thread_id, Interrupted.STOPPED, before=before):
        outcome = StopOutcome.STOPPED
    else:
        outcome = _stop_waiting(connection, thread_id, now, before)
    if event.message_id is not None:
        message_rows.insert(
            connection, thread_id, event, now, text="", attachments=[], turn_id=turn_id, fixed_reply=outcome.value
        )
    return outcome, thread_id


def _thread_of_stop(connection: Connection, event: StopRequested) -> int | None:
    thread = threads.find(connection, event.thread)
    if thread is not None and (thread.engaged or event.message_id is None):
        return int(thread.id)
    addressed = event.message_id is not None and (event.mentions_bot or event.thread.direct)
    return threads.ensure(connection, event.thread) if addressed else None


def _is_bystander(connection: Connection, thread_id: int, author: Author) -> bool:
    """Return whether the thread has an open session in which this person took no part."""
    is_open = (SESSIONS.c.thread_id == thread_id, SESSIONS.c.closed_at.is_(None))
    session_id = connection.execute(sa.select(SESSIONS.c.id).where(*is_open)).scalar()
    return session_id is not None and not sessions.took_part(connection, session_id, author.id)


def _stop_waiting(connection: Connection, thread_id: int, now: datetime, before: str | None) -> StopOutcome:
    """Stop the waiting messages that were written before the message `before`."""
    waiting = sa.and_(MESSAGES.c.thread_id == thread_id, MESSAGES.c.fixed_reply.is_(None))
    if before is not None:
        waiting &= MESSAGES.c.message_id < before
    stopped = leave_unanswered(connection, thread_id, waiting, now, TurnState.STOPPED)
    return StopOutcome.NOT_BEGUN if stopped else StopOutcome.NOTHING_RUNS
