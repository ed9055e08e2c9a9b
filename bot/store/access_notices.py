"""Access notices: when a person was told that the bot does not answer them. They are told once a day at most."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.store.engine import insert_or_ignore
from bot.store.tables import ACCESS_NOTICES

EVERY = timedelta(days=1)


def claim(connection: Connection, platform: str, workspace: str, user_id: str, *, now: datetime) -> bool:
    """Return whether to tell the person now, and note that they are told."""
    person = {"platform": platform, "workspace": workspace, "user_id": user_id}
    if insert_or_ignore(connection, ACCESS_NOTICES, {**person, "noticed_at": now}) is not None:
        return True
    is_person = [ACCESS_NOTICES.c[name] == value for name, value in person.items()]
    is_due = ACCESS_NOTICES.c.noticed_at <= now - EVERY
    told = sa.update(ACCESS_NOTICES).where(*is_person, is_due).values(noticed_at=now)
    return connection.execute(told).rowcount > 0


def erase(
    connection: Connection, *, platform: str | None = None, workspace: str | None = None, user_id: str | None = None
) -> None:
    """Delete the notes on one person, or on all people of a workspace."""
    columns = {"platform": platform, "workspace": workspace, "user_id": user_id}
    which = [ACCESS_NOTICES.c[name] == value for name, value in columns.items() if value is not None]
    connection.execute(sa.delete(ACCESS_NOTICES).where(*which))
