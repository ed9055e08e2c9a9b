"""Greetings: which people the bot has greeted in their DM. Each is greeted once."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.store.engine import insert_or_ignore
from bot.store.tables import GREETINGS, THREADS


def claim(connection: Connection, platform: str, workspace: str, user_id: str, channel: str, *, now: datetime) -> bool:
    """Note that the person is greeted in this DM. Return whether to greet them: not again, and not in a used DM."""
    person = {"platform": platform, "workspace": workspace, "user_id": user_id}
    if connection.execute(sa.select(GREETINGS.c.id).where(*_is(platform, workspace, user_id))).first() is not None:
        return False
    is_new = insert_or_ignore(connection, GREETINGS, {**person, "greeted_at": now}) is not None
    in_dm = (THREADS.c.platform == platform, THREADS.c.workspace == workspace, THREADS.c.channel == channel)
    return is_new and connection.execute(sa.select(THREADS.c.id).where(*in_dm).limit(1)).first() is None


def erase(
    connection: Connection, *, platform: str | None = None, workspace: str | None = None, user_id: str | None = None
) -> None:
    """Delete the notes on one person, or on all people of a workspace."""
    connection.execute(sa.delete(GREETINGS).where(*_is(platform, workspace, user_id)))


def _is(platform: str | None, workspace: str | None, user_id: str | None) -> list[sa.ColumnElement[bool]]:
    filters = {GREETINGS.c.platform: platform, GREETINGS.c.workspace: workspace, GREETINGS.c.user_id: user_id}
    return [column == value for column, value in filters.items() if value is not None]
