"""Summaries: the text that replaces the oldest part of a long session, and the lease to write it.

Rule: erasing a text voids every summary that may contain it, also one that is being written. Every change of a summary
locks its session, so that changes come one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.events import storable
from bot.prompt.history import WHOLE_HISTORY, HistoryWindow
from bot.store import leases
from bot.store.leases import LeaseRequest
from bot.store.locks import lock_if_open
from bot.store.tables import SUMMARIES, TURNS


@dataclass(frozen=True, slots=True)
class CompactionClaim:
    """The right to write a session's next summary, and its present window."""

    session_id: str
    fence: int
    window: HistoryWindow


def window_of(connection: Connection, session_id: str) -> HistoryWindow:
    """Return the session's window, with its summary."""
    row = connection.execute(_WINDOW, {"this_session": session_id}).first()
    return HistoryWindow(*row) if row is not None else WHOLE_HISTORY


def move(connection: Connection, session_id: str, window: HistoryWindow) -> None:
    """Move the session's window. It never moves back."""
    values = {"this_session": session_id, "new_after": window.after, "several_now": window.several}
    if connection.execute(_MOVE, values).rowcount == 0:
        _insert(connection, session_id, shown_after=window.after, several=window.several)


def begin(connection: Connection, lease: LeaseRequest, session_id: str) -> CompactionClaim | None:
    """Lease the session's next summary; None when another process has the lease, or the session is closed."""
    if not lock_if_open(connection, session_id):
        return None
    if connection.execute(_WINDOW, {"this_session": session_id}).first() is None:
        _insert(connection, session_id)
    dialect = connection.dialect.name
    times = leases.times(connection, lease.now, lease.length)
    values = {"this_session": session_id, "owner": lease.owner, **times}
    fence = connection.execute(_TAKE[dialect], values).scalar()
    return CompactionClaim(session_id, fence, window_of(connection, session_id)) if fence is not None else None


def finish(connection: Connection, claim: CompactionClaim, text: str, *, reaches: int, several: bool) -> bool:
    """Store the summary, and move the window behind it; False when it is void, or the session is closed."""
    if not lock_if_open(connection, claim.session_id):
        return False
    values = {
        "this_session": claim.session_id,
        "this_fence": claim.fence,
        "text": storable(text),
        "reaches": reaches,
        "new_after": reaches,
        "several_now": several,
    }
    return connection.execute(_FINISH, values).rowcount == 1


def give_up(connection: Connection, claim: CompactionClaim) -> None:
    """Give the lease up, so that another process can write the summary at once."""
    connection.execute(_MINE, {"this_session": claim.session_id, "this_fence": claim.fence, "lease_until": None})


def release_with_pause(connection: Connection, claim: CompactionClaim, *, now: datetime, pause: timedelta) -> None:
    """Give the lease up after a failure, and keep the summary from being leased before a pause has passed."""
    mine = {"this_session": claim.session_id, "this_fence": claim.fence, **leases.times(connection, now, pause)}
    connection.execute(_PAUSE[connection.dialect.name], mine)


def void(connection: Connection, turn_id: int) -> None:
    """Void the summary that holds this turn, because a text of the turn was erased.

    A summary that does not reach the turn stays. A summary that is being written is not stored in either case.
    """
    session_id = connection.execute(sa.select(TURNS.c.session_id).where(TURNS.c.id == turn_id)).scalar()
    if session_id is not None and lock_if_open(connection, session_id):
        connection.execute(_VOID, {"this_session": session_id, "this_turn": turn_id})


def forget(connection: Connection, session_ids: Sequence[str]) -> None:
    """Erase the summaries of these sessions, which are closed."""
    connection.execute(sa.delete(SUMMARIES).where(SUMMARIES.c.session_id.in_(session_ids)))


def _insert(connection: Connection, session_id: str, **values: object) -> None:
    first = {"shown_after": 0, "reaches": 0, "text": "", "several": False, "fence": 0}
    connection.execute(sa.insert(SUMMARIES), {"session_id": session_id, **first, **values})


_OF_THIS = SUMMARIES.c.session_id == sa.bindparam("this_session")
_WINDOW = sa.select(SUMMARIES.c.shown_after, SUMMARIES.c.text, SUMMARIES.c.reaches, SUMMARIES.c.several).where(_OF_THIS)
_THIS = sa.update(SUMMARIES).where(_OF_THIS)
_MINE = _THIS.where(SUMMARIES.c.fence == sa.bindparam("this_fence"))
_FREE = {name: leases.free(SUMMARIES.c.lease_until, now) for name, now in leases.NOW.items()}
_TAKE = {
    name: _THIS.where(_FREE[name])
    .values(lease_owner=sa.bindparam("owner"), lease_until=until, fence=SUMMARIES.c.fence + 1)
    .returning(SUMMARIES.c.fence)
    for name, until in leases.UNTIL.items()
}
_PAUSE = {name: _MINE.values(lease_owner=None, lease_until=until) for name, until in leases.UNTIL.items()}
_MOVED = {
    SUMMARIES.c.shown_after: sa.case(
        (SUMMARIES.c.shown_after < sa.bindparam("new_after"), sa.bindparam("new_after")),
        else_=SUMMARIES.c.shown_after,
    ),
    SUMMARIES.c.several: sa.or_(SUMMARIES.c.several, sa.bindparam("several_now", type_=sa.Boolean)),
}
_MOVE = _THIS.values(_MOVED)
_FINISH = _MINE.values(
    _MOVED
    | {
        SUMMARIES.c.text: sa.bindparam("text"),
        SUMMARIES.c.reaches: sa.bindparam("reaches"),
        SUMMARIES.c.lease_until: None,
    }
)
_HOLDS_IT = SUMMARIES.c.reaches >= sa.bindparam("this_turn")
_VOID = _THIS.values(
    text=sa.case((_HOLDS_IT, ""), else_=SUMMARIES.c.text),
    reaches=sa.case((_HOLDS_IT, 0), else_=SUMMARIES.c.reaches),
    lease_until=None,
    fence=SUMMARIES.c.fence + 1,  # the summary that is being written may contain the text
)
