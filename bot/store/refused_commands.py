"""Refused commands: those of people who took no part, which are replied to while the thread's answer still runs.

Rule: a refusal touches nothing. Only the process that holds the thread posts one, and its message belongs to a turn of
its own, so that it does not count as a part of the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.sessions import ResetOutcome, StopOutcome
from bot.store.engine import insert_or_ignore
from bot.store.settlement import TurnState
from bot.store.tables import MESSAGES, POSTED_MESSAGES, TURNS

_REFUSED: dict[str, ResetOutcome | StopOutcome] = {
    ResetOutcome.NOT_YOURS.value: ResetOutcome.NOT_YOURS,
    StopOutcome.NOT_YOURS.value: StopOutcome.NOT_YOURS,
}


@dataclass(frozen=True, slots=True)
class RefusedCommand:
    """A refused command that waits for its reply."""

    thread_id: int
    row_id: int  # of its message
    message_id: str
    author_id: str
    outcome: ResetOutcome | StopOutcome


def waiting(connection: Connection, thread_ids: Sequence[int]) -> list[RefusedCommand]:
    """Return the refused commands that wait in these threads, oldest first."""
    rows = connection.execute(_WAITING, {"these": list(thread_ids)})
    return [
        RefusedCommand(row.thread_id, row.id, row.message_id, row.author_id, _REFUSED[row.fixed_reply]) for row in rows
    ]


def settle(connection: Connection, command: RefusedCommand, answer_id: str | None, *, now: datetime) -> None:
    """Store that the command was replied to, by this message of the platform, unless it has a turn by now."""
    locked = _WAITS.where(MESSAGES.c.id == command.row_id).with_for_update()
    if connection.execute(locked).first() is None:
        return
    turn = sa.insert(TURNS).values(
        thread_id=command.thread_id, attempt=1, state=TurnState.ANSWERED.value, started_at=now, finished_at=now
    )
    turn_id = connection.execute(turn.returning(TURNS.c.id)).scalar_one()
    connection.execute(sa.update(MESSAGES).where(MESSAGES.c.id == command.row_id).values(turn_id=turn_id))
    if answer_id is not None:
        posted = {"thread_id": command.thread_id, "turn_id": turn_id, "answer_id": answer_id}
        insert_or_ignore(connection, POSTED_MESSAGES, posted)


_WAITS = sa.select(MESSAGES.c.id).where(MESSAGES.c.turn_id.is_(None))
_WAITING = (
    sa.select(MESSAGES.c.id, MESSAGES.c.thread_id, MESSAGES.c.message_id, MESSAGES.c.author_id, MESSAGES.c.fixed_reply)
    .where(
        MESSAGES.c.turn_id.is_(None),
        MESSAGES.c.thread_id.in_(sa.bindparam("these", expanding=True)),
        MESSAGES.c.fixed_reply.in_(list(_REFUSED)),
    )
    .order_by(MESSAGES.c.message_id)
)
