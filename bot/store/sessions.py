"""Sessions: open and close them, list a person's, expire the idle ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.events import Thread
from bot.domain.sessions import Closed, ExpiringSession, IdleLimits, OpenSession, is_idle
from bot.store import display_names, file_contents, imported_turns, stored_bytes, summaries, thread_context
from bot.store.engine import mark_dirty
from bot.store.stored_bytes import MOST_OF_SESSION
from bot.store.tables import MESSAGES, NO_CONTENT, NO_TEXT, RUNNING, SESSIONS, THREADS, TURNS

BYTES_PER_STEP = 250_000  # of text that one transaction erases
OPENING_CHARACTERS = 80  # of a session's first message, which identifies it in a list


def continue_or_open(
    connection: Connection, thread_id: int, owner: str, *, new_id: str, now: datetime, idle_after: timedelta
) -> str:
    """Return the id of the thread's open session, now active. Open one when there is none or when it has expired.

    A session also expires when it holds too much text. `owner`: the person or the key that a new session counts for.
    """
    session = connection.execute(_OPEN, {"in_thread": thread_id}).first()
    if session is not None and not (
        (is_idle(session.last_active_at, now=now, idle_after=idle_after) or session.stored_bytes > MOST_OF_SESSION)
        and close(connection, [session.id], Closed.EXPIRED, now=now, unless_owed=True)
    ):
        touch(connection, session.id, now=now)
        return str(session.id)
    values = {
        "id": new_id,
        "thread_id": thread_id,
        "in_thread": thread_id,
        "opened_at": now,
        "last_active_at": now,
        "owner": owner,
        "follows_expired": _last_closed_why(connection, thread_id) == Closed.EXPIRED.value,
    }
    connection.execute(_INSERT, values)
    return new_id


def touch(connection: Connection, session_id: str, *, now: datetime) -> None:
    """Note that the session is active now."""
    connection.execute(_TOUCH, {"this_session": session_id, "last_active_at": now, "warned_at": None})


_OPEN = (
    sa.select(SESSIONS.c.id, SESSIONS.c.last_active_at, SESSIONS.c.stored_bytes)
    .where(SESSIONS.c.thread_id == sa.bindparam("in_thread"), SESSIONS.c.closed_at.is_(None))
    .with_for_update()  # a sweep may be closing it
)
_CHANNEL = sa.select(THREADS.c.channel).where(THREADS.c.id == sa.bindparam("in_thread")).scalar_subquery()
_INSERT = sa.insert(SESSIONS).values(channel=_CHANNEL)
_TOUCH = sa.update(SESSIONS).where(SESSIONS.c.id == sa.bindparam("this_session"))
_LAST_CLOSED_WHY = (
    sa.select(SESSIONS.c.closed_why)
    .where(SESSIONS.c.thread_id == sa.bindparam("in_thread"))
    .order_by(SESSIONS.c.opened_at.desc(), SESSIONS.c.closed_at.desc())
    .limit(1)
)


def _last_closed_why(connection: Connection, thread_id: int) -> str | None:
    why: str | None = connection.execute(_LAST_CLOSED_WHY, {"in_thread": thread_id}).scalar()
    return why


def close(
    connection: Connection, ids: Sequence[str], why: Closed, *, now: datetime, unless_owed: bool = False
) -> list[str]:
    """Close those of these sessions that are open, and return their ids.

    The texts of small sessions are erased too. Those of larger ones are erased in steps, by `closed_sessions`. With
    `unless_owed`, a session with a waiting message or a running turn stays open.
    """
    is_open = (SESSIONS.c.id.in_(ids), SESSIONS.c.closed_at.is_(None), *(_owes_nothing() if unless_owed else ()))
    locked = sa.select(SESSIONS.c.id, SESSIONS.c.owner, SESSIONS.c.stored_bytes).where(*is_open)
    closed = connection.execute(locked.order_by(SESSIONS.c.id).with_for_update()).all()
    if not closed:
        return []
    mark_dirty(connection)
    sizes = accumulate(session.stored_bytes for session in closed)
    small = [session.id for session, total in zip(closed, sizes, strict=True) if total <= BYTES_PER_STEP]
    # One update of each row. PostgreSQL checks the foreign keys of a row that it updates twice, and would lock threads.
    # What is not erased now keeps a count above 0, by which it is found: a count may be too low.
    at_least_one = sa.case((SESSIONS.c.stored_bytes > 1, SESSIONS.c.stored_bytes), else_=1)
    left = sa.case((SESSIONS.c.id.in_(small), 0), else_=at_least_one)
    closing = sa.update(SESSIONS).where(SESSIONS.c.id.in_([session.id for session in closed]))
    connection.execute(closing.values(closed_at=now, closed_why=why.value, owner="", stored_bytes=left))
    connection.execute(sa.update(MESSAGES).where(MESSAGES.c.session_id.in_(small)).values(NO_CONTENT))
    connection.execute(sa.update(TURNS).where(TURNS.c.session_id.in_(small)).values(NO_TEXT))
    forget_related(connection, small)
    stored_bytes.release(connection, [(session.owner, session.stored_bytes) for session in closed])
    return [session.id for session in closed]


def forget_related(connection: Connection, ids: Sequence[str]) -> None:
    """Erase the other texts of these closed sessions, and their imported turns."""
    for related in (file_contents, thread_context, display_names, summaries, imported_turns):
        related.forget(connection, ids)


def detach_messages(connection: Connection, thread_id: int, after: str) -> list[int]:
    """Detach the messages after this one, and their turns, from the thread's open session. Return the messages' ids."""
    of_session = MESSAGES.c.session_id.in_(
        sa.select(SESSIONS.c.id).where(SESSIONS.c.thread_id == thread_id, SESSIONS.c.closed_at.is_(None))
    )
    columns = (MESSAGES.c.id, MESSAGES.c.turn_id, MESSAGES.c.message_id)
    later = sa.select(*columns).where(of_session, MESSAGES.c.message_id > after)
    rows = connection.execute(later).all()
    ids, turn_ids = [row.id for row in rows], [row.turn_id for row in rows]
    if ids:
        connection.execute(sa.update(MESSAGES).where(MESSAGES.c.id.in_(ids)).values(session_id=None))
        connection.execute(sa.update(TURNS).where(TURNS.c.id.in_(turn_ids)).values(session_id=None))
        file_contents.move(connection, thread_id, [row.message_id for row in rows], None)
    return ids


def attach_messages(
    connection: Connection, thread_id: int, ids: Sequence[int], owner: str, *, new_id: str, now: datetime
) -> None:
    """Attach messages without a session, and their turns, to the thread's open session, or to a new one."""
    session_id = continue_or_open(connection, thread_id, owner, new_id=new_id, now=now, idle_after=timedelta.max)
    selected = MESSAGES.c.id.in_(ids)
    connection.execute(sa.update(MESSAGES).where(selected).values(session_id=session_id))
    turn_ids = sa.select(MESSAGES.c.turn_id).where(selected, MESSAGES.c.turn_id.is_not(None))
    connection.execute(sa.update(TURNS).where(TURNS.c.id.in_(turn_ids)).values(session_id=session_id))
    message_ids = list(connection.execute(sa.select(MESSAGES.c.message_id).where(selected)).scalars())
    file_contents.move(connection, thread_id, message_ids, session_id)
    if session_id == new_id:  # the open session has counted them already
        stored_bytes.add(connection, session_id, stored_bytes.recounted(connection, selected))


def expire(connection: Connection, *, now: datetime, idle: IdleLimits, batch: int) -> int:
    """Close at most `batch` idle sessions, the longest idle first, and return how many. Replicas may do it at once."""
    ids: list[str] = []
    for statement in _idle_sessions(now, idle):
        limited = statement.limit(batch - len(ids)).with_for_update(skip_locked=True)
        ids += connection.execute(limited).scalars()
    return len(close(connection, ids, Closed.EXPIRED, now=now, unless_owed=True)) if ids else 0


def claim_expiry_warnings(
    connection: Connection,
    places: Sequence[tuple[str, str]],
    *,
    now: datetime,
    idle: IdleLimits,
    ahead: timedelta,
    batch: int,
) -> list[ExpiringSession]:
    """Mark at most `batch` sessions that expire within `ahead` as warned, and return them for the caller to warn.

    `places` are the platforms and workspaces to look in. Of several replicas, only one warns a session. Quiet threads
    are not warned.
    """
    matches = sa.or_(*(sa.and_(THREADS.c.platform == p, THREADS.c.workspace == w) for p, w in places))
    in_places = sa.exists().where(THREADS.c.id == SESSIONS.c.thread_id, ~THREADS.c.quiet, matches)
    ids: list[str] = []
    for statement in _idle_sessions(now + ahead, idle):
        due = statement.where(SESSIONS.c.warned_at.is_(None), in_places).limit(batch - len(ids))
        ids += connection.execute(due.with_for_update(skip_locked=True)).scalars()
    if ids:
        connection.execute(sa.update(SESSIONS).where(SESSIONS.c.id.in_(ids)).values(warned_at=now))
    return [
        ExpiringSession(session_id, (thread := Thread(*place)), now, active_at + idle.of(thread.channel))
        for session_id, active_at, *place in connection.execute(_EXPIRING, {"session_ids": ids})
    ]


def is_warned(connection: Connection, expiring: ExpiringSession) -> bool:
    """Return whether the session is open and has no message since it was marked as warned."""
    return connection.execute(sa.select(SESSIONS.c.id).where(*_warned(expiring))).first() is not None


def release_expiry_warnings(connection: Connection, expiring: Sequence[ExpiringSession]) -> None:
    """Take the mark back from sessions that could not be warned, so that another attempt warns them."""
    for session in expiring:
        connection.execute(sa.update(SESSIONS).where(*_warned(session)).values(warned_at=None))


def _warned(expiring: ExpiringSession) -> tuple[sa.ColumnElement[bool], ...]:
    return SESSIONS.c.id == expiring.id, SESSIONS.c.closed_at.is_(None), SESSIONS.c.warned_at == expiring.warned_at


def _idle_sessions(now: datetime, idle: IdleLimits) -> Iterator[sa.Select[str]]:
    """Yield, for each idle limit, the statement for the open sessions that exceed it at that time, oldest first.

    One statement for all limits would read and lock every session that is older than the shortest of them.
    """
    limits = [(SESSIONS.c.channel == channel, limit) for channel, limit in idle.by_channel.items()]
    for in_channels, limit in [*limits, (SESSIONS.c.channel.not_in(idle.by_channel), idle.general)]:
        is_expired = (SESSIONS.c.closed_at.is_(None), SESSIONS.c.last_active_at < now - limit)
        statement = sa.select(SESSIONS.c.id).where(in_channels, *is_expired, *_owes_nothing())
        yield statement.order_by(SESSIONS.c.last_active_at)


def took_part(connection: Connection, session_id: str, author_id: str) -> bool:
    """Return whether this person asked the bot in the session."""
    asked = (MESSAGES.c.session_id == session_id, MESSAGES.c.author_id == author_id, ~MESSAGES.c.overheard)
    return connection.execute(sa.select(MESSAGES.c.id).where(*asked).limit(1)).first() is not None


def is_empty(connection: Connection, session_id: str) -> bool:
    """Return whether the session has no message."""
    statement = sa.select(MESSAGES.c.id).where(MESSAGES.c.session_id == session_id)
    return connection.execute(statement.limit(1)).first() is None


def open_for(
    connection: Connection, platform: str, workspace: str, author_id: str, *, channel: str, limit: int
) -> list[OpenSession]:
    """Return the open sessions in a channel that this person took part in, latest activity first."""
    return _listed(connection, _of_person(platform, workspace, author_id, channel), limit)


def count_for(connection: Connection, platform: str, workspace: str, author_id: str, *, channel: str) -> int:
    """Count the open sessions in a channel that this person took part in."""
    count = sa.select(sa.func.count()).select_from(SESSIONS).join(THREADS, THREADS.c.id == SESSIONS.c.thread_id)
    conditions = _of_person(platform, workspace, author_id, channel)
    return connection.execute(count.where(SESSIONS.c.closed_at.is_(None), *conditions)).scalar_one()


def _of_person(platform: str, workspace: str, author_id: str, channel: str) -> list[sa.ColumnElement[bool]]:
    asked = (MESSAGES.c.author_id == author_id, ~MESSAGES.c.overheard)
    session_ids = sa.select(MESSAGES.c.session_id).where(*asked).distinct()
    return [
        THREADS.c.platform == platform,
        THREADS.c.workspace == workspace,
        THREADS.c.channel == channel,
        SESSIONS.c.id.in_(session_ids),
    ]


def open_in(connection: Connection, thread_id: int) -> OpenSession | None:
    """Return the thread's open session, if it has one."""
    return next(iter(_listed(connection, [SESSIONS.c.thread_id == thread_id], 1)), None)


def newest(connection: Connection, *, limit: int) -> list[OpenSession]:
    """Return the open sessions of all people, latest activity first, for the operator's list."""
    return _listed(connection, [], limit)


def thread_of(connection: Connection, session_id: str) -> Thread | None:
    """Return the thread of an open session; None when there is no such session."""
    statement = (
        sa.select(*_THREAD)
        .join(SESSIONS, SESSIONS.c.thread_id == THREADS.c.id)
        .where(SESSIONS.c.id == session_id, SESSIONS.c.closed_at.is_(None))
    )
    row = connection.execute(statement).first()
    return Thread(*row) if row is not None else None


_THREAD = (THREADS.c.platform, THREADS.c.workspace, THREADS.c.channel, THREADS.c.root, THREADS.c.direct)
_EXPIRING = (
    sa.select(SESSIONS.c.id, SESSIONS.c.last_active_at, *_THREAD)
    .join(THREADS, THREADS.c.id == SESSIONS.c.thread_id)
    .where(SESSIONS.c.id.in_(sa.bindparam("session_ids", expanding=True)))
)


def _listed(connection: Connection, conditions: Sequence[Any], limit: int) -> list[OpenSession]:
    # A settled turn has an answer, or a line in place of an erased one, unless all its messages were deleted.
    is_remembered = (TURNS.c.session_id == SESSIONS.c.id, TURNS.c.answer.is_not(None), ~RUNNING)
    count = sa.select(sa.func.count()).where(*is_remembered).scalar_subquery()
    opening = (
        sa.select(sa.func.substr(MESSAGES.c.text, 1, OPENING_CHARACTERS))
        .where(MESSAGES.c.session_id == SESSIONS.c.id)
        .order_by(MESSAGES.c.message_id)
        .limit(1)
        .scalar_subquery()
    )
    statement = (
        sa.select(SESSIONS.c.id, SESSIONS.c.opened_at, SESSIONS.c.last_active_at, count, opening, *_THREAD)
        .join(THREADS, THREADS.c.id == SESSIONS.c.thread_id)
        .where(SESSIONS.c.closed_at.is_(None), *conditions)
        .order_by(SESSIONS.c.last_active_at.desc())
        .limit(limit)
    )
    return [
        OpenSession(session_id, Thread(*place), opened_at, last_active_at, turn_count, opening_text or "")
        for session_id, opened_at, last_active_at, turn_count, opening_text, *place in connection.execute(statement)
    ]


def _owes_nothing() -> tuple[sa.ColumnElement[bool], ...]:
    owed = sa.exists().where(MESSAGES.c.session_id == SESSIONS.c.id, MESSAGES.c.turn_id.is_(None))
    running = sa.exists().where(TURNS.c.session_id == SESSIONS.c.id, RUNNING)
    return ~owed, ~running
