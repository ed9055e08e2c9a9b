"""The rows of summary parts (bot/prompt/summary_parts.py).

Rule: they go with their summary's row, whichever version of the bot deletes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.domain.events import storable
from bot.prompt.summary_parts import ADOPTED, SummaryPart
from bot.store.tables import SUMMARY_PARTS, TURNS


def read(connection: Connection, session_id: str) -> tuple[SummaryPart, ...]:
    """Return the session's parts that are not merged, in order. The number of rows it reads is bounded."""
    rows = connection.execute(_LOOSE, {"in_session": session_id})
    return tuple(_part(connection, session_id, row) for row in rows.all())


def save(connection: Connection, session_id: str, part: SummaryPart) -> None:
    """Store a part that was written. The parts that it merges are kept, to merge them again when one was void."""
    text = storable(part.text or "")
    if connection.execute(_WRITE, {**_key(session_id, part), "new_text": text}).rowcount == 0:
        values = {"level": part.level, "after": part.after, "reaches": part.reaches, "text": text, "merged": False}
        connection.execute(sa.insert(SUMMARY_PARTS), {"session_id": session_id, **values})
    for each in part.merges:
        connection.execute(_MARK_MERGED, _key(session_id, each))


def replace_all(connection: Connection, session_id: str, parts: Sequence[SummaryPart]) -> None:
    """Store these parts in place of all others."""
    connection.execute(sa.delete(SUMMARY_PARTS).where(_IN_SESSION), {"in_session": session_id})
    for part in parts:
        save(connection, session_id, part)


def void(connection: Connection, session_id: str, turn_ids: Sequence[int]) -> None:
    """Erase the text of every part that holds one of these turns."""
    changed = {"in_session": session_id, "these_turns": list(turn_ids)}
    connection.execute(_REMOVE_ADOPTED, changed)
    connection.execute(_VOID, changed)


def _key(session_id: str, part: SummaryPart) -> dict[str, object]:
    return {"in_session": session_id, "this_level": part.level, "this_reaches": part.reaches}


def _part(connection: Connection, session_id: str, row: Row[*tuple[Any, ...]]) -> SummaryPart:
    part = SummaryPart(row.level, row.after, row.reaches, row.text)
    if part.text is not None or not part.level:
        return part
    range_ = {"in_level": part.level - 1, "range_after": part.after, "range_reaches": part.reaches}
    merged = connection.execute(_MERGED_INTO, {"in_session": session_id, **range_}).all()
    return replace(part, merges=tuple(_part(connection, session_id, each) for each in merged))


_P = SUMMARY_PARTS.c
_IN_SESSION = _P.session_id == sa.bindparam("in_session")
_PARTS = sa.select(_P.level, _P.after, _P.reaches, _P.text).where(_IN_SESSION).order_by(_P.after)
_LOOSE = _PARTS.where(_P.merged.is_(sa.false()))
_MERGED_INTO = _PARTS.where(
    _P.level == sa.bindparam("in_level"),
    _P.reaches > sa.bindparam("range_after"),
    _P.reaches <= sa.bindparam("range_reaches"),
)
_THIS = sa.update(SUMMARY_PARTS).where(
    _IN_SESSION, _P.level == sa.bindparam("this_level"), _P.reaches == sa.bindparam("this_reaches")
)
_WRITE = _THIS.values(text=sa.bindparam("new_text"))
_MARK_MERGED = _THIS.values(merged=True)
_CHANGED = sa.exists().where(
    TURNS.c.id.in_(sa.bindparam("these_turns", expanding=True)), TURNS.c.id > _P.after, TURNS.c.id <= _P.reaches
)
_VOID = sa.update(SUMMARY_PARTS).where(_IN_SESSION, _CHANGED).values(text=None)
_REMOVE_ADOPTED = sa.delete(SUMMARY_PARTS).where(_IN_SESSION, _P.level == ADOPTED, _CHANGED)
