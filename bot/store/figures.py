"""What an operator asks first: what is owed, for how long, what runs, what was taken over or failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.store.claims import State
from bot.store.tables import RUNNING, messages, sessions, turns

RECENT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Figures:
    """The state of the work in all replicas together; counts of turns are of the last 24 hours."""

    owed_messages: int
    oldest_owed_seconds: float
    running_turns: int
    open_sessions: int
    answered_turns: int
    failed_turns: int
    taken_over_turns: int  # needed more than one attempt
    prompt_tokens: int = 0  # as the model's backend counted them
    cached_tokens: int = 0  # the part of them that it had in its cache


def figures(connection: Connection, *, now: datetime) -> Figures:
    """The figures at this moment."""
    owed = sa.select(sa.func.count(), sa.func.min(messages.c.accepted_at)).where(messages.c.turn_id.is_(None))
    count, oldest = connection.execute(owed).one()
    running = connection.execute(sa.select(sa.func.count()).select_from(turns).where(RUNNING)).scalar_one()
    opened = sa.select(sa.func.count()).select_from(sessions).where(sessions.c.closed_at.is_(None))
    recent = dict.fromkeys(State, 0) | {
        State(state): found
        for state, found in connection.execute(
            sa.select(turns.c.state, sa.func.count()).where(turns.c.started_at > now - RECENT).group_by(turns.c.state)
        )
    }
    again = sa.select(sa.func.count()).where(turns.c.started_at > now - RECENT, turns.c.attempt > 1)
    prompt, cached = connection.execute(
        sa.select(
            sa.func.coalesce(sa.func.sum(turns.c.prompt_tokens), 0),
            sa.func.coalesce(sa.func.sum(turns.c.cached_tokens), 0),
        ).where(turns.c.started_at > now - RECENT)
    ).one()
    return Figures(
        owed_messages=count,
        oldest_owed_seconds=max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
        running_turns=running,
        open_sessions=connection.execute(opened).scalar_one(),
        answered_turns=recent[State.ANSWERED],
        failed_turns=recent[State.FAILED],
        taken_over_turns=connection.execute(again).scalar_one(),
        prompt_tokens=int(prompt),
        cached_tokens=int(cached),
    )
