"""Recalled turns: what an open session knows, for a comparison outside of the transaction that begins its next turn.

Rule: bounded. The session may change until that transaction, so it checks that the newest turn is still the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.events import Thread
from bot.domain.sessions import is_idle
from bot.prompt.history import Turn
from bot.store import history
from bot.store.tables import SESSIONS, THREADS

MOST_TURNS = 200
MOST_CHARACTERS = 1_000_000  # beyond that no older turns are read


@dataclass(frozen=True, slots=True)
class RecalledTurns:
    """The newest turns of a session, oldest first."""

    turns: tuple[Turn, ...] = ()
    whole: bool = True  # these are all of them

    @property
    def newest(self) -> int:
        """The id of the newest turn; 0 without any."""
        return self.turns[-1].id if self.turns else 0


def read(connection: Connection, thread: Thread, *, now: datetime, idle_after: timedelta) -> RecalledTurns:
    """Return the turns of the thread's open session; none when it has expired by now."""
    session_id, turns = _open_session(connection, thread, now, idle_after), list[Turn]()
    if session_id is None:
        return RecalledTurns()
    pages = history.pages_back(connection, session_id)
    whole = False
    while not whole and len(turns) < MOST_TURNS and sum(turn.size for turn in turns) < MOST_CHARACTERS:
        page = next(pages, [])
        turns += page
        whole = not page
    return RecalledTurns(tuple(reversed(turns[:MOST_TURNS])), whole)


def newest(connection: Connection, thread: Thread, *, now: datetime, idle_after: timedelta) -> int:
    """Return the id of the newest turn that `read` would return now; 0 without any."""
    session_id = _open_session(connection, thread, now, idle_after)
    return history.newest_id(connection, session_id) if session_id is not None else 0


def _open_session(connection: Connection, thread: Thread, now: datetime, idle_after: timedelta) -> str | None:
    place = {
        "on_platform": thread.platform,
        "in_workspace": thread.workspace,
        "in_channel": thread.channel,
        "at_root": thread.root,
    }
    session = connection.execute(_OPEN, place).first()
    if session is None or is_idle(session.last_active_at, now=now, idle_after=idle_after):
        return None
    return str(session.id)


_OPEN = (
    sa.select(SESSIONS.c.id, SESSIONS.c.last_active_at)
    .join(THREADS, THREADS.c.id == SESSIONS.c.thread_id)
    .where(
        THREADS.c.platform == sa.bindparam("on_platform"),
        THREADS.c.workspace == sa.bindparam("in_workspace"),
        THREADS.c.channel == sa.bindparam("in_channel"),
        THREADS.c.root == sa.bindparam("at_root"),
        SESSIONS.c.closed_at.is_(None),
    )
)
