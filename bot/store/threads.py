"""Threads: the places. A thread outlives its sessions and knows whether the bot takes part in it."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.domain.events import Thread
from bot.store.engine import insert_or_ignore
from bot.store.tables import messages, sessions, threads, turns


def find(connection: Connection, thread: Thread) -> Row[int, bool, bool] | None:
    """The thread's (id, engaged, begun), locked until the transaction ends, or None when it was never seen."""
    place = {
        "on_platform": thread.platform,
        "in_workspace": thread.workspace,
        "in_channel": thread.channel,
        "at_root": thread.root,
    }
    return connection.execute(_FIND, place).first()


_FIND = (
    sa.select(threads.c.id, threads.c.engaged, threads.c.begun)
    .where(
        threads.c.platform == sa.bindparam("on_platform"),
        threads.c.workspace == sa.bindparam("in_workspace"),
        threads.c.channel == sa.bindparam("in_channel"),
        threads.c.root == sa.bindparam("at_root"),
    )
    .with_for_update()
)


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
    # None: another replica deleted it at this moment, because nothing was left in it (retention).
    return int(found.id) if found is not None else ensure(connection, thread)


def lock(connection: Connection, *which: sa.ColumnElement[bool]) -> None:
    """Lock all of these threads, in one order: whoever does it alike waits for nobody who waits for him."""
    connection.execute(sa.select(threads.c.id).where(*which).order_by(threads.c.id).with_for_update())


def engage(connection: Connection, thread_id: int) -> None:
    """From now on the bot takes part in this thread."""
    connection.execute(_THIS, {"this_thread": thread_id, "engaged": True, "begun": True})


def begin(connection: Connection, thread_id: int) -> None:
    """From now on nothing older is read in this thread."""
    connection.execute(_THIS, {"this_thread": thread_id, "begun": True})


_THIS = sa.update(threads).where(threads.c.id == sa.bindparam("this_thread"))


def remove_empty(connection: Connection, ids: Collection[int]) -> None:
    """Delete those of these threads in which nothing is left, and nothing began; none that is locked elsewhere."""
    these = sa.select(threads.c.id).where(threads.c.id.in_(ids)).order_by(threads.c.id)
    held = list(connection.execute(these.with_for_update(skip_locked=True)).scalars())
    # A statement of its own: only once the threads are locked is it certain that nothing more comes into them.
    left = [sa.exists().where(table.c.thread_id == threads.c.id) for table in (sessions, messages, turns)]
    connection.execute(sa.delete(threads).where(threads.c.id.in_(held), threads.c.begun.is_(False), ~sa.or_(*left)))


def is_followed(connection: Connection, thread_id: int, message_id: str) -> bool:
    """Whether the bot took part in the thread when this message was written: something older was for it."""
    return connection.execute(_OLDER, {"in_thread": thread_id, "than_this": message_id}).first() is not None


_OLDER = (
    sa.select(messages.c.id)
    .where(messages.c.thread_id == sa.bindparam("in_thread"), messages.c.message_id < sa.bindparam("than_this"))
    .limit(1)
)
