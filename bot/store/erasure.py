"""Erasure: remove texts from every row that holds them, in the transaction of the event or command that asks for it.

Rule: a function that erases text calls `mark_dirty`, so that the next vacuum removes it from the database's file. The
emptied rows stay for the retention time, so that a message that is delivered again is a known duplicate.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain import texts
from bot.domain.events import ChannelGone, Uninstalled
from bot.domain.sessions import Closed, Interrupted
from bot.store import (
    access_notices,
    answer_files,
    display_names,
    file_contents,
    forwarded_messages,
    greetings,
    preferences,
    session_owners,
    sessions,
    stored_bytes,
    summaries,
    thread_context,
)
from bot.store.engine import mark_dirty
from bot.store.interruptions import has_question, interrupt, leave_unanswered
from bot.store.locks import lock_sessions, lock_threads
from bot.store.tables import (
    FILE_CONTENTS,
    MESSAGES,
    NO_CONTENT,
    NO_TEXT,
    RUNNING,
    SESSIONS,
    THREADS,
    TURNS,
)

ERASE_BATCH = 20  # messages in one transaction
ERASE_S = 0.01  # after this time a transaction begins no other thread
CLOSE_BATCH = 20  # threads in one transaction

_NO_AUTHOR = {"author_id": "", "author_workspace": "", "client_id": None}


@dataclass(frozen=True, slots=True)
class Scope:
    """The scope of an erasure: all messages that match every given field."""

    platform: str | None = None
    workspace: str | None = None
    channel: str | None = None
    person: str | None = None


@dataclass(frozen=True, slots=True)
class Erasable:
    """How many messages with an author a scope holds, and of how many sessions."""

    messages: int
    sessions: int


def count(connection: Connection, scope: Scope) -> Erasable:
    """Count the messages in a scope, and their sessions."""
    counts = sa.select(sa.func.count(), sa.func.count(MESSAGES.c.session_id.distinct())).join_from(MESSAGES, THREADS)
    return Erasable(*connection.execute(counts.where(*_in_scope(scope))).one())


def erase(connection: Connection, scope: Scope, *, now: datetime, batch: int = ERASE_BATCH) -> int:
    """Erase at most `batch` messages, their authors and the answers to them. Return how many; 0 when all is done.

    Waiting messages get no answer. A running turn ends, or restarts when other people asked in it too.
    """
    in_scope = sa.select(MESSAGES.c.id, MESSAGES.c.thread_id).join(THREADS).where(*_in_scope(scope))
    # In the order of an index: sorting all of a person's messages for each batch would take ever longer.
    rows = connection.execute(in_scope.order_by(MESSAGES.c.session_id, MESSAGES.c.id).limit(batch)).all()
    if not rows:  # last, because a message that is still there could restore a name or a preference
        _erase_related(connection, scope)
        return 0
    thread_ids = {row.thread_id for row in rows}
    lock_threads(connection, THREADS.c.id.in_(thread_ids))
    # All at once, because the first erasure may lock the row of a key, for which transactions with sessions wait.
    lock_sessions(connection, SESSIONS.c.thread_id.in_(thread_ids), SESSIONS.c.closed_at.is_(None))
    erased, until = 0, time.monotonic() + ERASE_S
    for thread_id, of_thread in groupby(sorted(rows, key=attrgetter("thread_id")), attrgetter("thread_id")):
        ids = [row.id for row in of_thread]
        erase_messages(connection, thread_id, ids, Interrupted.ERASED, now=now, **_NO_AUTHOR)
        _close_emptied(connection, ids, now)
        erased += len(ids)
        if time.monotonic() > until:
            break
    return erased


def erase_messages(
    connection: Connection, thread_id: int, ids: Sequence[int], why: Interrupted, *, now: datetime, **values: Any
) -> bool:
    """Erase these messages of a locked thread, set `values` in their rows, and return whether a turn is interrupted.

    The answers to them are erased too. Where other people asked in the same turn, a note replaces the answer.
    """
    erased = MESSAGES.c.id.in_(ids)
    asked_in = sa.select(MESSAGES.c.turn_id).where(
        erased, MESSAGES.c.turn_id.is_not(None), MESSAGES.c.deleted_at.is_(None), MESSAGES.c.fixed_reply.is_(None)
    )
    # Closing a session locks it before it updates its messages, too: another order could cause a deadlock.
    lock_sessions(connection, SESSIONS.c.id.in_(sa.select(MESSAGES.c.session_id).where(erased)))
    turn_ids = list(connection.execute(asked_in.distinct()).scalars())
    before = stored_bytes.held(connection, TURNS.c.id.in_(turn_ids), erased)
    connection.execute(sa.update(MESSAGES).where(erased).values({**NO_CONTENT, "deleted_at": now, **values}))
    of_erased = FILE_CONTENTS.c.message_id.in_(sa.select(MESSAGES.c.message_id).where(erased))
    file_contents.erase(connection, FILE_CONTENTS.c.thread_id == thread_id, of_erased)
    leave_unanswered(connection, thread_id, erased, now)
    has_others = {turn_id: has_question(connection, turn_id) for turn_id in turn_ids}
    interrupted = [
        interrupt(connection, thread_id, Interrupted.EDITED if others else why, turn_id)
        for turn_id, others in has_others.items()
    ]
    _erase_answers(connection, [turn_id for turn_id, others in has_others.items() if others], texts.ANSWER_ERASED)
    _erase_answers(connection, [turn_id for turn_id, others in has_others.items() if not others], None)
    texts_changed(connection, turn_ids)
    stored_bytes.subtract(connection, before, stored_bytes.held(connection, TURNS.c.id.in_(turn_ids), erased))
    return any(interrupted)


def _erase_answers(connection: Connection, turn_ids: Sequence[int], replacement: str | None) -> None:
    answer_files.doom(connection, turn_ids)
    answered = sa.update(TURNS).where(TURNS.c.id.in_(turn_ids), TURNS.c.answer.is_not(None))
    # A running turn has an answer that is kept until it is shown: it restarts, and gets another one.
    new_answer = sa.case((RUNNING, sa.null()), else_=replacement)
    connection.execute(answered.values({**NO_TEXT, TURNS.c.answer: new_answer}))


def texts_changed(connection: Connection, turn_ids: Sequence[int]) -> None:
    """Void the summaries of these turns, whose texts have changed, and have the old texts vacuumed."""
    summaries.void(connection, turn_ids)
    mark_dirty(connection)


def leave(connection: Connection, gone: ChannelGone | Uninstalled, *, now: datetime, after: int = 0) -> int | None:
    """Stop answering in the next threads of a channel, or a workspace, that the bot was removed from.

    All texts in them are erased. Return the last of these threads, for the next call; None when all are done.
    """
    in_place = [THREADS.c.platform == gone.platform, THREADS.c.workspace == gone.workspace, THREADS.c.id > after]
    interruption, closed = Interrupted.UNINSTALLED, Closed.UNINSTALLED
    if isinstance(gone, ChannelGone):
        in_place.append(THREADS.c.channel == gone.channel)
        interruption, closed = Interrupted.ERASED, Closed.CHANNEL_GONE
    next_threads = sa.select(THREADS.c.id).where(*in_place).order_by(THREADS.c.id).limit(CLOSE_BATCH)
    # Locked, so that no worker opens a turn there before this is committed.
    ids = list(connection.execute(next_threads.with_for_update()).scalars())
    connection.execute(sa.update(THREADS).where(THREADS.c.id.in_(ids)).values(engaged=False, quiet=False))
    _end_turns(connection, ids, interruption, now)
    opened = sa.select(SESSIONS.c.id).where(SESSIONS.c.thread_id.in_(ids), SESSIONS.c.closed_at.is_(None))
    sessions.close(connection, list(connection.execute(opened).scalars()), closed, now=now)
    connection.execute(sa.update(MESSAGES).where(MESSAGES.c.thread_id.in_(ids)).values(**_NO_AUTHOR))
    if len(ids) == CLOSE_BATCH:
        return int(ids[-1])
    if isinstance(gone, Uninstalled):
        preferences.erase(connection, platform=gone.platform, workspace=gone.workspace)
        greetings.erase(connection, platform=gone.platform, workspace=gone.workspace)
        access_notices.erase(connection, platform=gone.platform, workspace=gone.workspace)
    return None


def _end_turns(connection: Connection, thread_ids: Sequence[int], why: Interrupted, now: datetime) -> None:
    """Interrupt the running turns of these threads, and let their waiting messages go unanswered."""
    running = sa.select(TURNS.c.thread_id).where(TURNS.c.thread_id.in_(thread_ids), RUNNING)
    for thread_id in connection.execute(running).scalars():
        interrupt(connection, thread_id, why)
    waiting = sa.select(MESSAGES.c.thread_id).where(MESSAGES.c.thread_id.in_(thread_ids), MESSAGES.c.turn_id.is_(None))
    for thread_id in connection.execute(waiting.distinct()).scalars():
        leave_unanswered(connection, thread_id, MESSAGES.c.thread_id == thread_id, now)


def _in_scope(scope: Scope) -> list[sa.ColumnElement[bool]]:
    has_author = MESSAGES.c.author_id > "" if scope.person is None else MESSAGES.c.author_id == scope.person
    return [has_author, *place_of(scope)]


def place_of(scope: Scope) -> list[sa.ColumnElement[bool]]:
    """Return the conditions on the threads of a scope."""
    filters = {
        THREADS.c.platform: scope.platform,
        THREADS.c.workspace: scope.workspace,
        THREADS.c.channel: scope.channel,
    }
    return [column == value for column, value in filters.items() if value is not None]


def _erase_related(connection: Connection, scope: Scope) -> None:
    """Erase people's messages in thread contexts, their display names and their preferences."""
    thread_context.erase_in(connection, place_of(scope), scope.person)
    display_names.erase_in(connection, place_of(scope), scope.person)
    if scope.person is not None:
        _erase_forwarded(connection, scope, scope.person)
        session_owners.disown(connection, place_of(scope), scope.person)
    if scope.channel is None:
        person = {"platform": scope.platform, "workspace": scope.workspace, "user_id": scope.person}
        preferences.erase(connection, **person)
        greetings.erase(connection, **person)
        access_notices.erase(connection, **person)
    mark_dirty(connection)


def _erase_forwarded(connection: Connection, scope: Scope, person: str) -> None:
    """Erase the person's words that others passed on, and the answers to those others. Running turns restart."""
    shown = forwarded_messages.erase_by(connection, place_of(scope), person)
    for turn_id, thread_id in shown.items():
        interrupt(connection, thread_id, Interrupted.EDITED, turn_id)
    _erase_answers(connection, list(shown), texts.ANSWER_ERASED)
    texts_changed(connection, list(shown))


def _close_emptied(connection: Connection, ids: Sequence[int], now: datetime) -> None:
    """Close the sessions of these messages if all messages to the bot in them are deleted."""
    affected = sa.select(MESSAGES.c.session_id).where(MESSAGES.c.id.in_(ids))
    has_messages = sa.exists().where(
        MESSAGES.c.session_id == SESSIONS.c.id, MESSAGES.c.deleted_at.is_(None), ~MESSAGES.c.overheard
    )
    emptied = sa.select(SESSIONS.c.id).where(SESSIONS.c.id.in_(affected), SESSIONS.c.closed_at.is_(None), ~has_messages)
    sessions.close(connection, list(connection.execute(emptied).scalars()), Closed.ERASED, now=now)
