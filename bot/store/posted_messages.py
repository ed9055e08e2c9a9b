"""Posted messages: which of the platform's messages hold which turn's answer.

A worker that takes a turn over edits the messages of this turn and leaves those of other turns alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain import texts
from bot.store import answer_files, stored_bytes
from bot.store.claims import Claim
from bot.store.engine import insert_or_ignore
from bot.store.erasure import texts_changed
from bot.store.tables import POSTED_MESSAGES, RUNNING, TURNS


def posted(connection: Connection, claimed: Claim, answer_id: str) -> None:
    """Store that a message of the platform holds a part of this turn's answer."""
    values = {"thread_id": claimed.thread_id, "turn_id": claimed.turn_id, "answer_id": answer_id}
    insert_or_ignore(connection, POSTED_MESSAGES, values)


def removed(connection: Connection, claimed: Claim, answer_id: str) -> None:
    """Delete the row of a message that the worker has removed from the platform."""
    row = (POSTED_MESSAGES.c.turn_id == claimed.turn_id, POSTED_MESSAGES.c.answer_id == answer_id)
    connection.execute(sa.delete(POSTED_MESSAGES).where(*row))


def erase(connection: Connection, thread_id: int, answer_id: str) -> None:
    """Erase the answer that a deleted message holds a part of, unless its turn is still running."""
    row = (POSTED_MESSAGES.c.thread_id == thread_id, POSTED_MESSAGES.c.answer_id == answer_id)
    turn_id: int | None = connection.execute(sa.select(POSTED_MESSAGES.c.turn_id).where(*row)).scalar()
    if turn_id is not None:
        erase_answer(connection, turn_id)


def erase_answer(connection: Connection, turn_id: int) -> None:
    """Erase the answer of a turn, unless the turn is still running."""
    its_turn = TURNS.c.id == turn_id
    has_answer = (~RUNNING, TURNS.c.answer.is_not(None), TURNS.c.answer != texts.ANSWER_ERASED)
    before = stored_bytes.held(connection, sa.and_(its_turn, *has_answer))
    erased = sa.update(TURNS).where(its_turn, *has_answer).values(answer=texts.ANSWER_ERASED)
    if connection.execute(erased.returning(TURNS.c.id)).first() is not None:
        answer_files.doom(connection, [turn_id])
        texts_changed(connection, [turn_id])
        after = stored_bytes.held(connection, TURNS.c.id == turn_id)
        stored_bytes.subtract(connection, before, after)


def of_turn(connection: Connection, claimed: Claim) -> list[str]:
    """Return the ids of the messages that all attempts at this turn have posted, in order."""
    statement = (
        sa.select(POSTED_MESSAGES.c.answer_id)
        .where(POSTED_MESSAGES.c.turn_id == claimed.turn_id)
        .order_by(POSTED_MESSAGES.c.id)
    )
    return list(connection.execute(statement).scalars())


def of_other_turns(connection: Connection, claimed: Claim, ids: Sequence[str]) -> set[str]:
    """Return those of these message ids that hold answers of other turns in the thread."""
    others = sa.select(POSTED_MESSAGES.c.answer_id).where(
        POSTED_MESSAGES.c.thread_id == claimed.thread_id,
        POSTED_MESSAGES.c.answer_id.in_(ids),
        POSTED_MESSAGES.c.turn_id != claimed.turn_id,
    )
    return set(connection.execute(others).scalars())
