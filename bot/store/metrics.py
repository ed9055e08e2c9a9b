"""Metrics: the figures that an operator looks at first, of all replicas together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.store.engine import Store, insert_or_ignore
from bot.store.settlement import TurnState
from bot.store.tables import FAILED_DELIVERIES, MESSAGES, RUNNING, SESSIONS, THREADS, TURNS
from bot.store.unserved import QUIET, workspaces

RECENT = timedelta(hours=24)
PAGE = 5_000  # turns in one transaction
RETENTION = timedelta(days=30)  # of the hourly counts of failed deliveries


@dataclass(frozen=True, slots=True)
class WorkMetrics:
    """Waiting and running work in all replicas now, and counts of the last 24 hours."""

    owed_messages: int
    oldest_owed_seconds: float
    running_turns: int
    open_sessions: int
    failed_deliveries: int  # not stored, so that the platform delivers them again; counted by whole hours
    answered_turns: int = 0
    failed_turns: int = 0
    taken_over_turns: int = 0  # because their worker died; not those that were handed back or postponed
    prompt_tokens: int = 0  # as the model's backend counted them
    cached_tokens: int = 0  # the part of them that came from its cache
    unserved_messages: int = 0  # the part of the owed messages whose workspace no process seems to serve
    unserved_workspaces: tuple[str, ...] = ()


async def figures(store: Store, *, now: datetime) -> WorkMetrics:
    """Return the metrics at this moment. Raises StoreUnavailable.

    The day's turns are counted in pages, so that no transaction grows with their number.
    """
    metrics = await store.run(_without_turns, now=now)
    since: datetime | None = now - RECENT
    while since is not None:
        metrics, since = await store.run(_with_page, metrics, since)
    return metrics


def _without_turns(connection: Connection, *, now: datetime) -> WorkMetrics:
    """Return the metrics without those of the last day's turns."""
    owed, oldest = _owed(connection)
    unserved = workspaces(connection, now=now) if oldest is not None and now - oldest >= QUIET else {}
    since = hour_of(now - RECENT)
    return WorkMetrics(
        owed_messages=owed,
        oldest_owed_seconds=max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
        running_turns=connection.execute(_LEASED_TURNS).scalar_one(),
        open_sessions=connection.execute(_OPEN_SESSIONS).scalar_one(),
        failed_deliveries=connection.execute(_FAILED.where(FAILED_DELIVERIES.c.hour >= since)).scalar_one(),
        unserved_messages=sum(unserved.values()),
        unserved_workspaces=tuple(unserved),
    )


def _with_page(connection: Connection, metrics: WorkMetrics, since: datetime) -> tuple[WorkMetrics, datetime | None]:
    """Add the next page of turns, begun after this moment. Return where the page after it begins; None at the end."""
    began_after = TURNS.c.started_at > since
    until = connection.execute(_LAST_OF_PAGE.where(began_after)).scalar()
    in_page = began_after if until is None else sa.and_(began_after, TURNS.c.started_at <= until)
    for row in connection.execute(_TURNS.where(in_page)):
        metrics = replace(
            metrics,
            answered_turns=metrics.answered_turns + row.turns * (row.state == TurnState.ANSWERED.value),
            failed_turns=metrics.failed_turns + row.turns * (row.state == TurnState.FAILED.value),
            taken_over_turns=metrics.taken_over_turns + int(row.taken_over),
            prompt_tokens=metrics.prompt_tokens + int(row.prompt_tokens),
            cached_tokens=metrics.cached_tokens + int(row.cached_tokens),
        )
    return metrics, until


def _owed(connection: Connection) -> tuple[int, datetime | None]:
    """Return how many messages have no answer yet, and when the oldest of them was accepted."""
    in_running_turn = MESSAGES.c.turn_id.in_(sa.select(TURNS.c.id).where(RUNNING))
    # Two statements, so that each uses its own index.
    rows = [connection.execute(_OWED.where(state)).one() for state in (MESSAGES.c.turn_id.is_(None), in_running_turn)]
    return sum(count for count, _ in rows), min((oldest for _, oldest in rows if oldest), default=None)


_COUNT = sa.select(sa.func.count())
_OWED = sa.select(sa.func.count(), sa.func.min(MESSAGES.c.accepted_at))
_LEASED_TURNS = (
    _COUNT.select_from(TURNS)
    .join(THREADS, THREADS.c.id == TURNS.c.thread_id)
    .where(RUNNING, THREADS.c.lease_owner.is_not(None))
)
_OPEN_SESSIONS = _COUNT.select_from(SESSIONS).where(SESSIONS.c.closed_at.is_(None))
_FAILED = sa.select(sa.func.coalesce(sa.func.sum(FAILED_DELIVERIES.c.deliveries), 0))
_LAST_OF_PAGE = sa.select(TURNS.c.started_at).order_by(TURNS.c.started_at).offset(PAGE - 1).limit(1)
_TURNS = sa.select(
    TURNS.c.state,
    sa.func.count().label("turns"),
    sa.func.sum(sa.case((TURNS.c.attempt - TURNS.c.postponed > 1, 1), else_=0)).label("taken_over"),
    sa.func.coalesce(sa.func.sum(TURNS.c.prompt_tokens), 0).label("prompt_tokens"),
    sa.func.coalesce(sa.func.sum(TURNS.c.cached_tokens), 0).label("cached_tokens"),
).group_by(TURNS.c.state)


def add_failed_deliveries(connection: Connection, counted: Mapping[datetime, int], *, now: datetime) -> None:
    """Add a process's counts by the hour to the stored ones, and delete those that are older than RETENTION."""
    for hour in sorted(counted):  # one lock order on all replicas prevents deadlocks
        insert_or_ignore(connection, FAILED_DELIVERIES, {"hour": hour, "deliveries": 0})
        more = FAILED_DELIVERIES.c.deliveries + counted[hour]
        connection.execute(sa.update(FAILED_DELIVERIES).where(FAILED_DELIVERIES.c.hour == hour).values(deliveries=more))
    connection.execute(sa.delete(FAILED_DELIVERIES).where(FAILED_DELIVERIES.c.hour < now - RETENTION))


def hour_of(moment: datetime) -> datetime:
    """Return the start of the hour that a moment is counted in."""
    return moment.replace(minute=0, second=0, microsecond=0)
