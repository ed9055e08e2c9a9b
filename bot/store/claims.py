"""Claims: a worker's right to answer in a thread, for as long as its lease runs, and what becomes of the turn."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.domain import texts
from bot.domain.events import Attachment, Author, Thread, storable
from bot.domain.sessions import Interrupted, ResetOutcome, StopOutcome, Told
from bot.errors import Trouble
from bot.llm import Done
from bot.prompt.history import HistoryWindow, Utterance
from bot.prompt.thread_context import Known
from bot.store import leases, summaries
from bot.store import sessions as session_rows
from bot.store.tables import RUNNING, messages, sessions, turns

MESSAGES_PER_TURN = 100  # what waits beyond that is answered in the next turn
MODEL_CHARACTERS = 200  # of the name that the backend gives its model


class TurnState(enum.Enum):
    """What became of a turn."""

    RUNNING = "running"
    ANSWERED = "answered"
    FAILED = "failed"
    STOPPED = "stopped"  # by a person; what was said until then is remembered
    SUPERSEDED = "superseded"  # its session was closed under it: a late answer is discarded


@dataclass(frozen=True, slots=True)
class Claim:
    """One turn to answer now, and the right to do so until the lease runs out."""

    thread_id: int
    fence: int
    turn_id: int
    attempt: int
    failures: int  # earlier attempts that broke: not those that met a platform that was away, or were handed back
    thread: Thread
    session_id: str | None  # None: a fixed reply
    said: tuple[Utterance, ...]
    author: Author  # of the newest message
    message_id: str  # the newest message's
    oldest_id: str  # the oldest message's
    fixed_reply: ResetOutcome | StopOutcome | Told | None
    interrupted: Interrupted | None  # the turn is only to be brought to its end
    follows_expired: bool  # this is the session's first turn, and the session before it expired
    background: Known | None  # None: the session has none


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a turn ended, as it is stored."""

    state: TurnState
    answer: str | None = None
    trouble: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    cut: HistoryWindow | None = None  # where the shown part of the session begins from now on, when that has changed

    @classmethod
    def by(
        cls,
        done: Done | None,
        state: TurnState,
        answer: str,
        *,
        trouble: Trouble | None = None,
        cut: HistoryWindow | None = None,
    ) -> Self:
        """A turn that the model was asked in; `done` tells what it cost."""
        usage = done.usage if done else None
        return cls(
            state,
            answer=answer,
            trouble=trouble.value if trouble else None,
            model=done.model if done else None,
            prompt_tokens=usage.prompt if usage else None,
            cached_tokens=usage.cached if usage else None,
            completion_tokens=usage.completion if usage else None,
            cut=cut,
        )

    @property
    def figures(self) -> dict[str, object]:
        """What it cost, or why it failed, for a log line."""
        return {
            "trouble": self.trouble,
            "model": self.model,
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "completion_tokens": self.completion_tokens,
        }


def claim(connection: Connection, thread_id: int, *, owner: str, now: datetime, lease: timedelta) -> Claim | None:
    """Lease the thread and open a turn over what it is owed; None when it is leased already or owed nothing."""
    leased = leases.take(connection, thread_id, owner=owner, now=now, lease=lease)
    if leased is None:
        return None
    turn = _take_over(connection, thread_id) or _open_turn(connection, thread_id, now)
    if turn is None:
        leases.release(connection, thread_id, leased.fence)
        return None
    return _claimed(connection, thread_id, leased, turn)


def settle(connection: Connection, claimed: Claim, settled: Settlement, *, now: datetime) -> bool:
    """Store how the turn ended and release the lease; False when the turn was no longer this claim's to settle.

    False as well when what is asked was edited meanwhile: then the turn is handed back, to be answered anew. Where it
    was stopped as well nothing is kept of an answer to words that are not said any more.
    """
    interrupted = leases.interruption(connection, claimed.thread_id)
    if interrupted is Interrupted.EDITED:
        hand_back(connection, claimed, excused=True)
        return False
    if not leases.release(connection, claimed.thread_id, claimed.fence, ended=True):
        return False
    gone = interrupted not in {None, Interrupted.STOPPED}  # its session is closed, and its words are erased
    if interrupted is Interrupted.STOPPED and not _is_said_still(connection, claimed):
        settled = replace(settled, state=TurnState.STOPPED, answer=texts.interrupted(Interrupted.STOPPED))
    values = {
        "state": TurnState.SUPERSEDED.value if gone else settled.state.value,
        "answer": None if gone or settled.answer is None else storable(settled.answer),
        "trouble": settled.trouble,
        "model": settled.model and storable(settled.model)[:MODEL_CHARACTERS],
        "prompt_tokens": settled.prompt_tokens,
        "cached_tokens": settled.cached_tokens,
        "completion_tokens": settled.completion_tokens,
        "finished_at": now,
        "this_turn": claimed.turn_id,
    }
    if connection.execute(_SETTLE, values).rowcount == 0:
        return False
    if claimed.session_id is not None:
        session_rows.touch(connection, claimed.session_id, now=now)
        if settled.cut is not None and not gone:
            summaries.move(connection, claimed.session_id, settled.cut)
    return values["state"] != TurnState.SUPERSEDED.value


def hand_back(connection: Connection, claimed: Claim, *, excused: bool = False) -> None:
    """Give the lease up with the turn unfinished, so that somebody else can take it over at once.

    `excused`: it is the worker that has to go; the turn did not fail.
    """
    if leases.release(connection, claimed.thread_id, claimed.fence) and excused:
        _excuse(connection, claimed)


def postpone(connection: Connection, claimed: Claim, *, now: datetime, pause: timedelta) -> None:
    """Hand the turn back because the platform is away, which is no failure of it; nobody takes it up before a pause."""
    if leases.rest(connection, claimed.thread_id, claimed.fence, now=now, pause=pause):
        _excuse(connection, claimed)


_TURN = (turns.c.id, turns.c.attempt, turns.c.postponed)
_TAKE_OVER = (
    sa.update(turns)
    .where(turns.c.thread_id == sa.bindparam("in_thread"), RUNNING)
    .values(attempt=turns.c.attempt + 1)
    .returning(*_TURN)
)
_WAITING = (
    sa.select(messages.c.id, messages.c.session_id, messages.c.fixed_reply)
    .where(messages.c.thread_id == sa.bindparam("in_thread"), messages.c.turn_id.is_(None))
    .order_by(messages.c.message_id)
    .limit(MESSAGES_PER_TURN)
)
_OPEN_TURN = sa.insert(turns).returning(*_TURN)
_TAKE = sa.update(messages).where(
    messages.c.id.in_(sa.bindparam("these", expanding=True)), messages.c.turn_id.is_(None)
)
_OF_TURN = (
    sa.select(messages, sessions.c.follows_expired, sessions.c.background)
    .outerjoin(sessions, sessions.c.id == messages.c.session_id)
    .where(messages.c.turn_id == sa.bindparam("this_turn"))
    .order_by(messages.c.message_id)
)
_SETTLE = sa.update(turns).where(turns.c.id == sa.bindparam("this_turn"), RUNNING)


def _take_over(connection: Connection, thread_id: int) -> Row[*tuple[Any, ...]] | None:
    """The turn an earlier owner left unfinished, as the next attempt."""
    return connection.execute(_TAKE_OVER, {"in_thread": thread_id}).first()


def _open_turn(connection: Connection, thread_id: int, now: datetime) -> Row[*tuple[Any, ...]] | None:
    taken = _together(connection.execute(_WAITING, {"in_thread": thread_id}).all())
    if not taken:
        return None
    opened = {
        "thread_id": thread_id,
        "session_id": taken[0].session_id,
        "attempt": 1,
        "state": TurnState.RUNNING.value,
        "started_at": now,
    }
    turn = connection.execute(_OPEN_TURN, opened).one()
    connection.execute(_TAKE, {"these": [message.id for message in taken], "turn_id": turn.id})
    return turn


def _together(waiting: Sequence[Row[*tuple[Any, ...]]]) -> Sequence[Row[*tuple[Any, ...]]]:
    """What is answered as one turn: a fixed reply alone, or all messages of one session up to the next of them."""
    if not waiting or waiting[0].fixed_reply is not None:
        return waiting[:1]
    for index, message in enumerate(waiting):
        if message.session_id != waiting[0].session_id:
            return waiting[:index]
    return waiting


def _claimed(
    connection: Connection, thread_id: int, leased: Row[*tuple[Any, ...]], turn: Row[*tuple[Any, ...]]
) -> Claim:
    rows = connection.execute(_OF_TURN, {"this_turn": turn.id}).all()
    asked = _asked(rows)
    newest = ([row for row in asked if row.deleted_at is None] or asked or rows)[-1]
    return Claim(
        thread_id=thread_id,
        fence=leased.fence,
        turn_id=turn.id,
        attempt=turn.attempt,
        failures=turn.attempt - 1 - turn.postponed,
        thread=Thread(leased.platform, leased.workspace, leased.channel, leased.root, leased.direct),
        session_id=newest.session_id,
        said=_said(asked),
        author=Author(newest.author_id, newest.author_workspace),
        message_id=newest.message_id,
        oldest_id=(asked or rows)[0].message_id,
        fixed_reply=_outcome(newest.fixed_reply) if newest.fixed_reply else None,
        interrupted=Interrupted(leased.interrupted) if leased.interrupted else None,
        follows_expired=bool(newest.follows_expired) and _is_first(connection, newest.session_id, turn.id),
        background=Known(newest.background) if newest.background else None,
    )


def _is_said_still(connection: Connection, claimed: Claim) -> bool:
    rows = connection.execute(_OF_TURN, {"this_turn": claimed.turn_id}).all()
    return _said(_asked(rows)) == claimed.said


def _asked(rows: Sequence[Row[*tuple[Any, ...]]]) -> list[Row[*tuple[Any, ...]]]:
    return [row for row in rows if row.fixed_reply is None]  # a stop belongs to the turn that it stops


def _said(asked: Sequence[Row[*tuple[Any, ...]]]) -> tuple[Utterance, ...]:
    return tuple(said(row) for row in asked if row.deleted_at is None)


def _is_first(connection: Connection, session_id: str, turn_id: int) -> bool:
    earlier = sa.select(turns.c.id).where(turns.c.session_id == session_id, turns.c.id < turn_id).limit(1)
    return connection.execute(earlier).first() is None


def said(row: Row[*tuple[Any, ...]]) -> Utterance:
    """A row of `messages` as the history knows it."""
    return Utterance(row.author_id, row.text, tuple(Attachment(**kept) for kept in row.attachments))


def _outcome(stored: str) -> ResetOutcome | StopOutcome | Told:
    every = (*ResetOutcome, *StopOutcome, *Told)
    known: dict[str, ResetOutcome | StopOutcome | Told] = {each.value: each for each in every}
    return known[stored]


def _excuse(connection: Connection, claimed: Claim) -> None:
    mine = sa.update(turns).where(turns.c.id == claimed.turn_id)
    connection.execute(mine.values(postponed=turns.c.postponed + 1))
