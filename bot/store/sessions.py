"""Sessions: open one, close some, list a person's, expire the idle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.events import Thread
from bot.domain.sessions import Closed, Expiring, IdleLimits, OpenSession, is_idle
from bot.store import display_names, summaries, thread_context
from bot.store.engine import mark_dirty
from bot.store.tables import RUNNING, WORDLESS, messages, sessions, threads, turns

OPENING_CHARACTERS = 80  # of a session's first message, to tell sessions apart in a list


def continue_or_open(
    connection: Connection, thread_id: int, *, new_id: str, now: datetime, idle_after: timedelta
) -> str:
    """The id of the thread's open session, touched; a new one when there is none or when it sat idle too long."""
    found = connection.execute(_OPEN, {"in_thread": thread_id}).first()
    if found is not None and not (
        is_idle(found.last_active_at, now=now, idle_after=idle_after)
        and close(connection, [found.id], Closed.EXPIRED, now=now, unless_owed=True)
    ):
        touch(connection, found.id, now=now)
        return str(found.id)
    opened = {
        "id": new_id,
        "thread_id": thread_id,
        "in_thread": thread_id,
        "opened_at": now,
        "last_active_at": now,
        "follows_expired": _last_closed_why(connection, thread_id) == Closed.EXPIRED.value,
    }
    connection.execute(_INSERT, opened)
    return new_id


def touch(connection: Connection, session_id: str, *, now: datetime) -> None:
    """The session is active now."""
    connection.execute(_TOUCH, {"this_session": session_id, "last_active_at": now, "warned_at": None})


_OPEN = (
    sa.select(sessions.c.id, sessions.c.last_active_at)
    .where(sessions.c.thread_id == sa.bindparam("in_thread"), sessions.c.closed_at.is_(None))
    .with_for_update()  # against a sweep that closes it at this moment
)
_CHANNEL = sa.select(threads.c.channel).where(threads.c.id == sa.bindparam("in_thread")).scalar_subquery()
_INSERT = sa.insert(sessions).values(channel=_CHANNEL)
_TOUCH = sa.update(sessions).where(sessions.c.id == sa.bindparam("this_session"))
_LAST_CLOSED_WHY = (
    sa.select(sessions.c.closed_why)
    .where(sessions.c.thread_id == sa.bindparam("in_thread"))
    .order_by(sessions.c.opened_at.desc(), sessions.c.closed_at.desc())
    .limit(1)
)


def _last_closed_why(connection: Connection, thread_id: int) -> str | None:
    why: str | None = connection.execute(_LAST_CLOSED_WHY, {"in_thread": thread_id}).scalar()
    return why


def close(
    connection: Connection, ids: Sequence[str], why: Closed, *, now: datetime, unless_owed: bool = False
) -> list[str]:
    """Close these open sessions and erase their words; the ids of those that were closed.

    With `unless_owed`, a session that still owes an answer, or is giving one, stays open.
    """
    statement = sa.update(sessions).where(sessions.c.id.in_(ids), sessions.c.closed_at.is_(None))
    if unless_owed:
        statement = statement.where(*_owes_nothing())
    closed = list(
        connection.execute(statement.values(closed_at=now, closed_why=why.value).returning(sessions.c.id)).scalars()
    )
    if closed:
        mark_dirty(connection)
        connection.execute(sa.update(messages).where(messages.c.session_id.in_(closed)).values(text="", attachments=[]))
        connection.execute(sa.update(turns).where(turns.c.session_id.in_(closed)).values(WORDLESS))
        thread_context.forget(connection, closed)
        display_names.forget(connection, closed)
        summaries.forget(connection, closed)
    return closed


def set_apart(connection: Connection, thread_id: int, after: str) -> list[int]:
    """Take what was written after this message, and its turns, out of the thread's open session; the messages."""
    of_session = messages.c.session_id.in_(
        sa.select(sessions.c.id).where(sessions.c.thread_id == thread_id, sessions.c.closed_at.is_(None))
    )
    late = sa.select(messages.c.id, messages.c.turn_id).where(of_session, messages.c.message_id > after)
    ids, turn_ids = [], []
    for message_id, turn_id in connection.execute(late):
        ids.append(message_id)
        turn_ids.append(turn_id)
    if ids:
        connection.execute(sa.update(messages).where(messages.c.id.in_(ids)).values(session_id=None))
        connection.execute(sa.update(turns).where(turns.c.id.in_(turn_ids)).values(session_id=None))
    return ids


def open_with(connection: Connection, thread_id: int, ids: Sequence[int], *, new_id: str, now: datetime) -> None:
    """Put messages that were set apart, and their turns, into the thread's open session; a new one if there is none."""
    session_id = continue_or_open(connection, thread_id, new_id=new_id, now=now, idle_after=timedelta.max)
    these = messages.c.id.in_(ids)
    connection.execute(sa.update(messages).where(these).values(session_id=session_id))
    of_these = sa.select(messages.c.turn_id).where(these, messages.c.turn_id.is_not(None))
    connection.execute(sa.update(turns).where(turns.c.id.in_(of_these)).values(session_id=session_id))


def expire(connection: Connection, *, now: datetime, idle: IdleLimits, batch: int) -> int:
    """Close at most `batch` idle sessions, longest idle first; how many. Safe on several replicas at once."""
    ids: list[str] = []
    for silent in _silent(now, idle):
        over = silent.limit(batch - len(ids)).with_for_update(skip_locked=True)
        ids += connection.execute(over).scalars()
    return len(close(connection, ids, Closed.EXPIRED, now=now, unless_owed=True)) if ids else 0


def forewarn(
    connection: Connection,
    places: Sequence[tuple[str, str]],
    *,
    now: datetime,
    idle: IdleLimits,
    ahead: timedelta,
    batch: int,
) -> list[Expiring]:
    """At most `batch` sessions of these platforms and workspaces that expire so soon and were not warned; now they are.

    On several replicas at once each session is warned by one of them.
    """
    place = sa.or_(*(sa.and_(threads.c.platform == p, threads.c.workspace == w) for p, w in places))
    here = sa.exists().where(threads.c.id == sessions.c.thread_id, place)
    ids: list[str] = []
    for silent in _silent(now + ahead, idle):
        due = silent.where(sessions.c.warned_at.is_(None), here).limit(batch - len(ids))
        ids += connection.execute(due.with_for_update(skip_locked=True)).scalars()
    if ids:
        connection.execute(sa.update(sessions).where(sessions.c.id.in_(ids)).values(warned_at=now))
    return [
        Expiring(found, (thread := Thread(*where)), now, active_at + idle.of(thread.channel))
        for found, active_at, *where in connection.execute(_EXPIRING, {"these": ids})
    ]


def is_warned(connection: Connection, expiring: Expiring) -> bool:
    """Whether nobody has written since the session was warned, and it is open."""
    return connection.execute(sa.select(sessions.c.id).where(*_warned(expiring))).first() is not None


def unwarn(connection: Connection, expiring: Sequence[Expiring]) -> None:
    """These were not told after all: somebody else may."""
    for each in expiring:
        connection.execute(sa.update(sessions).where(*_warned(each)).values(warned_at=None))


def _warned(expiring: Expiring) -> tuple[sa.ColumnElement[bool], ...]:
    return sessions.c.id == expiring.id, sessions.c.closed_at.is_(None), sessions.c.warned_at == expiring.warned_at


def _silent(now: datetime, idle: IdleLimits) -> Iterator[sa.Select[str]]:
    """The open sessions past their limit at that time, longest silent first: a statement for each of the limits.

    One statement for all would read, and block, every session younger than the longest limit.
    """
    limits = [(sessions.c.channel == channel, limit) for channel, limit in idle.by_channel.items()]
    for where, limit in [*limits, (sessions.c.channel.not_in(idle.by_channel), idle.general)]:
        is_over = (sessions.c.closed_at.is_(None), sessions.c.last_active_at < now - limit)
        found = sa.select(sessions.c.id).where(where, *is_over, *_owes_nothing())
        yield found.order_by(sessions.c.last_active_at)


def took_part(connection: Connection, session_id: str, author_id: str) -> bool:
    """Whether this person wrote a message of this session."""
    statement = sa.select(messages.c.id).where(messages.c.session_id == session_id, messages.c.author_id == author_id)
    return connection.execute(statement.limit(1)).first() is not None


def is_empty(connection: Connection, session_id: str) -> bool:
    """Whether nothing was said in this session."""
    return (
        connection.execute(sa.select(messages.c.id).where(messages.c.session_id == session_id).limit(1)).first() is None
    )


def open_for(
    connection: Connection, platform: str, workspace: str, author_id: str, *, channel: str, limit: int
) -> list[OpenSession]:
    """The open sessions in a channel that this person took part in, newest activity first."""
    return _listed(connection, _of_person(platform, workspace, author_id, channel), limit)


def count_for(connection: Connection, platform: str, workspace: str, author_id: str, *, channel: str) -> int:
    """How many open sessions in a channel this person took part in."""
    counted = sa.select(sa.func.count()).select_from(sessions).join(threads, threads.c.id == sessions.c.thread_id)
    conditions = _of_person(platform, workspace, author_id, channel)
    return connection.execute(counted.where(sessions.c.closed_at.is_(None), *conditions)).scalar_one()


def _of_person(platform: str, workspace: str, author_id: str, channel: str) -> list[sa.ColumnElement[bool]]:
    mine = sa.select(messages.c.session_id).where(messages.c.author_id == author_id).distinct()
    return [
        threads.c.platform == platform,
        threads.c.workspace == workspace,
        threads.c.channel == channel,
        sessions.c.id.in_(mine),
    ]


def open_in(connection: Connection, thread_id: int) -> OpenSession | None:
    """The thread's open session, if it has one."""
    return next(iter(_listed(connection, [sessions.c.thread_id == thread_id], 1)), None)


def newest(connection: Connection, *, limit: int) -> list[OpenSession]:
    """The open sessions of everybody, newest activity first, for the operator's list."""
    return _listed(connection, [], limit)


def thread_of(connection: Connection, session_id: str) -> Thread | None:
    """Where this session lives, or None when there is no such open session."""
    statement = (
        sa.select(*_THREAD)
        .join(sessions, sessions.c.thread_id == threads.c.id)
        .where(sessions.c.id == session_id, sessions.c.closed_at.is_(None))
    )
    found = connection.execute(statement).first()
    return Thread(*found) if found is not None else None


_THREAD = (threads.c.platform, threads.c.workspace, threads.c.channel, threads.c.root, threads.c.direct)
_EXPIRING = (
    sa.select(sessions.c.id, sessions.c.last_active_at, *_THREAD)
    .join(threads, threads.c.id == sessions.c.thread_id)
    .where(sessions.c.id.in_(sa.bindparam("these", expanding=True)))
)


def _listed(connection: Connection, conditions: Sequence[Any], limit: int) -> list[OpenSession]:
    # A turn of which a message is left keeps an answer, or a line in its place, once it was settled; no other has one.
    remembered = (turns.c.session_id == sessions.c.id, turns.c.answer.is_not(None))
    count = sa.select(sa.func.count()).where(*remembered).scalar_subquery()
    opening = (
        sa.select(sa.func.substr(messages.c.text, 1, OPENING_CHARACTERS))
        .where(messages.c.session_id == sessions.c.id)
        .order_by(messages.c.message_id)
        .limit(1)
        .scalar_subquery()
    )
    statement = (
        sa.select(sessions.c.id, sessions.c.opened_at, sessions.c.last_active_at, count, opening, *_THREAD)
        .join(threads, threads.c.id == sessions.c.thread_id)
        .where(sessions.c.closed_at.is_(None), *conditions)
        .order_by(sessions.c.last_active_at.desc())
        .limit(limit)
    )
    return [
        OpenSession(session_id, Thread(*place), opened_at, last_active_at, turn_count, opening_text or "")
        for session_id, opened_at, last_active_at, turn_count, opening_text, *place in connection.execute(statement)
    ]


def _owes_nothing() -> tuple[sa.ColumnElement[bool], ...]:
    owed = sa.exists().where(messages.c.session_id == sessions.c.id, messages.c.turn_id.is_(None))
    running = sa.exists().where(turns.c.session_id == sessions.c.id, RUNNING)
    return ~owed, ~running
