"""What people asked us to keep in mind: a row for each person of a workspace who asked for anything."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.preferences import Preferences, changed, remembered
from bot.store.claims import PlatformClaim
from bot.store.engine import insert_or_ignore, mark_dirty
from bot.store.tables import messages, preferences, threads


def of_person(connection: Connection, platform: str, workspace: str, user_id: str) -> Preferences:
    """What this person asked for."""
    wishes = connection.execute(_WISHES, _person(platform, workspace, user_id)).scalar()
    return remembered(wishes or {})


def change(
    connection: Connection, platform: str, workspace: str, user_id: str, wishes: Mapping[str, object], *, now: datetime
) -> Preferences:
    """Take in what this person wishes; what they ask for now. Raises PreferencesRefused, and changes nothing then."""
    new = {"platform": platform, "workspace": workspace, "user_id": user_id, "wishes": {}, "changed_at": now}
    insert_or_ignore(connection, preferences, new)
    person = _person(platform, workspace, user_id)
    kept = changed(remembered(connection.execute(_WISHES.with_for_update(), person).scalar() or {}), wishes)
    mark_dirty(connection)  # what they wished before
    connection.execute(_CHANGE, {**person, "wishes": kept.wishes, "changed_at": now})
    return kept


def change_as_asked(
    connection: Connection, claimed: PlatformClaim, wishes: Mapping[str, object], *, now: datetime
) -> Preferences | None:
    """Like change, for the author of what this claim answers; None when that is to be answered no more, or anew.

    Otherwise a late answer would bring back what its author has taken back, or had forgotten.
    """
    this = {"this_thread": claimed.thread_id, "this_fence": claimed.fence}
    newest = {"this_message": claimed.message_id, "this_author": claimed.author.id}
    if connection.execute(_RUNS, this).first() is None or connection.execute(_STANDS, this | newest).first() is None:
        return None
    place = claimed.thread
    return change(connection, place.platform, place.workspace, claimed.author.id, wishes, now=now)


def erase(
    connection: Connection, *, platform: str | None = None, workspace: str | None = None, user_id: str | None = None
) -> None:
    """Forget what these people asked for: a person, everybody in a workspace, whatever is given."""
    given = {
        preferences.c.platform: platform,
        preferences.c.workspace: workspace,
        preferences.c.user_id: user_id,
    }
    theirs = [column == value for column, value in given.items() if value is not None]
    connection.execute(sa.delete(preferences).where(*theirs))
    mark_dirty(connection)


def _person(platform: str, workspace: str, user_id: str) -> dict[str, str]:
    return {"on_platform": platform, "in_workspace": workspace, "this_user": user_id}


_IS_THEIRS = (
    preferences.c.platform == sa.bindparam("on_platform"),
    preferences.c.workspace == sa.bindparam("in_workspace"),
    preferences.c.user_id == sa.bindparam("this_user"),
)
_WISHES = sa.select(preferences.c.wishes).where(*_IS_THEIRS)
_CHANGE = sa.update(preferences).where(*_IS_THEIRS)
# First of all, as whoever erases does: either it is seen here that the message is gone, or the wish is erased, too.
_RUNS = (
    sa.select(threads.c.id)
    .where(
        threads.c.id == sa.bindparam("this_thread"),
        threads.c.fence == sa.bindparam("this_fence"),
        threads.c.interrupted.is_(None),
    )
    .with_for_update()
)
_STANDS = sa.select(messages.c.id).where(
    messages.c.thread_id == sa.bindparam("this_thread"),
    messages.c.message_id == sa.bindparam("this_message"),
    messages.c.author_id == sa.bindparam("this_author"),
    messages.c.deleted_at.is_(None),
)
