"""What people are called in a session: given once, so that nobody changes who said what by changing their name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.prompt.speakers import distinct
from bot.store.engine import insert_or_ignore
from bot.store.locks import is_open
from bot.store.tables import DISPLAY_NAMES, SESSIONS, THREADS


def of_session(connection: Connection, session_id: str) -> dict[str, str]:
    """The names by people's ids, in the order in which they were given."""
    return {row.person_id: row.name for row in connection.execute(_GIVEN, {"in_session": session_id})}


def give(
    connection: Connection, session_id: str, people: Iterable[str], called: Mapping[str, str]
) -> Mapping[str, str]:
    """A name for each of these people, which is theirs from now on. A closed session remembers nobody.

    `called` is what they call themselves, where that is known.
    """
    remembered = is_open(connection, session_id)  # and held, so that nobody else gives the same name meanwhile
    taken = of_session(connection, session_id)
    given = distinct(people, called, taken)
    for person_id in [person_id for person_id in given if remembered and person_id not in taken]:
        row = {"session_id": session_id, "person_id": person_id, "name": given[person_id]}
        insert_or_ignore(connection, DISPLAY_NAMES, row)
    return given


def forget(connection: Connection, session_ids: Sequence[str]) -> None:
    """Forget who took part in these sessions."""
    connection.execute(sa.delete(DISPLAY_NAMES).where(DISPLAY_NAMES.c.session_id.in_(session_ids)))


def erase_in(connection: Connection, place: Sequence[sa.ColumnElement[bool]], person: str | None) -> None:
    """Forget what this person, or everybody, is called in the threads at a place."""
    theirs = [] if person is None else [DISPLAY_NAMES.c.person_id == person]
    here = [DISPLAY_NAMES.c.session_id == SESSIONS.c.id, SESSIONS.c.thread_id == THREADS.c.id, *place]
    those = sa.select(DISPLAY_NAMES.c.id).where(*here, *theirs).correlate(None)
    connection.execute(sa.delete(DISPLAY_NAMES).where(DISPLAY_NAMES.c.id.in_(those)))


_GIVEN = (
    sa.select(DISPLAY_NAMES.c.person_id, DISPLAY_NAMES.c.name)
    .where(DISPLAY_NAMES.c.session_id == sa.bindparam("in_session"))
    .order_by(DISPLAY_NAMES.c.id)
)
