"""Summaries: the text that replaces the oldest part of a long session, and the lease to write it.

A summary is put together from parts (`summary_parts`). Its row holds the text of all of them, so that a turn reads one
row.

Rule: erasing a text voids every part that may contain it, also one that is being written. Every change of a summary
locks its session, so that changes come one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.prompt.history import WHOLE_HISTORY, HistoryWindow
from bot.prompt.summary_parts import ADOPTED, SummaryPart, reach, text_of
from bot.store import leases, summary_parts
from bot.store.leases import LeaseRequest
from bot.store.locks import lock_if_open
from bot.store.tables import SUMMARIES, TURNS


@dataclass(frozen=True, slots=True)
class CompactionClaim:
    """The right to write a part of a session's summary, its present window, and the parts until now."""

    session_id: str
    fence: int
    window: HistoryWindow
    parts: tuple[SummaryPart, ...]


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
    if fence is None:
        return None
    parts = _parts(connection, session_id)
    return CompactionClaim(session_id, fence, window_of(connection, session_id), parts)


def finish(connection: Connection, claim: CompactionClaim, part: SummaryPart, *, several: bool) -> bool:
    """Store a part, and move the window behind it; False when it is void, or the session is closed."""
    mine = {"this_session": claim.session_id, "this_fence": claim.fence}
    if not lock_if_open(connection, claim.session_id) or connection.execute(_GIVE_UP, mine).rowcount == 0:
        return False
    summary_parts.save(connection, claim.session_id, part)
    window = _put_together(connection, claim.session_id)
    move(connection, claim.session_id, HistoryWindow(window.reaches, several=several))
    return True


def give_up(connection: Connection, claim: CompactionClaim) -> None:
    """Give the lease up, so that another process can write the summary at once."""
    connection.execute(_GIVE_UP, {"this_session": claim.session_id, "this_fence": claim.fence})


def release_with_pause(connection: Connection, claim: CompactionClaim, *, now: datetime, pause: timedelta) -> None:
    """Give the lease up after a failure, and keep the summary from being leased before a pause has passed."""
    mine = {"this_session": claim.session_id, "this_fence": claim.fence, **leases.times(connection, now, pause)}
    connection.execute(_PAUSE[connection.dialect.name], mine)


def void(connection: Connection, turn_ids: Sequence[int]) -> None:
    """Void the parts that hold these turns, because a text of each turn was erased.

    The other parts stay. A part that is being written is not stored in either case.
    """
    of_turns = sa.select(TURNS.c.session_id).where(TURNS.c.id.in_(turn_ids), TURNS.c.session_id.is_not(None))
    for session_id in connection.execute(of_turns.distinct().order_by(TURNS.c.session_id)).scalars().all():
        if not lock_if_open(connection, session_id):
            continue
        # A part that is being written may hold the text.
        connection.execute(_END_LEASE, {"this_session": session_id})
        if _parts(connection, session_id):
            summary_parts.void(connection, session_id, turn_ids)
            _put_together(connection, session_id)


def forget(connection: Connection, session_ids: Sequence[str]) -> None:
    """Erase the summaries of these sessions, which are closed."""
    connection.execute(sa.delete(SUMMARIES).where(SUMMARIES.c.session_id.in_(session_ids)))


def _parts(connection: Connection, session_id: str) -> tuple[SummaryPart, ...]:
    """Return the summary's parts. If the previous version changed it since, the summary becomes a part itself."""
    window, parts = window_of(connection, session_id), summary_parts.read(connection, session_id)
    if window.reaches == reach(parts):
        return parts
    adopted = [SummaryPart(ADOPTED, 0, window.reaches, window.summary)] if window.reaches else []
    summary_parts.replace_all(connection, session_id, adopted)
    return tuple(adopted)


def _put_together(connection: Connection, session_id: str) -> HistoryWindow:
    """Store the text and the reach of the summary's parts, and return them."""
    parts = summary_parts.read(connection, session_id)
    window = HistoryWindow(summary=text_of(parts), reaches=reach(parts))
    connection.execute(_TEXT, {"this_session": session_id, "new_text": window.summary, "new_reach": window.reaches})
    return window


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
_TEXT = _THIS.values(text=sa.bindparam("new_text"), reaches=sa.bindparam("new_reach"))
_GIVE_UP = _MINE.values(lease_until=None)
_END_LEASE = _THIS.values(lease_until=None, fence=SUMMARIES.c.fence + 1)
