"""The platform's messages that hold the turns' answers: what a takeover finishes, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain import texts
from bot.store.claims import Claim
from bot.store.engine import insert_or_ignore
from bot.store.erasure import words_changed
from bot.store.tables import RUNNING, POSTED_MESSAGES, TURNS


def posted(connection: Connection, claimed: Claim, answer_id: str) -> None:
    """Remember that one of the platform's messages holds a part of this turn's answer."""
    values = {"thread_id": claimed.thread_id, "turn_id": claimed.turn_id, "answer_id": answer_id}
    insert_or_ignore(connection, POSTED_MESSAGES, values)


def removed(connection: Connection, claimed: Claim, answer_id: str) -> None:
    """This message holds no part of the turn's answer any more: it was taken away by whoever answers."""
    mine = (POSTED_MESSAGES.c.turn_id == claimed.turn_id, POSTED_MESSAGES.c.answer_id == answer_id)
    connection.execute(sa.delete(POSTED_MESSAGES).where(*mine))


def erase(connection: Connection, thread_id: int, answer_id: str) -> None:
    """Erase the answer that a deleted message held a part of. One that is still under way is not over yet."""
    held = (POSTED_MESSAGES.c.thread_id == thread_id, POSTED_MESSAGES.c.answer_id == answer_id)
    of_turn = sa.select(POSTED_MESSAGES.c.turn_id).where(*held).scalar_subquery()
    kept = (TURNS.c.id == of_turn, ~RUNNING, TURNS.c.answer.is_not(None), TURNS.c.answer != texts.ANSWER_ERASED)
    erased = sa.update(TURNS).where(*kept).values(answer=texts.ANSWER_ERASED)
    turn_id = connection.execute(erased.returning(TURNS.c.id)).scalar()
    if turn_id is not None:
        words_changed(connection, [turn_id])


def of_turn(connection: Connection, claimed: Claim) -> list[str]:
    """The platform's messages that attempts at this turn posted, in order."""
    mine = sa.select(POSTED_MESSAGES.c.answer_id).where(POSTED_MESSAGES.c.turn_id == claimed.turn_id).order_by(POSTED_MESSAGES.c.id)
    return list(connection.execute(mine).scalars())


def of_other_turns(connection: Connection, claimed: Claim, ids: Sequence[str]) -> set[str]:
    """Which of these messages of the platform hold answers of other turns in the thread."""
    others = sa.select(POSTED_MESSAGES.c.answer_id).where(
        POSTED_MESSAGES.c.thread_id == claimed.thread_id,
        POSTED_MESSAGES.c.answer_id.in_(ids),
        POSTED_MESSAGES.c.turn_id != claimed.turn_id,
    )
    return set(connection.execute(others).scalars())
