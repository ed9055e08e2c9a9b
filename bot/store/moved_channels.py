"""Moved channels: the threads of a channel that has a new id."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.events import ChannelMoved
from bot.domain.sessions import Interrupted
from bot.store.interruptions import interrupt
from bot.store.tables import RUNNING, SESSIONS, THREADS, TURNS

MOVE_BATCH = 200  # threads in one transaction


def move(connection: Connection, moved: ChannelMoved) -> bool:
    """Move the next threads of the channel to its new id, with all that belongs to them. Return whether some are left.

    A running answer starts again, in its messages under the new id. A thread in which people have been answered under
    the new id already, because Slack promises no order, stays behind.
    """
    twin = THREADS.alias("twin")
    place = (THREADS.c.platform == moved.platform, THREADS.c.workspace == moved.workspace)
    has_twin = sa.exists().where(
        twin.c.platform == moved.platform,
        twin.c.workspace == moved.workspace,
        twin.c.channel == moved.new_channel,
        twin.c.root == THREADS.c.root,
    )
    movable = sa.select(THREADS.c.id).where(*place, THREADS.c.channel == moved.channel, ~has_twin)
    ids = list(connection.execute(movable.order_by(THREADS.c.id).limit(MOVE_BATCH).with_for_update()).scalars())
    connection.execute(sa.update(THREADS).where(THREADS.c.id.in_(ids)).values(channel=moved.new_channel))
    connection.execute(sa.update(SESSIONS).where(SESSIONS.c.thread_id.in_(ids)).values(channel=moved.new_channel))
    running = sa.select(TURNS.c.thread_id).where(TURNS.c.thread_id.in_(ids), RUNNING)
    for thread_id in list(connection.execute(running).scalars()):
        interrupt(connection, thread_id, Interrupted.EDITED)
    return len(ids) == MOVE_BATCH
