"""Leases: which process may answer in a thread, until when, and whether its running turn is to end.

Rule: a lease is bound to a fence that counts claims, so that a process that lost it can change nothing any more. Every
lease, also that of a summary, runs by the database's clock, because the clocks of replicas differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.domain.sessions import Interrupted
from bot.store.column_types import UtcDateTime
from bot.store.locks import lock_sessions, lock_threads
from bot.store.tables import MESSAGES, RUNNING, SESSIONS, SUMMARIES, THREADS, TURNS


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A thread with messages that wait for an answer, and the author of the oldest one."""

    thread_id: int
    workspace: str
    person: str


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """A request for a lease. `owner` names the process; `now` is this machine's time, which only SQLite uses."""

    owner: str
    now: datetime
    length: timedelta


P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C")
Take = Callable[Concatenate[Connection, LeaseRequest, P], T]  # a store function that takes a lease
Undo = Callable[[Connection, C], None]  # and the one that gives it up again


def take(connection: Connection, lease: LeaseRequest, thread_id: int) -> Row[*tuple[Any, ...]] | None:
    """Lease a thread that no process holds; None when one does. Returns its place, the new fence and any interruption.

    An interruption by an edit is cleared, because the claim reads the new text.
    """
    values = {"this_thread": thread_id, "owner": lease.owner, **times(connection, lease.now, lease.length)}
    return connection.execute(_TAKE[connection.dialect.name], values).first()


def release(connection: Connection, thread_id: int, fence: int, *, ended: bool = False) -> bool:
    """Give the lease up; False when it was lost. `ended` clears the interruption, because the turn has ended."""
    mine = {"this_thread": thread_id, "this_fence": fence}
    return connection.execute(_END if ended else _RELEASE, mine).rowcount == 1


def release_with_pause(connection: Connection, thread_id: int, fence: int, *, now: datetime, pause: timedelta) -> bool:
    """Give the lease up, and keep the thread from being leased before a pause has passed; False when it was lost."""
    mine = {"this_thread": thread_id, "this_fence": fence, **times(connection, now, pause)}
    return connection.execute(_PAUSE[connection.dialect.name], mine).rowcount == 1


def renew(connection: Connection, lease: LeaseRequest, thread_ids: Sequence[int]) -> set[int]:
    """Prolong the leases that this owner still holds on these threads; return those threads."""
    values = {"these": list(thread_ids), "owner": lease.owner, **times(connection, lease.now, lease.length)}
    return set(connection.execute(_RENEW[connection.dialect.name], values).scalars())


def owners(connection: Connection) -> set[str]:
    """Return the owners of all leases, whether or not these have run out."""
    return set(connection.execute(_OWNERS).scalars())


def free_those_of(connection: Connection, endings: Sequence[str]) -> int:
    """Free the leases of the owners whose names end so, because these have ended; return how many.

    An owner that is alive renews its lease, unless it was taken meanwhile. A turn's second crash frees its lease too.
    It does not count as an attempt when the process ran other turns as well, because the turn need not have caused it.
    After more crashes the lease runs out by itself, so that a few crashes within seconds do not use up the attempts of
    every running turn.
    """
    if not endings:
        return 0
    of_thread, of_summary = (
        sa.and_(table.c.lease_until.is_not(None), sa.or_(*(table.c.lease_owner.endswith(each) for each in endings)))
        for table in (THREADS, SUMMARIES)
    )
    lock_threads(connection, of_thread)
    _excuse(connection, of_thread)
    waits = sa.exists().where(TURNS.c.thread_id == THREADS.c.id, RUNNING, _HAS_BROKEN, ~_IS_SECOND)
    of_thread = sa.and_(of_thread, ~waits)
    freed = connection.execute(sa.update(THREADS).where(of_thread).values(lease_until=None)).rowcount
    lock_sessions(connection, SESSIONS.c.id.in_(sa.select(SUMMARIES.c.session_id).where(of_summary)))
    return freed + connection.execute(sa.update(SUMMARIES).where(of_summary).values(lease_until=None)).rowcount


def _excuse(connection: Connection, of_thread: sa.ColumnElement[bool]) -> None:
    """Do not count the second crash in turns that ran beside others in the same process."""
    running = sa.select(THREADS.c.id, THREADS.c.lease_owner).join(TURNS, TURNS.c.thread_id == THREADS.c.id)
    rows = connection.execute(running.where(of_thread, RUNNING)).all()
    running_in = Counter(row.lease_owner for row in rows)
    ids = [row.id for row in rows if running_in[row.lease_owner] > 1]
    if ids:
        connection.execute(sa.update(TURNS).where(TURNS.c.thread_id.in_(ids), RUNNING, _IS_SECOND).values(postponed=1))


def fences(connection: Connection, thread_ids: Sequence[int]) -> dict[int, int]:
    """Return the fence of each of these threads."""
    rows = connection.execute(sa.select(THREADS.c.id, THREADS.c.fence).where(THREADS.c.id.in_(thread_ids)))
    return {row.id: row.fence for row in rows}


def interruption(connection: Connection, thread_id: int) -> Interrupted | None:
    """Return why the thread's running turn is to end, if it is. Locks the thread until the transaction ends."""
    why = connection.execute(_INTERRUPTION, {"this_thread": thread_id}).scalar()
    return Interrupted(why) if why else None


def interruptions(connection: Connection, owner: str) -> list[tuple[int, int, Interrupted]]:
    """Return the threads where this owner's running turn is to end, the fence of its claim, and why."""
    rows = connection.execute(_INTERRUPTIONS, {"owner": owner})
    return [(thread_id, fence, Interrupted(why)) for thread_id, fence, why in rows]


def owed_threads(
    connection: Connection, places: Sequence[tuple[str, str]], *, now: datetime, limit: int
) -> list[QueueEntry]:
    """Return the threads that are owed an answer and that no process holds.

    First comes everybody's oldest thread, then everybody's second, and so on. `places` are the platforms and workspaces
    to look in.
    """
    here = sa.or_(*(sa.and_(THREADS.c.platform == p, THREADS.c.workspace == w) for p, w in places))
    rows = connection.execute(
        _OWED[connection.dialect.name].where(here).limit(limit), times(connection, now, timedelta())
    )
    return [QueueEntry(*row) for row in rows]


def is_free(connection: Connection, *, now: datetime) -> sa.ColumnElement[bool]:
    """Return the condition that no process holds a thread."""
    by_database = connection.dialect.name == "postgresql"
    return free(THREADS.c.lease_until, NOW["postgresql"] if by_database else sa.literal(now, UtcDateTime))


def free(lease_until: sa.Column[datetime], now: sa.ColumnElement[datetime]) -> sa.ColumnElement[bool]:
    """Return the condition that a lease that ends at `lease_until` is held by no process."""
    return sa.or_(lease_until.is_(None), lease_until < now)


def times(connection: Connection, now: datetime, length: timedelta) -> dict[str, object]:
    """Return the parameters that NOW and UNTIL take on this database."""
    return {"lease": length} if connection.dialect.name == "postgresql" else {"now": now, "until": now + length}


# The database's clock, which all replicas share. SQLite has no server, so this machine's clock is a parameter.
NOW: dict[str, sa.ColumnElement[datetime]] = {
    "postgresql": sa.func.clock_timestamp(type_=UtcDateTime),
    "sqlite": sa.bindparam("now", type_=UtcDateTime),
}
UNTIL: dict[str, sa.ColumnElement[Any]] = {
    "postgresql": sa.func.clock_timestamp(type_=UtcDateTime) + sa.bindparam("lease", type_=sa.Interval),
    "sqlite": sa.bindparam("until", type_=UtcDateTime),
}


_THIS = THREADS.c.id == sa.bindparam("this_thread")
_MINE = (_THIS, THREADS.c.fence == sa.bindparam("this_fence"))
_TO_END = sa.func.nullif(THREADS.c.interrupted, Interrupted.EDITED.value)
_TAKE = {
    name: sa.update(THREADS)
    .where(_THIS, free(THREADS.c.lease_until, now))
    .values(lease_owner=sa.bindparam("owner"), lease_until=UNTIL[name], fence=THREADS.c.fence + 1, interrupted=_TO_END)
    .returning(
        THREADS.c.fence,
        THREADS.c.interrupted,
        THREADS.c.platform,
        THREADS.c.workspace,
        THREADS.c.channel,
        THREADS.c.root,
        THREADS.c.direct,
    )
    for name, now in NOW.items()
}
_RELEASE = sa.update(THREADS).where(*_MINE).values(lease_owner=None, lease_until=None)
_END = sa.update(THREADS).where(*_MINE).values(lease_owner=None, lease_until=None, interrupted=None)
_PAUSE = {
    name: sa.update(THREADS).where(*_MINE).values(lease_owner=None, lease_until=until) for name, until in UNTIL.items()
}
_RENEW = {
    name: sa.update(THREADS)
    .where(THREADS.c.id.in_(sa.bindparam("these", expanding=True)), THREADS.c.lease_owner == sa.bindparam("owner"))
    .values(lease_until=until)
    .returning(THREADS.c.id)
    for name, until in UNTIL.items()
}
_OWNERS = sa.union(
    *(
        sa.select(table.c.lease_owner).where(table.c.lease_until.is_not(None), table.c.lease_owner.is_not(None))
        for table in (THREADS, SUMMARIES)
    )
)
_HAS_BROKEN = TURNS.c.attempt - TURNS.c.postponed > 1  # before its present attempt
_IS_SECOND = sa.and_(TURNS.c.attempt == sa.literal(2), TURNS.c.postponed == 0)  # attempt, and all count until now
_INTERRUPTION = sa.select(THREADS.c.interrupted).where(_THIS).with_for_update()
_INTERRUPTIONS = sa.select(THREADS.c.id, THREADS.c.fence, THREADS.c.interrupted).where(
    THREADS.c.lease_owner == sa.bindparam("owner"), THREADS.c.interrupted.is_not(None)
)
_PERSON = sa.func.min(MESSAGES.c.author_id)
_FIRST = sa.func.min(MESSAGES.c.id)
# Everybody's oldest thread comes first: one person's many threads must not keep another's only thread waiting.
_NTH = sa.func.row_number().over(partition_by=(THREADS.c.workspace, _PERSON), order_by=_FIRST)
_OWED = {
    name: sa.select(THREADS.c.id, THREADS.c.workspace, _PERSON)
    .join(MESSAGES, MESSAGES.c.thread_id == THREADS.c.id)
    .where(
        sa.or_(MESSAGES.c.turn_id.is_(None), MESSAGES.c.turn_id.in_(sa.select(TURNS.c.id).where(RUNNING))),
        free(THREADS.c.lease_until, now),
    )
    .group_by(THREADS.c.id, THREADS.c.workspace)
    .order_by(_NTH, _FIRST)
    for name, now in NOW.items()
}
