"""The platform's messages that hold the turns' answers: what a takeover finishes, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain import texts
from bot.store.claims import Claim
from bot.store.engine import insert_or_ignore
from bot.store.erasure import words_changed
from bot.store.tables import RUNNING, answers, turns


def posted(connection: Connection, claimed: Claim, answer_id: str) -> None:
    """Remember that one of the platform's messages holds a part of this turn's answer."""
    values = {"thread_id": claimed.thread_id, "turn_id": claimed.turn_id, "answer_id": answer_id}
    insert_or_ignore(connection, answers, values)


def removed(connection: Connection, claimed: Claim, answer_id: str) -> None:
    """This message holds no part of the turn's answer any more: it was taken away by whoever answers."""
    mine = (answers.c.turn_id == claimed.turn_id, answers.c.answer_id == answer_id)
    connection.execute(sa.delete(answers).where(*mine))


def erase(connection: Connection, thread_id: int, answer_id: str) -> None:
    """Erase the answer that a deleted message held a part of. One that is still under way is not over yet."""
    held = (answers.c.thread_id == thread_id, answers.c.answer_id == answer_id)
    of_turn = sa.select(answers.c.turn_id).where(*held).scalar_subquery()
    kept = (turns.c.id == of_turn, ~RUNNING, turns.c.answer.is_not(None), turns.c.answer != texts.ANSWER_ERASED)
    erased = sa.update(turns).where(*kept).values(answer=texts.ANSWER_ERASED)
    turn_id = connection.execute(erased.returning(turns.c.id)).scalar()
    if turn_id is not None:
        words_changed(connection, [turn_id])


def of_turn(connection: Connection, claimed: Claim) -> list[str]:
    """The platform's messages that attempts at this turn posted, in order."""
    mine = sa.select(answers.c.answer_id).where(answers.c.turn_id == claimed.turn_id).order_by(answers.c.id)
    return list(connection.execute(mine).scalars())


def of_other_turns(connection: Connection, claimed: Claim, ids: Sequence[str]) -> set[str]:
    """Which of these messages of the platform hold answers of other turns in the thread."""
    others = sa.select(answers.c.answer_id).where(
        answers.c.thread_id == claimed.thread_id,
        answers.c.answer_id.in_(ids),
        answers.c.turn_id != claimed.turn_id,
    )
    return set(connection.execute(others).scalars())
