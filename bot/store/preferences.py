"""Preferences: one row for each person of a workspace with at least one preference."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.preferences import ModelsChange, Preferences, changed, remembered
from bot.store.claims import PlatformClaim
from bot.store.engine import insert_or_ignore, mark_dirty
from bot.store.tables import MESSAGES, PREFERENCES, THREADS


def of_person(connection: Connection, platform: str, workspace: str, user_id: str) -> Preferences:
    """Return this person's preferences."""
    wishes = connection.execute(_WISHES, _person(platform, workspace, user_id)).scalar()
    return remembered(wishes or {})


def change(
    connection: Connection,
    platform: str,
    workspace: str,
    user_id: str,
    wishes: Mapping[str, object],
    *,
    now: datetime,
    turn_id: int | None = None,
) -> Preferences:
    """Change this person's preferences and return them all. Raises PreferencesRefused, and then changes nothing.

    `turn_id`: the turn in which the model made the change. What stood before that turn is kept, for `undo`.
    """
    empty = {"platform": platform, "workspace": workspace, "user_id": user_id, "wishes": {}, "changed_at": now}
    insert_or_ignore(connection, PREFERENCES, empty)
    person = _person(platform, workspace, user_id)
    row = connection.execute(_LOCKED, person).one()
    current = remembered(row.wishes)
    new = changed(current, wishes)
    before = None
    if turn_id is not None:
        before = row.before if row.changed_by_turn_id == turn_id else current.wishes
    mark_dirty(connection)  # the update overwrites the earlier text
    change = {"wishes": new.wishes, "changed_at": now, "before": before, "changed_by_turn_id": turn_id}
    connection.execute(_CHANGE, person | change)
    return new


def change_as_asked(
    connection: Connection, claimed: PlatformClaim, wishes: Mapping[str, object], *, now: datetime
) -> Preferences | None:
    """Like change, by the model, for the author of the claimed turn's newest message.

    Return None when the turn was interrupted or taken over, or the message deleted. A late answer would otherwise
    restore a preference that its author has changed or erased in the meantime.
    """
    turn = {"this_thread": claimed.thread_id, "this_fence": claimed.fence}
    if connection.execute(_STILL_CLAIMED, turn).first() is None:
        return None
    message = {"this_thread": claimed.thread_id, "this_message": claimed.message_id, "this_author": claimed.author.id}
    if connection.execute(_NOT_DELETED, message).first() is None:
        return None
    thread, author = claimed.thread, claimed.author.id
    return change(connection, thread.platform, thread.workspace, author, wishes, now=now, turn_id=claimed.turn_id)


def last_change(connection: Connection, platform: str, workspace: str, user_id: str) -> ModelsChange | None:
    """Return the last change of this person's preferences, if the model made it and it can be undone."""
    row = connection.execute(_ROW, _person(platform, workspace, user_id)).first()
    if row is None or row.changed_by_turn_id is None or row.before is None:
        return None
    return ModelsChange.between(remembered(row.before), remembered(row.wishes), turn_id=row.changed_by_turn_id)


def undo(
    connection: Connection, platform: str, workspace: str, user_id: str, turn_id: int, *, now: datetime
) -> Preferences | None:
    """Restore the preferences from before the model's change in this turn, and return them.

    Return None, and change nothing, when another change followed, or when the earlier text is gone.
    """
    person = _person(platform, workspace, user_id)
    row = connection.execute(_LOCKED, person).first()
    if row is None or row.changed_by_turn_id != turn_id or row.before is None:
        return None
    mark_dirty(connection)
    connection.execute(
        _CHANGE, person | {"wishes": row.before, "changed_at": now, "before": None, "changed_by_turn_id": None}
    )
    return remembered(row.before)


def drop_earlier(connection: Connection, *, before: datetime) -> int:
    """Erase what stood in preferences that the model changed before that time. Return how many."""
    old = (PREFERENCES.c.before.is_not(None), PREFERENCES.c.changed_at < before)
    dropped = connection.execute(sa.update(PREFERENCES).where(*old).values(before=None)).rowcount
    if dropped:
        mark_dirty(connection)
    return dropped


def erase(
    connection: Connection, *, platform: str | None = None, workspace: str | None = None, user_id: str | None = None
) -> None:
    """Delete the preferences of all people who match the given arguments."""
    filters = {
        PREFERENCES.c.platform: platform,
        PREFERENCES.c.workspace: workspace,
        PREFERENCES.c.user_id: user_id,
    }
    conditions = [column == value for column, value in filters.items() if value is not None]
    connection.execute(sa.delete(PREFERENCES).where(*conditions))
    mark_dirty(connection)


def _person(platform: str, workspace: str, user_id: str) -> dict[str, str]:
    return {"on_platform": platform, "in_workspace": workspace, "this_user": user_id}


_OF_PERSON = (
    PREFERENCES.c.platform == sa.bindparam("on_platform"),
    PREFERENCES.c.workspace == sa.bindparam("in_workspace"),
    PREFERENCES.c.user_id == sa.bindparam("this_user"),
)
_WISHES = sa.select(PREFERENCES.c.wishes).where(*_OF_PERSON)
_ROW = sa.select(PREFERENCES.c.wishes, PREFERENCES.c.before, PREFERENCES.c.changed_by_turn_id).where(*_OF_PERSON)
_LOCKED = _ROW.with_for_update()
_CHANGE = sa.update(PREFERENCES).where(*_OF_PERSON)
# Locks the thread, as erasing does: either this transaction sees the deletion, or erasing sees the new preference.
_STILL_CLAIMED = (
    sa.select(THREADS.c.id)
    .where(
        THREADS.c.id == sa.bindparam("this_thread"),
        THREADS.c.fence == sa.bindparam("this_fence"),
        THREADS.c.interrupted.is_(None),
    )
    .with_for_update()
)
_NOT_DELETED = sa.select(MESSAGES.c.id).where(
    MESSAGES.c.thread_id == sa.bindparam("this_thread"),
    MESSAGES.c.message_id == sa.bindparam("this_message"),
    MESSAGES.c.author_id == sa.bindparam("this_author"),
    MESSAGES.c.deleted_at.is_(None),
)
