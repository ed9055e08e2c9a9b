"""Listening: threads in which the bot answers only mentions, and the messages that it overhears there.

Rule: an overheard message is stored in the thread's open session, in a turn of its own that has ended, so that no
worker answers it. The model reads it with the later questions. Without an open session nothing is overheard.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.events import MessageReceived, QuietRequested, stored_content
from bot.domain.listening import QuietOutcome, ThreadAnswers
from bot.domain.sessions import is_idle
from bot.store import message_rows, session_owners, sessions, stored_bytes, threads
from bot.store.erasure import texts_changed
from bot.store.settlement import TurnState
from bot.store.tables import MESSAGES, SESSIONS, TURNS
from bot.store.threads import ThreadRow


def is_engaged(
    connection: Connection, thread: ThreadRow | None, message: MessageReceived, answers: ThreadAnswers
) -> bool:
    """Return whether the bot takes part in the thread, and answers this message also without a mention."""
    if thread is None or not thread.engaged or _is_quiet_for(thread, message.message_id):
        return False
    match answers:
        case ThreadAnswers.MENTIONS:
            return False
        case ThreadAnswers.PARTICIPANTS:
            return _has_asked(connection, thread.id, message.author.id)
        case ThreadAnswers.ALL:
            return True


def _is_quiet_for(thread: ThreadRow, message_id: str) -> bool:
    """Slack promises no order: a message from before the `!quiet` may arrive after it, and is answered."""
    return thread.quiet and message_id > (thread.quiet_set_by or "")


def _has_asked(connection: Connection, thread_id: int, author_id: str) -> bool:
    of_thread = sa.select(SESSIONS.c.id).where(SESSIONS.c.thread_id == thread_id)
    asked = (MESSAGES.c.author_id == author_id, MESSAGES.c.session_id.in_(of_thread), ~MESSAGES.c.overheard)
    return connection.execute(sa.select(MESSAGES.c.id).where(*asked).limit(1)).first() is not None


def accept(connection: Connection, event: QuietRequested, *, now: datetime) -> int | None:
    """Begin or end the thread's quiet, and store the command, to be replied to. Return the thread's id.

    Anybody in the thread may do either, because it destroys nothing. Return None for a duplicate, or for a bare command
    in a thread in which the bot takes no part.
    """
    event = replace(event, thread=threads.located(connection, event.thread, event.message_id))
    thread = threads.find(connection, event.thread)
    if not (event.mentions_bot or event.thread.direct or (thread is not None and thread.engaged)):
        return None
    thread_id = int(thread.id) if thread is not None else threads.ensure(connection, event.thread)
    outcome = _outcome(event, thread)
    if not message_rows.insert_command(connection, thread_id, event, now, outcome.value):
        return None
    if outcome in {QuietOutcome.QUIET, QuietOutcome.BACK, QuietOutcome.NOT_QUIET} and _is_newest(event, thread):
        threads.set_quiet(connection, thread_id, quiet=event.quiet, message_id=event.message_id)
    return thread_id


def _outcome(event: QuietRequested, thread: ThreadRow | None) -> QuietOutcome:
    if event.thread.direct:
        return QuietOutcome.DIRECT
    if thread is None or not thread.engaged:
        return QuietOutcome.OUTSIDE
    if thread.quiet is event.quiet or not _is_newest(event, thread):
        return QuietOutcome.ALREADY_QUIET if thread.quiet else QuietOutcome.NOT_QUIET
    return QuietOutcome.QUIET if event.quiet else QuietOutcome.BACK


def _is_newest(event: QuietRequested, thread: ThreadRow | None) -> bool:
    return thread is None or event.message_id > (thread.quiet_set_by or "")


def end_by_mention(connection: Connection, thread: ThreadRow, message: MessageReceived, *, edited: bool) -> None:
    """End the thread's quiet if this message mentions the bot, and was written or edited after the `!quiet`."""
    if message.mentions_bot and thread.quiet and (edited or _is_quiet_for(thread, message.message_id)):
        threads.set_quiet(connection, thread.id, quiet=False, message_id=message.message_id)


def overhear(
    connection: Connection,
    message: MessageReceived,
    thread: ThreadRow | None,
    *,
    now: datetime,
    idle_after: timedelta,
    edited_at: datetime | None = None,
) -> None:
    """Store a message that the bot does not answer, if the thread has an open session that began before it."""
    if thread is None or not thread.engaged or message.by_workflow:
        return
    session = connection.execute(_OPEN, {"in_thread": thread.id}).first()
    if session is None or is_idle(session.last_active_at, now=now, idle_after=idle_after):
        return
    is_older = {"in_session": session.id, "this_message": message.message_id}
    if session.stored_bytes > stored_bytes.MOST_OF_SESSION or connection.execute(_OLDER, is_older).first() is None:
        return
    if message_rows.is_duplicate(connection, thread.id, message):
        return
    turn = {"thread_id": thread.id, "session_id": session.id, "started_at": now, "finished_at": now}
    turn_id = connection.execute(_ENDED, turn).scalar_one()
    content = stored_content(message.text, message.attachments, message.forwarded)
    values = {"session_id": session.id, "turn_id": turn_id, "overheard": True, "edited_at": edited_at, **content}
    message_rows.insert(connection, thread.id, message, now, client_id=message.client_id, **values)
    sessions.touch(connection, session.id, now=now)
    total = stored_bytes.add(connection, session.id, stored_bytes.of_message(message.text, content["forwarded"]))
    if total > session_owners.SMALL_SESSION:
        session_owners.expire_oldest(connection, session.owner, now=now)


def retract(connection: Connection, thread_id: int, message_id: str) -> None:
    """Delete an overheard message that turned out to be written to the bot, so that it is stored as a question."""
    row = connection.execute(_OVERHEARD, {"in_thread": thread_id, "this_message": message_id}).first()
    if row is None:
        return
    texts_changed(connection, [row.turn_id])
    before = stored_bytes.held(connection, TURNS.c.id == row.turn_id, MESSAGES.c.id == row.id)
    connection.execute(sa.delete(MESSAGES).where(MESSAGES.c.id == row.id))
    connection.execute(sa.delete(TURNS).where(TURNS.c.id == row.turn_id))
    stored_bytes.subtract(connection, before, Counter())


_OPEN = (
    sa.select(SESSIONS.c.id, SESSIONS.c.last_active_at, SESSIONS.c.stored_bytes, SESSIONS.c.owner)
    .where(SESSIONS.c.thread_id == sa.bindparam("in_thread"), SESSIONS.c.closed_at.is_(None))
    .with_for_update()  # a sweep may be closing it
)
_OLDER = (
    sa.select(MESSAGES.c.id)
    .where(MESSAGES.c.session_id == sa.bindparam("in_session"), MESSAGES.c.message_id < sa.bindparam("this_message"))
    .limit(1)
)
# The state is one that the previous version knows, too: it shows the message to the model, and never answers it.
_ENDED = sa.insert(TURNS).values(attempt=0, state=TurnState.STOPPED.value).returning(TURNS.c.id)
_OVERHEARD = sa.select(MESSAGES.c.id, MESSAGES.c.turn_id).where(
    MESSAGES.c.thread_id == sa.bindparam("in_thread"),
    MESSAGES.c.message_id == sa.bindparam("this_message"),
    MESSAGES.c.overheard,
    MESSAGES.c.deleted_at.is_(None),
)
