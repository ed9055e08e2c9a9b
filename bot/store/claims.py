"""Claims: a worker's right to answer in a thread, for as long as its lease runs, and what becomes of the turn."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.events import Attachment, Author, Thread
from bot.history import Said
from bot.sessions import Interrupted, ResetOutcome, StopOutcome
from bot.store.engine import lease_end, moment, storable
from bot.store.tables import RUNNING, messages, sessions, threads, turns

MESSAGES_PER_TURN = 100  # what waits beyond that is answered in the next turn
MODEL_CHARACTERS = 200  # of the name that the backend gives its model


class State(enum.Enum):
    """What became of a turn."""

    RUNNING = "running"
    ANSWERED = "answered"
    FAILED = "failed"
    STOPPED = "stopped"  # by a person; what was said until then is remembered
    SUPERSEDED = "superseded"  # its session was closed under it: a late answer is discarded


@dataclass(frozen=True, slots=True)
class Claim:
    """One turn to answer now, and the right to do so until the lease runs out."""

    thread_id: int
    fence: int
    turn_id: int
    attempt: int
    failures: int  # earlier attempts that broke: not those that met a platform that was away, or were handed back
    thread: Thread
    session_id: str | None  # None: a fixed reply
    said: tuple[Said, ...]
    author: Author  # of the newest message
    message_id: str  # the newest message's
    fixed_reply: ResetOutcome | StopOutcome | None
    interrupted: Interrupted | None  # the turn is only to be brought to its end
    follows_expired: bool  # this is the session's first turn, and the session before it expired


@dataclass(frozen=True, slots=True)
class Owed:
    """A thread that waits for a worker, and for whom."""

    thread_id: int
    workspace: str
    person: str


@dataclass(frozen=True, slots=True)
class Settled:
    """How a turn ended, as it is stored."""

    state: State
    answer: str | None = None
    trouble: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None


def claim(connection: Connection, thread_id: int, *, owner: str, now: datetime, lease: timedelta) -> Claim | None:
    """Lease the thread and open a turn over what it is owed; None when it is leased already or owed nothing."""
    leased = connection.execute(
        sa.update(threads)
        .where(threads.c.id == thread_id, _free(connection, now))
        .values(lease_owner=owner, lease_until=lease_end(connection, now, lease), fence=threads.c.fence + 1)
        .returning(*_THREAD)
    ).first()
    if leased is None:
        return None
    turn = _take_over(connection, thread_id) or _open_turn(connection, thread_id, now)
    if turn is None:
        _release(connection, thread_id, leased.fence)
        return None
    return _claimed(connection, thread_id, leased, turn)


def settle(connection: Connection, claimed: Claim, settled: Settled, *, now: datetime) -> bool:
    """Store how the turn ended and release the lease; False when the turn was no longer this claim's to settle."""
    values = {
        "state": settled.state.value,
        "answer": None if settled.answer is None else storable(settled.answer),
        "trouble": settled.trouble,
        "model": None if settled.model is None else storable(settled.model)[:MODEL_CHARACTERS],
        "prompt_tokens": settled.prompt_tokens,
        "cached_tokens": settled.cached_tokens,
        "completion_tokens": settled.completion_tokens,
        "finished_at": now,
    }
    interrupted = _interrupted(connection, claimed)
    if not _release(connection, claimed.thread_id, claimed.fence, interrupted=None):
        return False
    if interrupted not in {None, Interrupted.STOPPED}:  # its session is gone, and its words with it
        values |= {"state": State.SUPERSEDED.value, "answer": None}
    mine = sa.update(turns).where(turns.c.id == claimed.turn_id, RUNNING)
    if connection.execute(mine.values(values)).rowcount == 0:
        return False
    if claimed.session_id is not None:
        connection.execute(sa.update(sessions).where(sessions.c.id == claimed.session_id).values(last_active_at=now))
    return values["state"] != State.SUPERSEDED.value


def hand_back(connection: Connection, claimed: Claim, *, excused: bool = False) -> None:
    """Give the lease up with the turn unfinished, so that somebody else can take it over at once.

    `excused`: it is the worker that has to go; the turn did not fail.
    """
    if _release(connection, claimed.thread_id, claimed.fence) and excused:
        _excuse(connection, claimed)


def postpone(connection: Connection, claimed: Claim, *, now: datetime, pause: timedelta) -> None:
    """Hand the turn back because the platform is away, which is no failure of it; nobody takes it up before a pause."""
    again = lease_end(connection, now, pause)
    mine = sa.update(threads).where(threads.c.id == claimed.thread_id, threads.c.fence == claimed.fence)
    if connection.execute(mine.values(lease_owner=None, lease_until=again)).rowcount:
        _excuse(connection, claimed)


def renew(
    connection: Connection, owner: str, thread_ids: Sequence[int], *, now: datetime, lease: timedelta
) -> set[int]:
    """Prolong the leases this owner still holds on these threads; which."""
    mine = sa.update(threads).where(threads.c.id.in_(thread_ids), threads.c.lease_owner == owner)
    prolonged = mine.values(lease_until=lease_end(connection, now, lease)).returning(threads.c.id)
    return set(connection.execute(prolonged).scalars())


def interruptions(connection: Connection, owner: str) -> list[tuple[int, int, Interrupted]]:
    """The threads where this owner's running turn is to end now, the fence of its claim, and why."""
    statement = sa.select(threads.c.id, threads.c.fence, threads.c.interrupted).where(
        threads.c.lease_owner == owner, threads.c.interrupted.is_not(None)
    )
    return [(thread_id, fence, Interrupted(why)) for thread_id, fence, why in connection.execute(statement)]


def owed(connection: Connection, platforms: Sequence[str], *, now: datetime, limit: int) -> list[Owed]:
    """What is owed an answer, or was left behind half-way, on these platforms, in threads that nobody holds."""
    left = sa.select(turns.c.id).where(RUNNING)
    statement = (
        sa.select(threads.c.id, threads.c.workspace, sa.func.min(messages.c.author_id))
        .join(messages, messages.c.thread_id == threads.c.id)
        .where(
            sa.or_(messages.c.turn_id.is_(None), messages.c.turn_id.in_(left)),
            threads.c.platform.in_(platforms),
            _free(connection, now),
        )
        .group_by(threads.c.id, threads.c.workspace)
        .order_by(sa.func.min(messages.c.id))
        .limit(limit)
    )
    return [Owed(*row) for row in connection.execute(statement)]


def _free(connection: Connection, now: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(threads.c.lease_until.is_(None), threads.c.lease_until < moment(connection, now))


def _interrupted(connection: Connection, claimed: Claim) -> Interrupted | None:
    why = sa.select(threads.c.interrupted).where(threads.c.id == claimed.thread_id)
    found = connection.execute(why.with_for_update()).scalar()
    return Interrupted(found) if found else None


_THREAD = (
    threads.c.fence,
    threads.c.interrupted,
    threads.c.platform,
    threads.c.workspace,
    threads.c.channel,
    threads.c.root,
    threads.c.direct,
)


def _take_over(connection: Connection, thread_id: int) -> Row[*tuple[Any, ...]] | None:
    """The turn an earlier owner left unfinished, as the next attempt."""
    statement = sa.update(turns).where(turns.c.thread_id == thread_id, RUNNING)
    return connection.execute(
        statement.values(attempt=turns.c.attempt + 1).returning(turns.c.id, turns.c.attempt, turns.c.postponed)
    ).first()


def _open_turn(connection: Connection, thread_id: int, now: datetime) -> Row[*tuple[Any, ...]] | None:
    waiting = connection.execute(
        sa.select(messages.c.id, messages.c.session_id, messages.c.fixed_reply)
        .where(messages.c.thread_id == thread_id, messages.c.turn_id.is_(None))
        .order_by(messages.c.message_id)
        .limit(MESSAGES_PER_TURN)
    ).all()
    taken = _together(waiting)
    if not taken:
        return None
    turn = connection.execute(
        sa.insert(turns)
        .values(
            thread_id=thread_id,
            session_id=taken[0].session_id,
            attempt=1,
            state=State.RUNNING.value,
            started_at=now,
        )
        .returning(turns.c.id, turns.c.attempt, turns.c.postponed)
    ).one()
    ids = [message.id for message in taken]
    connection.execute(sa.update(messages).where(messages.c.id.in_(ids)).values(turn_id=turn.id))
    return turn


def _together(waiting: Sequence[Row[*tuple[Any, ...]]]) -> Sequence[Row[*tuple[Any, ...]]]:
    """What is answered as one turn: a fixed reply alone, or all messages of one session up to the next of them."""
    if not waiting or waiting[0].fixed_reply is not None:
        return waiting[:1]
    for index, message in enumerate(waiting):
        if message.session_id != waiting[0].session_id:
            return waiting[:index]
    return waiting


def _claimed(
    connection: Connection, thread_id: int, leased: Row[*tuple[Any, ...]], turn: Row[*tuple[Any, ...]]
) -> Claim:
    rows = connection.execute(
        sa.select(messages, sessions.c.follows_expired)
        .outerjoin(sessions, sessions.c.id == messages.c.session_id)
        .where(messages.c.turn_id == turn.id)
        .order_by(messages.c.message_id)
    ).all()
    asked = [row for row in rows if row.fixed_reply is None]  # a stop belongs to the turn that it stops
    newest = (asked or rows)[-1]
    return Claim(
        thread_id=thread_id,
        fence=leased.fence,
        turn_id=turn.id,
        attempt=turn.attempt,
        failures=turn.attempt - 1 - turn.postponed,
        thread=Thread(leased.platform, leased.workspace, leased.channel, leased.root, leased.direct),
        session_id=newest.session_id,
        said=tuple(said(row) for row in asked if row.deleted_at is None),
        author=Author(newest.author_id, newest.author_workspace),
        message_id=newest.message_id,
        fixed_reply=_outcome(newest.fixed_reply) if newest.fixed_reply else None,
        interrupted=Interrupted(leased.interrupted) if leased.interrupted else None,
        follows_expired=bool(newest.follows_expired) and _is_first(connection, newest.session_id, turn.id),
    )


def _is_first(connection: Connection, session_id: str, turn_id: int) -> bool:
    earlier = sa.select(turns.c.id).where(turns.c.session_id == session_id, turns.c.id < turn_id).limit(1)
    return connection.execute(earlier).first() is None


def said(row: Row[*tuple[Any, ...]]) -> Said:
    """A row of `messages` as the history knows it."""
    return Said(row.author_id, row.text, tuple(Attachment(**kept) for kept in row.attachments))


def _outcome(stored: str) -> ResetOutcome | StopOutcome:
    known: dict[str, ResetOutcome | StopOutcome] = {each.value: each for each in (*ResetOutcome, *StopOutcome)}
    return known[stored]


def _excuse(connection: Connection, claimed: Claim) -> None:
    mine = sa.update(turns).where(turns.c.id == claimed.turn_id)
    connection.execute(mine.values(postponed=turns.c.postponed + 1))


def _release(connection: Connection, thread_id: int, fence: int, **values: Any) -> bool:
    mine = sa.update(threads).where(threads.c.id == thread_id, threads.c.fence == fence)
    return connection.execute(mine.values(lease_owner=None, lease_until=None, **values)).rowcount == 1
