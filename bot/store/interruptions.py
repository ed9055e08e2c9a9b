"""Interruptions: the running turn of a thread is to end, or its waiting messages are not to be answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain import texts
from bot.domain.sessions import Interrupted
from bot.store.settlement import TurnState
from bot.store.tables import MESSAGES, RUNNING, THREADS, TURNS


def interrupt(
    connection: Connection, thread_id: int, why: Interrupted, turn_id: int | None = None, before: str | None = None
) -> int | None:
    """Mark the thread's running turn as to be ended, and return its id; None without one.

    The replica that runs the turn polls for the mark. `turn_id` limits this to one turn, and `before` to a turn whose
    messages are all older than that message. A fixed reply is never interrupted.
    """
    running = sa.select(TURNS.c.id).where(TURNS.c.thread_id == thread_id, RUNNING, TURNS.c.session_id.is_not(None))
    if before is not None:  # Slack promises no order: a stop may arrive after later messages
        later = (MESSAGES.c.turn_id == TURNS.c.id, MESSAGES.c.fixed_reply.is_(None), MESSAGES.c.message_id > before)
        running = running.where(~sa.exists().where(*later))
    running_id: int | None = connection.execute(running).scalar()
    if running_id is None or turn_id not in {None, running_id}:
        return None
    ending = sa.update(THREADS).where(THREADS.c.id == thread_id, _may_replace(why))
    connection.execute(ending.values(interrupted=why.value))
    return running_id


def drop_kept(connection: Connection, turn_id: int) -> None:
    """Drop the answer that is kept for a running turn, because the question is another one now."""
    connection.execute(sa.update(TURNS).where(TURNS.c.id == turn_id, RUNNING).values(answer=None))


def _may_replace(why: Interrupted) -> sa.ColumnElement[bool]:
    """Return the condition that this interruption replaces an earlier one: a stop does not undo a reset."""
    earlier = THREADS.c.interrupted
    match why:
        case Interrupted.EDITED:
            return earlier.is_(None)
        case Interrupted.STOPPED:
            return sa.or_(earlier.is_(None), earlier == Interrupted.EDITED.value)
        case _:
            return sa.true()


def leave_unanswered(
    connection: Connection,
    thread_id: int,
    condition: sa.ColumnElement[bool],
    now: datetime,
    state: TurnState = TurnState.SUPERSEDED,
) -> bool:
    """Put waiting messages into turns that have ended, so that no worker answers them. Return whether any waited."""
    waiting = sa.and_(condition, MESSAGES.c.turn_id.is_(None))
    session_ids = list(connection.execute(sa.select(MESSAGES.c.session_id).where(waiting).distinct()).scalars())
    for session_id in session_ids:
        ended = sa.insert(TURNS).values(
            thread_id=thread_id,
            session_id=session_id,
            attempt=0,
            state=state.value,
            answer=texts.ANSWER_STOPPED if state is TurnState.STOPPED else None,
            started_at=now,
            finished_at=now,
        )
        turn_id = connection.execute(ended.returning(TURNS.c.id)).scalar_one()
        of_session = MESSAGES.c.session_id.is_not_distinct_from(session_id)
        connection.execute(sa.update(MESSAGES).where(waiting, of_session).values(turn_id=turn_id))
    return bool(session_ids)


def leave_sessions_unanswered(connection: Connection, session_ids: Sequence[str], now: datetime) -> None:
    """Do the same for all waiting messages of many sessions, whose threads are locked, in two statements."""
    waiting = sa.and_(MESSAGES.c.session_id.in_(session_ids), MESSAGES.c.turn_id.is_(None))
    ended = {
        "attempt": sa.literal(0),
        "state": sa.literal(TurnState.SUPERSEDED.value),
        "started_at": sa.literal(now, TURNS.c.started_at.type),
        "finished_at": sa.literal(now, TURNS.c.finished_at.type),
    }
    rows = sa.select(MESSAGES.c.thread_id, MESSAGES.c.session_id, *ended.values()).where(waiting).distinct()
    connection.execute(sa.insert(TURNS).from_select(["thread_id", "session_id", *ended], rows))
    newest = sa.select(sa.func.max(TURNS.c.id)).where(TURNS.c.session_id == MESSAGES.c.session_id).scalar_subquery()
    connection.execute(sa.update(MESSAGES).where(waiting).values(turn_id=newest))


def has_question(connection: Connection, turn_id: int) -> bool:
    """Return whether the turn still has a message to answer, which was not deleted."""
    questions = sa.select(MESSAGES.c.id).where(
        MESSAGES.c.turn_id == turn_id, MESSAGES.c.deleted_at.is_(None), MESSAGES.c.fixed_reply.is_(None)
    )
    return connection.execute(questions.limit(1)).first() is not None
