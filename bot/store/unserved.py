"""Unserved turns: those that no process will end, because no process answers in their workspace.

A workspace is left behind when an operator connects the bot to another one, or when the app was uninstalled while the
bot was down. Rule: other replicas may serve a workspace that this process does not serve. So a message that waits there
is settled only when an operator erases it, or when it is older than the retention time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.store import leases
from bot.store.chat_turns import PLATFORM
from bot.store.engine import mark_dirty
from bot.store.erasure import Scope, place_of
from bot.store.interruptions import leave_unanswered
from bot.store.leases import LeaseRequest
from bot.store.settlement import TurnState
from bot.store.tables import MESSAGES, NO_TEXT, RUNNING, THREADS, TURNS

QUIET = timedelta(minutes=10)  # a workspace in which nothing happened for so long, while messages wait, is not served


def workspaces(connection: Connection, *, now: datetime) -> dict[str, int]:
    """Return the workspaces that no process seems to serve, each with the number of messages that wait there.

    In such a workspace a message has waited for QUIET, no turn has begun since, and no process holds a thread of those
    that wait.
    """
    silent = {
        (row.platform, row.workspace): row.messages
        for row in connection.execute(_owed(leases.is_free(connection, now=now)))
        if row.all_free and row.oldest <= now - QUIET
    }
    if not silent:
        return {}
    begun = sa.select(THREADS.c.platform, THREADS.c.workspace).join(TURNS, TURNS.c.thread_id == THREADS.c.id)
    served = {tuple(row) for row in connection.execute(begun.where(TURNS.c.started_at > now - QUIET).distinct())}
    return {workspace: count for (platform, workspace), count in silent.items() if (platform, workspace) not in served}


def erased(connection: Connection, scope: Scope, *, now: datetime) -> tuple[list[int], int]:
    """Return the threads in which a running turn has lost all its messages to an erasure, and that no process holds.

    And how many more such turns processes hold, who will end them. A caller's turn is withdrawn instead.
    """
    is_left = sa.exists().where(MESSAGES.c.turn_id == TURNS.c.id, MESSAGES.c.deleted_at.is_(None))
    is_free = sa.case((leases.is_free(connection, now=now), 1), else_=0)
    running = sa.select(THREADS.c.id, is_free).join(TURNS, TURNS.c.thread_id == THREADS.c.id)
    rows = connection.execute(running.where(RUNNING, THREADS.c.platform != PLATFORM, ~is_left, *place_of(scope))).all()
    free = [thread_id for thread_id, is_free in rows if is_free]
    return free, len(rows) - len(free)


def left_behind(
    connection: Connection, served: Sequence[tuple[str, str]], *, before: datetime, now: datetime, batch: int
) -> list[int]:
    """Return at most `batch` threads with messages that have waited since before that time, and that no process holds.

    `served` are the platforms and workspaces that this process serves: none of them is included.
    """
    elsewhere = [sa.or_(THREADS.c.platform != platform, THREADS.c.workspace != name) for platform, name in served]
    threads = sa.select(THREADS.c.id).join(MESSAGES, MESSAGES.c.thread_id == THREADS.c.id)
    conditions = (_OWED, THREADS.c.platform != PLATFORM, leases.is_free(connection, now=now), *elsewhere)
    oldest = threads.where(*conditions, MESSAGES.c.accepted_at < before)
    return list(connection.execute(oldest.distinct().limit(batch)).scalars())


def settle(connection: Connection, thread_ids: Sequence[int], *, now: datetime) -> int:
    """Settle the turns of these threads without an answer, unless a process holds them; return in how many threads."""
    settled = 0
    for thread_id in sorted(thread_ids):  # in id order, as every transaction locks threads
        leased = leases.take(connection, LeaseRequest("", now, timedelta()), thread_id)
        if leased is None:
            continue
        ended = sa.update(TURNS).where(TURNS.c.thread_id == thread_id, RUNNING)
        connection.execute(ended.values({**NO_TEXT, "state": TurnState.SUPERSEDED.value, "finished_at": now}))
        leave_unanswered(connection, thread_id, MESSAGES.c.thread_id == thread_id, now)
        leases.release(connection, thread_id, leased.fence, ended=True)
        settled += 1
    if settled:
        mark_dirty(connection)  # an answer may have been kept until it is shown
    return settled


_OWED = sa.or_(MESSAGES.c.turn_id.is_(None), MESSAGES.c.turn_id.in_(sa.select(TURNS.c.id).where(RUNNING)))


def _owed(is_free: sa.ColumnElement[bool]) -> sa.Select[tuple[str, str, int, datetime, int]]:
    """Return the statement for the messages that wait in each workspace."""
    return (
        sa.select(
            THREADS.c.platform,
            THREADS.c.workspace,
            sa.func.count().label("messages"),
            sa.func.min(MESSAGES.c.accepted_at).label("oldest"),
            sa.func.min(sa.case((is_free, 1), else_=0)).label("all_free"),
        )
        .join(MESSAGES, MESSAGES.c.thread_id == THREADS.c.id)
        .where(_OWED, THREADS.c.platform != PLATFORM)
        .group_by(THREADS.c.platform, THREADS.c.workspace)
        .order_by(THREADS.c.workspace)
    )
