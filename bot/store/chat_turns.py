"""Turns of callers who wait for the answer, over HTTP or in Python: begun in one transaction, settled or withdrawn.

Rule: an unsettled turn is withdrawn without a trace, so the caller can send the question again. No other process
takes it over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.events import Author, Thread, storable
from bot.domain.sessions import Opened, OpenSession
from bot.prompt.history import Turn, Utterance
from bot.store import leases, recalled_turns, repeated_turns, sessions, stored_bytes, threads
from bot.store.claims import Claim
from bot.store.engine import mark_dirty
from bot.store.leases import LeaseRequest
from bot.store.repeated_turns import IdempotencyKey, Repeated
from bot.store.settlement import TurnState
from bot.store.tables import MESSAGES, RUNNING, SESSIONS, THREADS, TURNS

PLATFORM = threads.PLATFORM_OF_CALLERS


@dataclass(frozen=True, slots=True)
class NewTurn:
    """A turn to begin."""

    texts: tuple[str, ...]  # the messages to answer; none if only the idempotency key is stored
    lacking: tuple[Turn, ...] = ()  # earlier turns of the caller that the session lacked
    idempotency_key: IdempotencyKey | None = None
    after: int | None = None  # the id of the session's newest turn by then, if that matters: see recalled_turns.newest
    most_bytes: int | None = None  # of text in the sessions of the owner's API key, with this turn


class Outdated:
    """The session has got turns, or was closed, since it was compared with the caller's earlier turns."""


@dataclass(frozen=True, slots=True)
class ChatClaim(Claim):
    """A claim on a caller's question. Without an answer it is withdrawn."""

    session_id: str
    opened: Opened
    began_at: datetime
    imported: tuple[int, ...]  # the caller's earlier turns that the session lacked
    is_new_thread: bool


def speaker(thread: Thread) -> Author:
    """Return the owner of the session, its only author. The owner may reset it."""
    return Author(thread.workspace, thread.workspace)


def begin(
    connection: Connection, lease: LeaseRequest, thread: Thread, new: NewTurn, *, new_id: str, idle_after: timedelta
) -> ChatClaim | Repeated | Outdated | None:
    """Lease the thread and open a turn over these texts; None while another turn is answered there.

    Raises StorageFull when the sessions of the key that owns the thread would hold too much text.
    """
    known = threads.find(connection, thread)
    thread_id = known.id if known is not None else threads.ensure(connection, thread)
    leased = leases.take(connection, lease, thread_id)
    if leased is None:
        return None
    _clear(connection, thread_id)
    key, active_since = new.idempotency_key, lease.now - idle_after
    if key is not None and (repeated := repeated_turns.find(connection, thread_id, key, active_since)):
        leases.release(connection, thread_id, leased.fence, ended=True)
        return repeated
    if new.after is not None and new.after != recalled_turns.newest(
        connection, thread, now=lease.now, idle_after=idle_after
    ):
        leases.release(connection, thread_id, leased.fence, ended=True)
        return Outdated()
    owner = speaker(thread).id
    session_id = sessions.continue_or_open(
        connection, thread_id, owner, new_id=new_id, now=lease.now, idle_after=idle_after
    )
    question = Turn(tuple(Utterance(owner, text) for text in new.texts or [""]))
    stored_bytes.claim(connection, session_id, _size([*new.lacking, question]), limit=new.most_bytes)
    rows = _Rows(connection, thread, thread_id, session_id, leased.fence, lease.now)
    imported = rows.add(new.lacking)
    return ChatClaim(
        thread_id=thread_id,
        fence=leased.fence,
        # Without a session only the key is kept. The empty row lets erasure find the turn by its author.
        turn_id=rows.open_turn(new.texts or [""], key),
        thread=thread,
        session_id=session_id,
        utterances=tuple(Utterance(speaker(thread).id, storable(text)) for text in new.texts),
        opened=repeated_turns.opened(connection, session_id, new=session_id == new_id),
        began_at=lease.now,
        imported=imported,
        is_new_thread=known is None,
    )


def find(connection: Connection, thread: Thread) -> OpenSession | None:
    """Return the open session of this thread, whether or not it is idle."""
    known = threads.find(connection, thread)
    return sessions.open_in(connection, known.id) if known is not None else None


def was_answered(connection: Connection, thread: Thread, key: IdempotencyKey, *, since: datetime) -> bool:
    """Return whether the open session, active since then, has the answer to the request with this key."""
    known = threads.find(connection, thread)
    return known is not None and repeated_turns.find(connection, known.id, key, since) is not None


def withdraw(connection: Connection, claimed: ChatClaim) -> None:
    """Remove the turn and its question, unless the claim was lost."""
    if leases.release(connection, claimed.thread_id, claimed.fence):
        _clear(connection, claimed.thread_id, claimed.imported)
        if claimed.is_new_thread:
            threads.remove_empty(connection, [claimed.thread_id])


def withdraw_abandoned(connection: Connection, *, now: datetime, batch: int) -> int:
    """Withdraw at most `batch` turns of processes that died, so that their sessions can expire; return how many.

    Safe on several replicas at once.
    """
    abandoned = (
        sa.select(TURNS.c.thread_id)
        .join(THREADS, THREADS.c.id == TURNS.c.thread_id)
        .where(RUNNING, THREADS.c.platform == PLATFORM, leases.is_free(connection, now=now))
        .limit(batch)
    )
    thread_ids = list(connection.execute(abandoned).scalars())
    lease = LeaseRequest("", now, timedelta())
    for thread_id in thread_ids:
        leased = leases.take(connection, lease, thread_id)
        if leased is not None:
            _clear(connection, thread_id)
            leases.release(connection, thread_id, leased.fence, ended=True)
    return len(thread_ids)


@dataclass(slots=True)
class _Rows:
    """Writes turns and messages into one session, in the order of the calls."""

    connection: Connection
    thread: Thread
    thread_id: int
    session_id: str
    fence: int
    now: datetime
    written: int = 0

    def add(self, turns: Sequence[Turn]) -> tuple[int, ...]:
        """Add turns that have their answers, in a few statements; return their ids."""
        return self._insert([(turn.answer, [message.text for message in turn.messages]) for turn in turns], _ANSWERED)

    def open_turn(self, texts: Sequence[str], key: IdempotencyKey | None) -> int:
        """Add the running turn over these messages; return its id."""
        running = {
            "state": TurnState.RUNNING.value,
            "idempotency_key": key.hash if key else None,
            "request_digest": key.digest if key else None,
        }
        return self._insert([(None, texts)], running)[0]

    def _insert(self, turns: Sequence[tuple[str | None, Sequence[str]]], values: Mapping[str, Any]) -> tuple[int, ...]:
        """Insert turns with these answers and messages; return their ids."""
        if not turns:
            return ()
        shared = {"thread_id": self.thread_id, "session_id": self.session_id}
        finished = None if values["state"] == TurnState.RUNNING.value else self.now
        of_turn = {**shared, **values, "attempt": 1, "started_at": self.now, "finished_at": finished}
        rows = [{**of_turn, "answer": None if answer is None else storable(answer)} for answer, _ in turns]
        self.connection.execute(sa.insert(TURNS), rows)
        newest = {"in_session": self.session_id, "most": len(turns)}  # under the lease nobody else adds any
        ids = tuple(reversed(self.connection.execute(_NEWEST_TURNS, newest).scalars().all()))
        messages = [
            {**shared, **self._message(text), "turn_id": turn_id}
            for turn_id, (_, texts) in zip(ids, turns, strict=True)
            for text in texts
        ]
        self.connection.execute(sa.insert(MESSAGES), messages)
        return ids

    def _message(self, text: str) -> dict[str, Any]:
        self.written += 1
        author = speaker(self.thread)
        return {
            "message_id": repeated_turns.message_id(self.fence, self.written),
            "author_id": author.id,
            "author_workspace": author.workspace,
            "text": storable(text),
            "attachments": [],
            "accepted_at": self.now,
        }


_ANSWERED = {"state": TurnState.ANSWERED.value, "idempotency_key": None, "request_digest": None}
_NEWEST_TURNS = (
    sa.select(TURNS.c.id)
    .where(TURNS.c.session_id == sa.bindparam("in_session"))
    .order_by(TURNS.c.id.desc())
    .limit(sa.bindparam("most"))
)


def _clear(connection: Connection, thread_id: int, imported: Sequence[int] = ()) -> None:
    """Remove the running turn, the imported turns, and the session when no turn is left in it."""
    running = sa.select(TURNS.c.id, TURNS.c.session_id).where(TURNS.c.thread_id == thread_id, RUNNING)
    if (turn := connection.execute(running).first()) is None:
        return
    mark_dirty(connection)
    ids = [turn.id, *imported]
    _release(connection, turn.session_id, ids)
    connection.execute(sa.delete(MESSAGES).where(MESSAGES.c.turn_id.in_(ids)))
    connection.execute(sa.delete(TURNS).where(TURNS.c.id.in_(ids)))
    has_turns = sa.exists().where(TURNS.c.session_id == SESSIONS.c.id)
    empty = sa.and_(SESSIONS.c.id == turn.session_id, SESSIONS.c.closed_at.is_(None), ~has_turns)
    connection.execute(sa.delete(SESSIONS).where(empty))
    connection.execute(sa.update(THREADS).where(THREADS.c.id == thread_id).values(interrupted=None))


def _size(turns: Sequence[Turn]) -> int:
    return sum(
        stored_bytes.size(message.text for message in turn.messages) + stored_bytes.length(turn.answer)
        for turn in turns
    )


def _release(connection: Connection, session_id: str, turn_ids: Sequence[int]) -> None:
    """Count nothing more for these turns, which will be deleted."""
    questions = connection.execute(sa.select(MESSAGES.c.text).where(MESSAGES.c.turn_id.in_(turn_ids))).scalars()
    answers = connection.execute(sa.select(TURNS.c.answer).where(TURNS.c.id.in_(turn_ids))).scalars()
    count = stored_bytes.size(questions) + sum(map(stored_bytes.length, answers))
    stored_bytes.add(connection, session_id, -count)
