"""Threads: the places. A thread outlives its sessions and knows whether the bot takes part in it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.events import Thread
from bot.store.engine import insert_or_ignore
from bot.store.tables import threads


def find(connection: Connection, thread: Thread) -> Row[int, bool] | None:
    """The thread's (id, engaged), locked until the transaction ends, or None when it was never seen."""
    statement = sa.select(threads.c.id, threads.c.engaged).where(
        threads.c.platform == thread.platform,
        threads.c.workspace == thread.workspace,
        threads.c.channel == thread.channel,
        threads.c.root == thread.root,
    )
    return connection.execute(statement.with_for_update()).first()


def ensure(connection: Connection, thread: Thread) -> int:
    """The thread's id, locked until the transaction ends; made when it is new."""
    values = {
        "platform": thread.platform,
        "workspace": thread.workspace,
        "channel": thread.channel,
        "root": thread.root,
        "direct": thread.direct,
        "engaged": False,
    }
    made = insert_or_ignore(connection, threads, values)
    if made is not None:
        return made
    found = find(connection, thread)
    if found is None:  # threads are never deleted while the bot runs
        raise LookupError(f"thread {thread} vanished")
    return int(found.id)


def engage(connection: Connection, thread_id: int) -> None:
    """From now on the bot takes part in this thread."""
    connection.execute(sa.update(threads).where(threads.c.id == thread_id).values(engaged=True))
