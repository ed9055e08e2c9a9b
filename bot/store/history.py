"""History: a session's settled turns, read in pages.

Rule: the turn that shows the session's thread context is returned with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.prompt.history import Past, Turn
from bot.prompt.tokens import MOST_CHARACTERS
from bot.store import file_contents, summaries, thread_context
from bot.store.claims import utterance
from bot.store.settlement import TurnState
from bot.store.tables import MESSAGES, TURNS

PAGE = 200  # turns in one statement
FIRST_PAGE = 10  # long texts exceed the budget within a few turns
SMALL_PAGE = 40  # where reading stops at a number of characters
NEWEST = 2**62  # greater than the id of any turn
_SETTLED = (TurnState.ANSWERED.value, TurnState.FAILED.value, TurnState.STOPPED.value)


def before(connection: Connection, session_id: str, turn_id: int, *, budget_tokens: int) -> Past:
    """Return the turns that were settled before this one and are in the session's window, oldest first.

    Reading stops, and the window moves, where the turns surely exceed the budget, so that the cost does not grow with
    the session.
    """
    window = summaries.window_of(connection, session_id)
    turns: list[Turn] = []
    characters_left = budget_tokens * MOST_CHARACTERS
    size = FIRST_PAGE
    while len(page := _read(connection, _NEWEST_FIRST, session_id, window.after, turn_id, page=size)) == size:
        turns += page
        size = min(2 * size, PAGE)
        turn_id = page[-1].id  # the next page ends before this one
        characters_left -= sum(turn.size for turn in page)
        if characters_left < 0:
            window = replace(window, after=turn_id - 1, several=True)
            break
    else:
        turns += page
    shown = [turn for turn in reversed(turns) if turn.messages]  # without turns whose messages were all deleted
    return Past(tuple(thread_context.attached(connection, session_id, shown)), window)


def pages_back(connection: Connection, session_id: str) -> Iterator[list[Turn]]:
    """Yield the settled turns in small pages, newest first, including those before the window."""
    before_turn = NEWEST
    while page := _read(connection, _NEWEST_FIRST, session_id, 0, before_turn, page=SMALL_PAGE):
        yield page
        if len(page) < SMALL_PAGE:
            return
        before_turn = page[-1].id


def newest_id(connection: Connection, session_id: str) -> int:
    """Return the id of the newest settled turn; 0 without any."""
    everything = {"in_session": session_id, "after": 0, "before": NEWEST}
    return connection.execute(_NEWEST_ID, everything).scalar() or 0


def oldest(connection: Connection, session_id: str, *, after: int, until: int) -> list[Turn]:
    """Return at most PAGE settled turns after one turn and up to another, oldest first, including deleted ones."""
    return thread_context.attached(
        connection, session_id, _read(connection, _OLDEST_FIRST, session_id, after, until + 1)
    )


def _read(
    connection: Connection, statement: sa.Select[Any], session_id: str, after: int, before: int, *, page: int = PAGE
) -> list[Turn]:
    scope = {"in_session": session_id, "after": after, "before": before, "in_page": page}
    rows = connection.execute(statement, scope)
    turns = [_turn(turn_id, list(of_turn)) for turn_id, of_turn in groupby(rows, key=lambda row: row.turn_id)]
    return file_contents.in_turns(connection, session_id, turns)


def _turn(turn_id: int, rows: Sequence[Row[*tuple[Any, ...]]]) -> Turn:
    messages = tuple(utterance(row) for row in rows if row.author_id is not None)
    return Turn(messages, rows[0].answer or "", turn_id)


_IN_RANGE = sa.select(TURNS.c.id, TURNS.c.answer).where(
    TURNS.c.session_id == sa.bindparam("in_session"),
    TURNS.c.id > sa.bindparam("after"),
    TURNS.c.id < sa.bindparam("before"),
    TURNS.c.state.in_(_SETTLED),
)
_NEWEST_ID = _IN_RANGE.with_only_columns(TURNS.c.id).order_by(TURNS.c.id.desc()).limit(1)


def _with_messages(page: sa.Subquery, order: sa.ColumnElement[Any]) -> sa.Select[Any]:
    # An outer join: a turn whose messages were all deleted is read too, so that pages are full.
    is_shown = sa.and_(MESSAGES.c.fixed_reply.is_(None), MESSAGES.c.deleted_at.is_(None))
    of_turn = sa.and_(MESSAGES.c.turn_id == page.c.id, is_shown)
    content = (MESSAGES.c.text, MESSAGES.c.attachments, MESSAGES.c.forwarded)
    columns = (MESSAGES.c.author_id, MESSAGES.c.message_id, MESSAGES.c.overheard, *content)
    statement = sa.select(page.c.id.label("turn_id"), page.c.answer, *columns)
    return statement.join_from(page, MESSAGES, of_turn, isouter=True).order_by(order, MESSAGES.c.message_id)


_NEWEST_PAGE, _OLDEST_PAGE = (
    _IN_RANGE.order_by(order).limit(sa.bindparam("in_page")).subquery("page")
    for order in (TURNS.c.id.desc(), TURNS.c.id)
)
_NEWEST_FIRST = _with_messages(_NEWEST_PAGE, _NEWEST_PAGE.c.id.desc())
_OLDEST_FIRST = _with_messages(_OLDEST_PAGE, _OLDEST_PAGE.c.id.asc())
