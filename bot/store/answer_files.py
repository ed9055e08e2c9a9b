"""Answer files: which of the platform's files hold the rest of which turn's answer, and which are to be deleted.

Rule: a file whose answer was erased is doomed. Its row stays until the platform has deleted it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.store.engine import insert_or_ignore
from bot.store.tables import ANSWER_FILES, RUNNING, THREADS, TURNS


@dataclass(frozen=True, slots=True)
class DoomedFile:
    """A file that is to be deleted."""

    platform: str
    workspace: str
    turn_id: int
    file_id: str


def add(connection: Connection, turn_id: int, file_id: str) -> None:
    """Store that a file of the platform holds a part of this turn's answer."""
    insert_or_ignore(connection, ANSWER_FILES, {"turn_id": turn_id, "file_id": file_id, "doomed": False})


def remove(connection: Connection, files: Sequence[tuple[int, str]]) -> None:
    """Delete the rows of files that the platform no longer has, each by its turn and its id."""
    for turn_id, file_id in files:
        row = (ANSWER_FILES.c.turn_id == turn_id, ANSWER_FILES.c.file_id == file_id)
        connection.execute(sa.delete(ANSWER_FILES).where(*row))


def of_turn(connection: Connection, turn_id: int) -> list[str]:
    """Return the ids of the files that all attempts at this turn have uploaded, in order."""
    statement = sa.select(ANSWER_FILES.c.file_id).where(ANSWER_FILES.c.turn_id == turn_id)
    return list(connection.execute(statement.order_by(ANSWER_FILES.c.id)).scalars())


def turns_of_file(connection: Connection, platform: str, workspace: str, file_id: str) -> dict[int, int]:
    """Return the turns whose answers this file holds a part of, with their threads."""
    statement = (
        sa.select(TURNS.c.id, TURNS.c.thread_id)
        .select_from(ANSWER_FILES)
        .join(TURNS, TURNS.c.id == ANSWER_FILES.c.turn_id)
        .join(THREADS, THREADS.c.id == TURNS.c.thread_id)
        .where(ANSWER_FILES.c.file_id == file_id, THREADS.c.platform == platform, THREADS.c.workspace == workspace)
    )
    return {row.id: row.thread_id for row in connection.execute(statement)}


def doom(connection: Connection, turn_ids: Sequence[int]) -> None:
    """Have the files deleted that hold a part of these answers. A running turn deletes its own, or writes others."""
    ended = sa.select(TURNS.c.id).where(TURNS.c.id.in_(turn_ids), ~RUNNING)
    connection.execute(sa.update(ANSWER_FILES).where(ANSWER_FILES.c.turn_id.in_(ended)).values(doomed=True))


def doomed(connection: Connection, places: Sequence[tuple[str, str]], *, batch: int) -> list[DoomedFile]:
    """Return at most `batch` files to delete. `places` are the platforms and workspaces to look in."""
    in_place = sa.or_(*(sa.and_(THREADS.c.platform == p, THREADS.c.workspace == w) for p, w in places))
    statement = (
        sa.select(THREADS.c.platform, THREADS.c.workspace, ANSWER_FILES.c.turn_id, ANSWER_FILES.c.file_id)
        .join_from(ANSWER_FILES, TURNS, TURNS.c.id == ANSWER_FILES.c.turn_id)
        .join(THREADS, THREADS.c.id == TURNS.c.thread_id)
        .where(ANSWER_FILES.c.doomed, ~RUNNING, in_place)
        .order_by(ANSWER_FILES.c.id)
        .limit(batch)
    )
    return [DoomedFile(*row) for row in connection.execute(statement)]
