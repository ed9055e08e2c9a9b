"""Leases: who may answer in a thread, until when by the database's clock, and whether its holder is to stop.

Rule: a lease is bound to a fence that counts claims, so that whoever lost it can change nothing any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.domain.sessions import Interrupted
from bot.store.tables import RUNNING, UtcDateTime, messages, threads, turns


@dataclass(frozen=True, slots=True)
class Owed:
    """A thread that waits for a worker, and for whom."""

    thread_id: int
    workspace: str
    person: str


def take(
    connection: Connection, thread_id: int, *, owner: str, now: datetime, lease: timedelta
) -> Row[*tuple[Any, ...]] | None:
    """Lease a thread that nobody holds; its place, the new fence and any interruption, or None when it is held.

    That a message was edited is no interruption any more: whoever takes the thread reads what it says now.
    """
    values = {"this_thread": thread_id, "owner": owner, **_times(connection, now, lease)}
    return connection.execute(_TAKE[connection.dialect.name], values).first()


def release(connection: Connection, thread_id: int, fence: int, *, ended: bool = False) -> bool:
    """Give the lease up; `ended`: the turn has come to its end, as it may have been asked to. False: it was lost."""
    mine = {"this_thread": thread_id, "this_fence": fence}
    return connection.execute(_END if ended else _RELEASE, mine).rowcount == 1


def rest(connection: Connection, thread_id: int, fence: int, *, now: datetime, pause: timedelta) -> bool:
    """Give the lease up so that nobody takes the thread up before a pause. False: it was lost."""
    mine = {"this_thread": thread_id, "this_fence": fence, **_times(connection, now, pause)}
    return connection.execute(_REST[connection.dialect.name], mine).rowcount == 1


def renew(
    connection: Connection, owner: str, thread_ids: Sequence[int], *, now: datetime, lease: timedelta
) -> set[int]:
    """Prolong the leases this owner still holds on these threads; which."""
    values = {"these": list(thread_ids), "owner": owner, **_times(connection, now, lease)}
    return set(connection.execute(_RENEW[connection.dialect.name], values).scalars())


def fences(connection: Connection, thread_ids: Sequence[int]) -> dict[int, int]:
    """How often each of these threads has been claimed."""
    found = connection.execute(sa.select(threads.c.id, threads.c.fence).where(threads.c.id.in_(thread_ids)))
    return {row.id: row.fence for row in found}


def interruption(connection: Connection, thread_id: int) -> Interrupted | None:
    """Why the thread's running turn is to end now, if it is; the thread stays locked until the transaction ends."""
    found = connection.execute(_INTERRUPTION, {"this_thread": thread_id}).scalar()
    return Interrupted(found) if found else None


def interruptions(connection: Connection, owner: str) -> list[tuple[int, int, Interrupted]]:
    """The threads where this owner's running turn is to end now, the fence of its claim, and why."""
    found = connection.execute(_INTERRUPTIONS, {"owner": owner})
    return [(thread_id, fence, Interrupted(why)) for thread_id, fence, why in found]


def owed(connection: Connection, places: Sequence[tuple[str, str]], *, now: datetime, limit: int) -> list[Owed]:
    """What is owed an answer, or was left behind half-way, in threads that nobody holds; the oldest first.

    `places` are the platforms and workspaces whose threads are looked at.
    """
    here = sa.or_(*(sa.and_(threads.c.platform == p, threads.c.workspace == w) for p, w in places))
    found = connection.execute(
        _OWED[connection.dialect.name].where(here).limit(limit), _times(connection, now, timedelta())
    )
    return [Owed(*row) for row in found]


def is_free(connection: Connection, *, now: datetime) -> sa.ColumnElement[bool]:
    """The condition that nobody holds a thread."""
    by_database = connection.dialect.name == "postgresql"
    return _free(_NOW["postgresql"] if by_database else sa.literal(now, UtcDateTime))


# By the database's clock, which all replicas share; SQLite's is this machine's, as the caller tells it.
_NOW: dict[str, sa.ColumnElement[datetime]] = {
    "postgresql": sa.func.clock_timestamp(type_=UtcDateTime),
    "sqlite": sa.bindparam("now", type_=UtcDateTime),
}
_UNTIL: dict[str, sa.ColumnElement[Any]] = {
    "postgresql": sa.func.clock_timestamp(type_=UtcDateTime) + sa.bindparam("lease", type_=sa.Interval),
    "sqlite": sa.bindparam("until", type_=UtcDateTime),
}


def _times(connection: Connection, now: datetime, lease: timedelta) -> dict[str, object]:
    return {"lease": lease} if connection.dialect.name == "postgresql" else {"now": now, "until": now + lease}


def _free(now: sa.ColumnElement[datetime]) -> sa.ColumnElement[bool]:
    return sa.or_(threads.c.lease_until.is_(None), threads.c.lease_until < now)


_THIS = threads.c.id == sa.bindparam("this_thread")
_MINE = (_THIS, threads.c.fence == sa.bindparam("this_fence"))
_TO_END = sa.func.nullif(threads.c.interrupted, Interrupted.EDITED.value)
_TAKE = {
    name: sa.update(threads)
    .where(_THIS, _free(now))
    .values(lease_owner=sa.bindparam("owner"), lease_until=_UNTIL[name], fence=threads.c.fence + 1, interrupted=_TO_END)
    .returning(
        threads.c.fence,
        threads.c.interrupted,
        threads.c.platform,
        threads.c.workspace,
        threads.c.channel,
        threads.c.root,
        threads.c.direct,
    )
    for name, now in _NOW.items()
}
_RELEASE = sa.update(threads).where(*_MINE).values(lease_owner=None, lease_until=None)
_END = sa.update(threads).where(*_MINE).values(lease_owner=None, lease_until=None, interrupted=None)
_REST = {
    name: sa.update(threads).where(*_MINE).values(lease_owner=None, lease_until=until) for name, until in _UNTIL.items()
}
_RENEW = {
    name: sa.update(threads)
    .where(threads.c.id.in_(sa.bindparam("these", expanding=True)), threads.c.lease_owner == sa.bindparam("owner"))
    .values(lease_until=until)
    .returning(threads.c.id)
    for name, until in _UNTIL.items()
}
_INTERRUPTION = sa.select(threads.c.interrupted).where(_THIS).with_for_update()
_INTERRUPTIONS = sa.select(threads.c.id, threads.c.fence, threads.c.interrupted).where(
    threads.c.lease_owner == sa.bindparam("owner"), threads.c.interrupted.is_not(None)
)
_PERSON = sa.func.min(messages.c.author_id)
_FIRST = sa.func.min(messages.c.id)
# In turns: first everybody's oldest thread, so that nobody's many hide somebody else's one.
_NTH = sa.func.row_number().over(partition_by=(threads.c.workspace, _PERSON), order_by=_FIRST)
_OWED = {
    name: sa.select(threads.c.id, threads.c.workspace, _PERSON)
    .join(messages, messages.c.thread_id == threads.c.id)
    .where(
        sa.or_(messages.c.turn_id.is_(None), messages.c.turn_id.in_(sa.select(turns.c.id).where(RUNNING))), _free(now)
    )
    .group_by(threads.c.id, threads.c.workspace)
    .order_by(_NTH, _FIRST)
    for name, now in _NOW.items()
}
