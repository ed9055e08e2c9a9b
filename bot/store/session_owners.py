"""The owners of sessions on a chat platform: the people who began them, and for whom their text counts.

The owner of a session over HTTP is an API key, which has a limit of its own (`stored_bytes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.sessions import Closed
from bot.store import sessions
from bot.store.tables import MESSAGES, SESSIONS, THREADS

MOST_BYTES = 64_000_000  # in a person's open sessions; beyond it the oldest ones expire
MOST_SESSIONS = 1_000
SMALL_SESSION = MOST_BYTES // MOST_SESSIONS  # as many of them as a person may have never exceed MOST_BYTES


def expire_oldest(connection: Connection, owner: str, *, now: datetime) -> None:
    """Close the oldest sessions that a person began, while all of them together hold too much text."""
    newest_first = connection.execute(_OF_OWNER, {"this_owner": owner}).all()
    totals = accumulate(session.stored_bytes for session in newest_first)
    beyond = [session.id for session, total in zip(newest_first, totals, strict=True) if total > MOST_BYTES]
    beyond += [session.id for session in newest_first[MOST_SESSIONS:] if session.id not in beyond]
    if beyond:
        # Locked ones are in use. Waiting for them could cause a deadlock with a message in their thread.
        free = sa.select(SESSIONS.c.id).where(SESSIONS.c.id.in_(beyond)).with_for_update(skip_locked=True)
        idle = list(connection.execute(free).scalars())
        sessions.close(connection, idle, Closed.EXPIRED, now=now, unless_owed=True)


def disown(connection: Connection, place: Sequence[sa.ColumnElement[bool]], owner: str) -> None:
    """Remove the id of a person who is forgotten from the open sessions in threads that match `place`."""
    in_place = sa.exists().where(THREADS.c.id == SESSIONS.c.thread_id, *place)
    owned = sa.update(SESSIONS).where(SESSIONS.c.owner == owner, SESSIONS.c.closed_at.is_(None), in_place)
    connection.execute(owned.values(owner=""))


def last_asker(connection: Connection, session_id: str) -> str:
    """Return the author of the newest message in a session; empty when it has none."""
    return connection.execute(_LAST_ASKER, {"this_session": session_id}).scalar() or ""


_LAST_ASKER = (
    sa.select(MESSAGES.c.author_id)
    .where(MESSAGES.c.session_id == sa.bindparam("this_session"), MESSAGES.c.deleted_at.is_(None))
    .order_by(MESSAGES.c.message_id.desc())
    .limit(1)
)
_OF_OWNER = (
    sa.select(SESSIONS.c.id, SESSIONS.c.stored_bytes)
    .where(SESSIONS.c.owner == sa.bindparam("this_owner"), SESSIONS.c.closed_at.is_(None))
    .order_by(SESSIONS.c.last_active_at.desc())
    .limit(MOST_SESSIONS + 10)
)
