"""Display names: the name under which the model reads a person, fixed for the whole session.

A person who changes their profile must keep one name in the history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.prompt.speakers import unique_names
from bot.store.engine import insert_or_ignore
from bot.store.locks import lock_if_open
from bot.store.tables import DISPLAY_NAMES, SESSIONS, THREADS


def of_session(connection: Connection, session_id: str) -> dict[str, str]:
    """Return the session's names by people's ids, oldest first."""
    return {row.person_id: row.name for row in connection.execute(_OF_SESSION, {"in_session": session_id})}


def assign(
    connection: Connection,
    session_id: str,
    people: Iterable[str],
    profile_names: Mapping[str, str],
    *,
    bots: Collection[str] = (),
    own_name: str = "",
) -> Mapping[str, str]:
    """Return the session's names with one for each of these people; new ones are stored if the session is open.

    See `unique_names` for the arguments.
    """
    is_open = lock_if_open(connection, session_id)  # the lock prevents that two people get the same name
    stored = of_session(connection, session_id)
    names = unique_names(people, profile_names, stored, bots=bots, own_name=own_name)
    for person_id in [person_id for person_id in names if is_open and person_id not in stored]:
        row = {"session_id": session_id, "person_id": person_id, "name": names[person_id]}
        insert_or_ignore(connection, DISPLAY_NAMES, row)
    return names


def forget(connection: Connection, session_ids: Sequence[str]) -> None:
    """Delete the names of these sessions."""
    connection.execute(sa.delete(DISPLAY_NAMES).where(DISPLAY_NAMES.c.session_id.in_(session_ids)))


def erase_in(connection: Connection, place: Sequence[sa.ColumnElement[bool]], person: str | None) -> None:
    """Delete the names of this person, or of everybody, in the threads that match `place`."""
    of_person = [] if person is None else [DISPLAY_NAMES.c.person_id == person]
    in_place = [DISPLAY_NAMES.c.session_id == SESSIONS.c.id, SESSIONS.c.thread_id == THREADS.c.id, *place]
    ids = sa.select(DISPLAY_NAMES.c.id).where(*in_place, *of_person).correlate(None)
    connection.execute(sa.delete(DISPLAY_NAMES).where(DISPLAY_NAMES.c.id.in_(ids)))


_OF_SESSION = (
    sa.select(DISPLAY_NAMES.c.person_id, DISPLAY_NAMES.c.name)
    .where(DISPLAY_NAMES.c.session_id == sa.bindparam("in_session"))
    .order_by(DISPLAY_NAMES.c.id)
)
