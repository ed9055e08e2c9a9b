"""A session's past turns, the newest first, read only as far back as a token budget reaches."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.history import Said, Turn, estimate_tokens
from bot.store.claims import State, said
from bot.store.tables import messages, turns

PAGE = 50  # turns read at a time: the cost of a turn does not grow with the length of its session
_SETTLED = (State.ANSWERED.value, State.FAILED.value, State.STOPPED.value)


def before(connection: Connection, session_id: str, turn_id: int, *, budget_tokens: int) -> list[Turn]:
    """The turns settled before this one, oldest first; enough of the newest to fill the budget."""
    found: list[Turn] = []
    while budget_tokens > 0:
        page = _page(connection, session_id, turn_id)
        found += [turn for _, turn in page if turn.said]  # of some, everything was deleted
        if len(page) < PAGE:
            break
        turn_id = page[-1][0]  # the next page starts where this one ended
        budget_tokens -= sum(_cost(turn) for _, turn in page)
    return found[::-1]


def _page(connection: Connection, session_id: str, turn_id: int) -> list[tuple[int, Turn]]:
    rows = connection.execute(_TURNS, {"in_session": session_id, "before_turn": turn_id}).all()
    said_in: dict[int, list[Said]] = {row.id: [] for row in rows}
    for row in connection.execute(_SAID, {"in_turns": list(said_in)}) if said_in else ():
        said_in[row.turn_id].append(said(row))
    return [(row.id, Turn(tuple(said_in[row.id]), row.answer or "", row.id)) for row in rows]


_TURNS = (
    sa.select(turns.c.id, turns.c.answer)
    .where(
        turns.c.session_id == sa.bindparam("in_session"),
        turns.c.id < sa.bindparam("before_turn"),
        turns.c.state.in_(_SETTLED),
    )
    .order_by(turns.c.id.desc())
    .limit(PAGE)
)
_SAID = (
    sa.select(messages)
    .where(
        messages.c.turn_id.in_(sa.bindparam("in_turns", expanding=True)),
        messages.c.fixed_reply.is_(None),
        messages.c.deleted_at.is_(None),
    )
    .order_by(messages.c.message_id)
)


def _cost(turn: Turn) -> int:
    return sum(estimate_tokens(message.text) for message in turn.said) + estimate_tokens(turn.answer or "")
