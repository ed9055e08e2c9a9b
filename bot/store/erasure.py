"""Erasing what was said: from every row that holds it, in one transaction with whatever asked for it.

Rule: whoever erases calls `stain`, so that the words leave the database's file, too. The emptied rows stay for a while,
so that a message delivered again is known (retention).
"""

from __future__ import annotations

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
from bot.store import display_names, preferences, summaries, thread_context
from bot.store import sessions as session_rows
from bot.store import threads as thread_rows
from bot.store.engine import mark_dirty
from bot.store.interruptions import answer_never, interrupt, is_asked
from bot.store.tables import RUNNING, WORDLESS, MESSAGES, SESSIONS, THREADS, TURNS

ERASED_AT_ONCE = 500  # messages in one transaction
CLOSED_AT_ONCE = 1_000  # sessions in one statement: databases bound its parameters

_NOBODY = {"author_id": "", "author_workspace": "", "client_id": None}


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to be erased: whatever matches all that is given."""

    platform: str | None = None
    workspace: str | None = None
    channel: str | None = None
    person: str | None = None


@dataclass(frozen=True, slots=True)
class Erasable:
    """How much a scope holds."""

    MESSAGES: int
    SESSIONS: int


def count(connection: Connection, scope: Scope) -> Erasable:
    """How much of what people wrote is still known to be theirs."""
    counted = sa.select(sa.func.count(), sa.func.count(MESSAGES.c.session_id.distinct())).join_from(MESSAGES, THREADS)
    return Erasable(*connection.execute(counted.where(*_within(scope))).one())


def erase(connection: Connection, scope: Scope, *, now: datetime, batch: int = ERASED_AT_ONCE) -> int:
    """Erase at most `batch` messages, who wrote them, and the answers to them; how many. 0: all is done.

    What waits gets no answer, and what runs ends, or begins again where somebody else asked as well.
    """
    matching = sa.select(MESSAGES.c.id, MESSAGES.c.thread_id).join(THREADS).where(*_within(scope))
    found = connection.execute(matching.order_by(MESSAGES.c.thread_id, MESSAGES.c.id).limit(batch)).all()
    if not found:  # at last, so that nothing of theirs that is still there brings any of it back
        _erase_beside(connection, scope)
        return 0
    thread_rows.lock(connection, THREADS.c.id.in_({row.thread_id for row in found}))
    for thread_id, some in groupby(found, attrgetter("thread_id")):
        ids = [row.id for row in some]
        erase_messages(connection, thread_id, ids, Interrupted.ERASED, now=now, **_NOBODY)
        _close_emptied(connection, ids, now)
    return len(found)


def erase_messages(
    connection: Connection, thread_id: int, ids: Sequence[int], why: Interrupted, *, now: datetime, **more: Any
) -> bool:
    """Erase these messages of a thread that is locked, and set `more`; whether a running turn is to hear of it.

    What was answered goes with them: to others who are left it reads as erased.
    """
    these = MESSAGES.c.id.in_(ids)
    asked_in = sa.select(MESSAGES.c.turn_id).where(
        these, MESSAGES.c.turn_id.is_not(None), MESSAGES.c.deleted_at.is_(None), MESSAGES.c.fixed_reply.is_(None)
    )
    # Before its words are touched, as whoever closes a session does: otherwise two could wait for each other.
    of_these = SESSIONS.c.id.in_(sa.select(MESSAGES.c.session_id).where(these))
    connection.execute(sa.select(SESSIONS.c.id).where(of_these).order_by(SESSIONS.c.id).with_for_update())
    turn_ids = list(connection.execute(asked_in.distinct()).scalars())
    connection.execute(sa.update(MESSAGES).where(these).values(text="", attachments=[], deleted_at=now, **more))
    answer_never(connection, thread_id, these, now)
    left = {turn_id: is_asked(connection, turn_id) for turn_id in turn_ids}
    heard = [
        interrupt(connection, thread_id, Interrupted.EDITED if asked else why, turn_id)
        for turn_id, asked in left.items()
    ]
    for still_asked, instead in ((True, texts.ANSWER_ERASED), (False, None)):
        answered = TURNS.c.id.in_([turn_id for turn_id, asked in left.items() if asked is still_asked])
        values = {**WORDLESS, TURNS.c.answer: instead}
        connection.execute(sa.update(TURNS).where(answered, TURNS.c.answer.is_not(None)).values(values))
    words_changed(connection, turn_ids)
    return any(heard)


def words_changed(connection: Connection, turn_ids: Sequence[int]) -> None:
    """What was said in these turns is not what it was: nothing that was made of it may stay."""
    for turn_id in turn_ids:
        summaries.void(connection, turn_id)
    mark_dirty(connection)


def leave(connection: Connection, gone: ChannelGone | Uninstalled, *, now: datetime) -> None:
    """Nothing in this channel, or workspace, is owed an answer any more, and its words are erased."""
    place = [THREADS.c.platform == gone.platform, THREADS.c.workspace == gone.workspace]
    ended, closed = Interrupted.UNINSTALLED, Closed.UNINSTALLED
    if isinstance(gone, ChannelGone):
        place.append(THREADS.c.channel == gone.channel)
        ended, closed = Interrupted.ERASED, Closed.CHANNEL_GONE
    there = sa.select(THREADS.c.id).where(*place)
    # First of all, so that until this is committed nobody opens a turn there that it has not seen.
    thread_rows.lock(connection, *place)
    connection.execute(sa.update(THREADS).where(*place).values(engaged=False))
    for thread_id in connection.execute(
        sa.select(TURNS.c.thread_id).where(TURNS.c.thread_id.in_(there), RUNNING)
    ).scalars():
        interrupt(connection, thread_id, ended)
    waiting = sa.select(MESSAGES.c.thread_id).where(MESSAGES.c.thread_id.in_(there), MESSAGES.c.turn_id.is_(None))
    for thread_id in connection.execute(waiting.distinct()).scalars():
        answer_never(connection, thread_id, MESSAGES.c.thread_id == thread_id, now)
    opened = sa.select(SESSIONS.c.id).where(SESSIONS.c.thread_id.in_(there), SESSIONS.c.closed_at.is_(None))
    while some := list(connection.execute(opened.limit(CLOSED_AT_ONCE)).scalars()):
        session_rows.close(connection, some, closed, now=now)
    connection.execute(sa.update(MESSAGES).where(MESSAGES.c.thread_id.in_(there)).values(**_NOBODY))
    if isinstance(gone, Uninstalled):
        preferences.erase(connection, platform=gone.platform, workspace=gone.workspace)


def _within(scope: Scope) -> list[sa.ColumnElement[bool]]:
    wrote = MESSAGES.c.author_id != "" if scope.person is None else MESSAGES.c.author_id == scope.person
    return [wrote, *_place(scope)]


def _place(scope: Scope) -> list[sa.ColumnElement[bool]]:
    given = {
        THREADS.c.platform: scope.platform,
        THREADS.c.workspace: scope.workspace,
        THREADS.c.channel: scope.channel,
    }
    return [column == value for column, value in given.items() if value is not None]


def _erase_beside(connection: Connection, scope: Scope) -> None:
    """Erase what is kept of people beside their own messages to the bot: what they said before it was called, names."""
    thread_context.erase_in(connection, _place(scope), scope.person)
    display_names.erase_in(connection, _place(scope), scope.person)
    if scope.channel is None:
        preferences.erase(connection, platform=scope.platform, workspace=scope.workspace, user_id=scope.person)
    mark_dirty(connection)


def _close_emptied(connection: Connection, ids: Sequence[int], now: datetime) -> None:
    """Close the sessions of these messages in which nothing is left."""
    touched = sa.select(MESSAGES.c.session_id).where(MESSAGES.c.id.in_(ids))
    left = sa.exists().where(MESSAGES.c.session_id == SESSIONS.c.id, MESSAGES.c.deleted_at.is_(None))
    emptied = sa.select(SESSIONS.c.id).where(SESSIONS.c.id.in_(touched), SESSIONS.c.closed_at.is_(None), ~left)
    session_rows.close(connection, list(connection.execute(emptied).scalars()), Closed.ERASED, now=now)
