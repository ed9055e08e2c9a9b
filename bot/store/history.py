"""A session's settled turns: the newest, read only as far back as they are shown, or the oldest of some range.

Rule: the turn that the session's background stands with has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.prompt.history import Past, Turn
from bot.prompt.tokens import MOST_CHARACTERS
from bot.store import summaries, thread_context
from bot.store.claims import utterance
from bot.store.settlement import TurnState
from bot.store.tables import messages, turns

PAGE = 200  # turns in one statement
NEWEST = 2**62  # the id of a turn after all others
_SETTLED = (TurnState.ANSWERED.value, TurnState.FAILED.value, TurnState.STOPPED.value)


def before(connection: Connection, session_id: str, turn_id: int, *, budget_tokens: int) -> Past:
    """The turns settled before this one, oldest first, back to where the session is cut.

    Not read, and so cut as well, is what surely exceeds the budget: the cost does not grow with the session.
    """
    cut = summaries.cut_of(connection, session_id)
    found: list[Turn] = []
    characters = budget_tokens * MOST_CHARACTERS
    while len(page := _read(connection, _DOWNWARDS, session_id, cut.after, turn_id)) == PAGE:
        found += page
        turn_id = page[-1].id  # the next page ends where this one began
        characters -= sum(map(_characters, page))
        if characters < 0:
            cut = replace(cut, after=turn_id - 1, several=True)
            break
    else:
        found += page
    shown = [turn for turn in reversed(found) if turn.said]  # of some, everything was deleted
    return Past(tuple(thread_context.attached(connection, session_id, shown)), cut)


def newest(connection: Connection, session_id: str) -> list[Turn]:
    """The newest turns settled, newest first, at most PAGE; also those that are not shown any more."""
    return _read(connection, _DOWNWARDS, session_id, 0, NEWEST)


def oldest(connection: Connection, session_id: str, *, after: int, until: int) -> list[Turn]:
    """The turns settled after one and until another, oldest first, at most PAGE; also those that were deleted."""
    return thread_context.attached(connection, session_id, _read(connection, _UPWARDS, session_id, after, until + 1))


def _read(connection: Connection, statement: sa.Select[Any], session_id: str, after: int, before: int) -> list[Turn]:
    rows = connection.execute(statement, {"in_session": session_id, "after": after, "before": before})
    return [_turn(turn_id, list(of_turn)) for turn_id, of_turn in groupby(rows, key=lambda row: row.turn_id)]


def _turn(turn_id: int, rows: Sequence[Row[*tuple[Any, ...]]]) -> Turn:
    told = tuple(utterance(row) for row in rows if row.author_id is not None)
    return Turn(told, rows[0].answer or "", turn_id)


def _characters(turn: Turn) -> int:
    return sum(len(message.text) for message in turn.said) + len(turn.answer or "")


_CHOSEN = sa.select(turns.c.id, turns.c.answer).where(
    turns.c.session_id == sa.bindparam("in_session"),
    turns.c.id > sa.bindparam("after"),
    turns.c.id < sa.bindparam("before"),
    turns.c.state.in_(_SETTLED),
)


def _with_messages(chosen: sa.Subquery, order: sa.ColumnElement[Any]) -> sa.Select[Any]:
    left = sa.and_(messages.c.turn_id == chosen.c.id, messages.c.fixed_reply.is_(None), messages.c.deleted_at.is_(None))
    columns = (messages.c.author_id, messages.c.text, messages.c.attachments)
    statement = sa.select(chosen.c.id.label("turn_id"), chosen.c.answer, *columns)
    return statement.join_from(chosen, messages, left, isouter=True).order_by(order, messages.c.message_id)


_LATEST, _FIRST = (_CHOSEN.order_by(order).limit(PAGE).subquery("chosen") for order in (turns.c.id.desc(), turns.c.id))
_DOWNWARDS = _with_messages(_LATEST, _LATEST.c.id.desc())
_UPWARDS = _with_messages(_FIRST, _FIRST.c.id.asc())
