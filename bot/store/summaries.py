"""Summaries: what stands for the part of a session that is too long to be shown, and who is writing a new one.

Rule: a summary never outlives a word that it was made of. Whoever takes a word back voids the summary that holds it,
also one that is only being written. All that changes a summary holds its session, so that nobody changes it meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.events import storable
from bot.prompt.history import NOTHING_CUT, HistoryWindow
from bot.store.locks import is_open
from bot.store.tables import summaries, turns


@dataclass(frozen=True, slots=True)
class CompactionClaim:
    """The right to write a session's next summary, and where the last one stands."""

    session_id: str
    fence: int
    cut: HistoryWindow


def cut_of(connection: Connection, session_id: str) -> HistoryWindow:
    """Where the shown part of this session begins, and what stands for the rest."""
    found = connection.execute(_CUT, {"this_session": session_id}).first()
    return HistoryWindow(*found) if found is not None else NOTHING_CUT


def move(connection: Connection, session_id: str, cut: HistoryWindow) -> None:
    """Show the session from this cut on. It never moves back."""
    values = {"this_session": session_id, "cut_after": cut.after, "several_by_now": cut.several}
    if connection.execute(_MOVE, values).rowcount == 0:
        _insert(connection, session_id, shown_after=cut.after, several=cut.several)


def begin(connection: Connection, session_id: str, *, now: datetime, lease: timedelta) -> CompactionClaim | None:
    """Take the right to write the next summary; None when somebody has it, or the session is closed."""
    if not is_open(connection, session_id):
        return None
    found = connection.execute(_LEASE, {"this_session": session_id}).first()
    if found is None:
        _insert(connection, session_id, lease_until=now + lease)
        return CompactionClaim(session_id, 0, NOTHING_CUT)
    if found.lease_until is not None and found.lease_until > now:
        return None
    leased = {"this_session": session_id, "lease_until": now + lease, "fence": found.fence + 1}
    connection.execute(_THIS, leased)
    return CompactionClaim(session_id, found.fence + 1, cut_of(connection, session_id))


def finish(connection: Connection, folding: CompactionClaim, text: str, *, reaches: int, several: bool) -> bool:
    """Store the summary, and show the session from behind it; False when it is void, or the session closed."""
    if not is_open(connection, folding.session_id):
        return False
    values = {
        "this_session": folding.session_id,
        "this_fence": folding.fence,
        "text": storable(text),
        "reaches": reaches,
        "cut_after": reaches,
        "several_by_now": several,
    }
    return connection.execute(_FINISH, values).rowcount == 1


def give_up(connection: Connection, folding: CompactionClaim, until: datetime | None = None) -> None:
    """Somebody else may write it: at once, or when the pause has passed that lasts until then."""
    connection.execute(_MINE, {"this_session": folding.session_id, "this_fence": folding.fence, "lease_until": until})


def void(connection: Connection, turn_id: int) -> None:
    """A word of this turn was taken back: so is the summary that holds it, to be written anew without.

    One that does not reach so far stays; what is being written is stored in neither case.
    """
    session_id = connection.execute(sa.select(turns.c.session_id).where(turns.c.id == turn_id)).scalar()
    if session_id is not None and is_open(connection, session_id):
        connection.execute(_VOID, {"this_session": session_id, "this_turn": turn_id})


def forget(connection: Connection, session_ids: Sequence[str]) -> None:
    """Erase the summaries of these sessions, which are closed."""
    connection.execute(sa.delete(summaries).where(summaries.c.session_id.in_(session_ids)))


def _insert(connection: Connection, session_id: str, **values: object) -> None:
    first = {"shown_after": 0, "reaches": 0, "text": "", "several": False, "fence": 0}
    connection.execute(sa.insert(summaries), {"session_id": session_id, **first, **values})


_OF_THIS = summaries.c.session_id == sa.bindparam("this_session")
_CUT = sa.select(summaries.c.shown_after, summaries.c.text, summaries.c.reaches, summaries.c.several).where(_OF_THIS)
_LEASE = sa.select(summaries.c.fence, summaries.c.lease_until).where(_OF_THIS)
_THIS = sa.update(summaries).where(_OF_THIS)
_MINE = _THIS.where(summaries.c.fence == sa.bindparam("this_fence"))
_MOVED = {
    summaries.c.shown_after: sa.case(
        (summaries.c.shown_after < sa.bindparam("cut_after"), sa.bindparam("cut_after")),
        else_=summaries.c.shown_after,
    ),
    summaries.c.several: sa.or_(summaries.c.several, sa.bindparam("several_by_now", type_=sa.Boolean)),
}
_MOVE = _THIS.values(_MOVED)
_FINISH = _MINE.values(
    _MOVED
    | {
        summaries.c.text: sa.bindparam("text"),
        summaries.c.reaches: sa.bindparam("reaches"),
        summaries.c.lease_until: None,
    }
)
_HOLDS_IT = summaries.c.reaches >= sa.bindparam("this_turn")
_VOID = _THIS.values(
    text=sa.case((_HOLDS_IT, ""), else_=summaries.c.text),
    reaches=sa.case((_HOLDS_IT, 0), else_=summaries.c.reaches),
    lease_until=None,
    fence=summaries.c.fence + 1,  # what is being written may hold the word as well
)
