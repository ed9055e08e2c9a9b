"""Threads: find, create and lock them. A thread outlives its sessions and knows whether the bot takes part in it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.domain.events import ROLLING, Thread
from bot.store.engine import insert_or_ignore
from bot.store.tables import MESSAGES, POSTED_MESSAGES, SESSIONS, THREADS, TURNS

ThreadRow = Row[int, bool, bool, bool, str | None]  # id, engaged, begun, quiet, quiet_set_by

PLATFORM_OF_CALLERS = "gateway"  # threads of HTTP and Python


def find(connection: Connection, thread: Thread) -> ThreadRow | None:
    """Return the thread's row or None, and lock it until the transaction ends."""
    place = {
        "on_platform": thread.platform,
        "in_workspace": thread.workspace,
        "in_channel": thread.channel,
        "at_root": thread.root,
    }
    return connection.execute(_FIND, place).first()


_FIND = (
    sa.select(THREADS.c.id, THREADS.c.engaged, THREADS.c.begun, THREADS.c.quiet, THREADS.c.quiet_set_by)
    .where(
        THREADS.c.platform == sa.bindparam("on_platform"),
        THREADS.c.workspace == sa.bindparam("in_workspace"),
        THREADS.c.channel == sa.bindparam("in_channel"),
        THREADS.c.root == sa.bindparam("at_root"),
    )
    .with_for_update()
)


def located(connection: Connection, thread: Thread, message_id: str | None) -> Thread:
    """Return the place that holds this message, where two are possible: the top level of a DM, and a thread below it.

    After a change of DM_SESSIONS, a message of before is edited, deleted, or delivered again. Without any such row,
    return `thread`.
    """
    if message_id is None or not thread.direct or thread.root not in (ROLLING, message_id):
        return thread
    other = replace(thread, root=message_id if thread.rolling else ROLLING)
    place = {"on_platform": other.platform, "in_workspace": other.workspace, "in_channel": other.channel}
    found = connection.execute(_HOLDING, {**place, "at_root": other.root, "this_message": message_id}).first()
    return other if found is not None else thread


def ensure(connection: Connection, thread: Thread) -> int:
    """Return the thread's id, inserting its row if needed, and lock it until the transaction ends."""
    values = {
        "platform": thread.platform,
        "workspace": thread.workspace,
        "channel": thread.channel,
        "root": thread.root,
        "direct": thread.direct,
        "engaged": False,
    }
    inserted_id = insert_or_ignore(connection, THREADS, values)
    if inserted_id is not None:
        return inserted_id
    existing = find(connection, thread)
    # None: another replica has just deleted the empty thread (retention).
    return int(existing.id) if existing is not None else ensure(connection, thread)


_HOLDING = _FIND.with_only_columns(THREADS.c.id).where(
    sa.or_(
        sa.exists().where(MESSAGES.c.thread_id == THREADS.c.id, MESSAGES.c.message_id == sa.bindparam("this_message")),
        sa.exists().where(
            POSTED_MESSAGES.c.thread_id == THREADS.c.id, POSTED_MESSAGES.c.answer_id == sa.bindparam("this_message")
        ),
    )
)


def engage(connection: Connection, thread_id: int) -> None:
    """Note that the bot takes part in this thread from now on."""
    connection.execute(_THIS, {"this_thread": thread_id, "engaged": True, "begun": True})


def begin(connection: Connection, thread_id: int) -> None:
    """Note that a session or a reset began here: messages that are older are never read from the platform."""
    connection.execute(_THIS, {"this_thread": thread_id, "begun": True})


def set_quiet(connection: Connection, thread_id: int, *, quiet: bool, message_id: str) -> None:
    """Note whether only mentions are answered in this thread, and the message that says so."""
    connection.execute(_THIS, {"this_thread": thread_id, "quiet": quiet, "quiet_set_by": message_id})


def end_quiet(connection: Connection, thread_id: int) -> None:
    """Note that the thread begins anew: also messages without a mention are answered."""
    connection.execute(_THIS.where(THREADS.c.quiet), {"this_thread": thread_id, "quiet": False})


_THIS = sa.update(THREADS).where(THREADS.c.id == sa.bindparam("this_thread"))


def remove_empty(connection: Connection, ids: Collection[int]) -> None:
    """Delete those threads that hold no rows and in which no session or reset ever began. Skip locked ones."""
    selected = sa.select(THREADS.c.id).where(THREADS.c.id.in_(ids)).order_by(THREADS.c.id)
    locked = list(connection.execute(selected.with_for_update(skip_locked=True)).scalars())
    # A second statement, because rows can still be added until the threads are locked.
    has_rows = sa.or_(*(sa.exists().where(table.c.thread_id == THREADS.c.id) for table in (SESSIONS, MESSAGES, TURNS)))
    connection.execute(sa.delete(THREADS).where(THREADS.c.id.in_(locked), THREADS.c.begun.is_(False), ~has_rows))


def is_followed(connection: Connection, thread_id: int, message_id: str) -> bool:
    """Return whether the thread holds an older message: the bot took part in it when this one was written."""
    return connection.execute(_OLDER, {"in_thread": thread_id, "this_message": message_id}).first() is not None


_OLDER = (
    sa.select(MESSAGES.c.id)
    .where(MESSAGES.c.thread_id == sa.bindparam("in_thread"), MESSAGES.c.message_id < sa.bindparam("this_message"))
    .limit(1)
)
