"""What an operator asks first: what is owed, for how long, what runs, what was taken over, refused, or failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.store.engine import insert_or_ignore
from bot.store.settlement import TurnState
from bot.store.tables import RUNNING, messages, refusals, sessions, threads, turns

RECENT = timedelta(hours=24)
KEPT = timedelta(days=30)  # counts of refusals


@dataclass(frozen=True, slots=True)
class WorkMetrics:
    """The state of the work in all replicas together; what has ended is counted over the last 24 hours."""

    owed_messages: int
    oldest_owed_seconds: float
    running_turns: int
    open_sessions: int
    answered_turns: int
    failed_turns: int
    taken_over_turns: int  # whose worker died; not those that were handed back, or whose platform was away
    refused_deliveries: int  # could not be taken in, and were left to be delivered again; by whole hours
    prompt_tokens: int = 0  # as the model's backend counted them
    cached_tokens: int = 0  # the part of them that it had in its cache


def figures(connection: Connection, *, now: datetime) -> WorkMetrics:
    """The figures at this moment."""
    of_running = messages.c.turn_id.in_(sa.select(turns.c.id).where(RUNNING))
    unanswered = [
        connection.execute(sa.select(sa.func.count(), sa.func.min(messages.c.accepted_at)).where(state)).one()
        for state in (messages.c.turn_id.is_(None), of_running)
    ]
    count, oldest = sum(row[0] for row in unanswered), min((row[1] for row in unanswered if row[1]), default=None)
    held = sa.select(sa.func.count()).select_from(turns).join(threads, threads.c.id == turns.c.thread_id)
    running = connection.execute(held.where(RUNNING, threads.c.lease_owner.is_not(None))).scalar_one()
    opened = sa.select(sa.func.count()).select_from(sessions).where(sessions.c.closed_at.is_(None))
    recent = dict.fromkeys(TurnState, 0) | {
        TurnState(state): found
        for state, found in connection.execute(
            sa.select(turns.c.state, sa.func.count()).where(turns.c.started_at > now - RECENT).group_by(turns.c.state)
        )
    }
    again = sa.select(sa.func.count()).where(turns.c.started_at > now - RECENT, turns.c.attempt - turns.c.postponed > 1)
    refused = sa.select(sa.func.coalesce(sa.func.sum(refusals.c.deliveries), 0)).where(
        refusals.c.hour >= hour_of(now - RECENT)
    )
    prompt, cached = connection.execute(
        sa.select(
            sa.func.coalesce(sa.func.sum(turns.c.prompt_tokens), 0),
            sa.func.coalesce(sa.func.sum(turns.c.cached_tokens), 0),
        ).where(turns.c.started_at > now - RECENT)
    ).one()
    return WorkMetrics(
        owed_messages=count,
        oldest_owed_seconds=max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
        running_turns=running,
        open_sessions=connection.execute(opened).scalar_one(),
        answered_turns=recent[TurnState.ANSWERED],
        failed_turns=recent[TurnState.FAILED],
        taken_over_turns=connection.execute(again).scalar_one(),
        refused_deliveries=connection.execute(refused).scalar_one(),
        prompt_tokens=int(prompt),
        cached_tokens=int(cached),
    )


def add_refusals(connection: Connection, counted: Mapping[datetime, int], *, now: datetime) -> None:
    """Add what a process counted, by the hour, to what is kept; what is older than KEPT goes."""
    for hour in sorted(counted):  # in the same order everywhere, so that replicas do not wait for each other in a ring
        insert_or_ignore(connection, refusals, {"hour": hour, "deliveries": 0})
        more = refusals.c.deliveries + counted[hour]
        connection.execute(sa.update(refusals).where(refusals.c.hour == hour).values(deliveries=more))
    connection.execute(sa.delete(refusals).where(refusals.c.hour < now - KEPT))


def hour_of(moment: datetime) -> datetime:
    """The hour that it is counted in."""
    return moment.replace(minute=0, second=0, microsecond=0)
