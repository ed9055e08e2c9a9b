"""What people are called in a session: given once, so that nobody changes who said what by changing their name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.events import storable
from bot.store.engine import insert_or_ignore
from bot.store.holds import is_open
from bot.store.tables import names


def of_session(connection: Connection, session_id: str) -> dict[str, str]:
    """The names by people's ids, in the order in which they were given."""
    return {row.person_id: row.name for row in connection.execute(_GIVEN, {"in_session": session_id})}


def give(connection: Connection, session_id: str, given: Mapping[str, str]) -> None:
    """Remember what these people are called from now on. A closed session remembers nobody."""
    if is_open(connection, session_id):
        for person_id, name in given.items():
            row = {"session_id": session_id, "person_id": person_id, "name": storable(name)}
            insert_or_ignore(connection, names, row)


def forget(connection: Connection, session_ids: Sequence[str]) -> None:
    """Forget who took part in these sessions."""
    connection.execute(sa.delete(names).where(names.c.session_id.in_(session_ids)))


_GIVEN = (
    sa.select(names.c.person_id, names.c.name)
    .where(names.c.session_id == sa.bindparam("in_session"))
    .order_by(names.c.id)
)
