"""Exchanges: turns of callers who wait for the answer. One is begun in one transaction, and settled or withdrawn.

Rule: what was not settled is as if it had not been, so that a caller can simply ask again. Nobody takes it over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.domain.events import Author, Thread, storable
from bot.domain.sessions import Opened, OpenSession
from bot.llm import Usage
from bot.prompt.client_history import lacking
from bot.prompt.history import Turn, Utterance
from bot.store import claims, history, leases
from bot.store import sessions as session_rows
from bot.store import threads as thread_rows
from bot.store.claims import Claim, Settlement, TurnState
from bot.store.engine import mark_dirty
from bot.store.tables import RUNNING, messages, sessions, threads, turns

PLATFORM = "gateway"


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """What a caller calls a request, so that it is answered once, as a hash; and a digest of all that it asks."""

    hash: str
    digest: str


@dataclass(frozen=True, slots=True)
class Begun:
    """A turn that is to be answered now."""

    claim: Claim
    opened: Opened
    began_at: datetime
    recalled: tuple[int, ...]  # turns that the caller told of, and that were not known
    made: bool  # its thread was made for it


@dataclass(frozen=True, slots=True)
class Repeated:
    """A request with this key was answered before."""

    session_id: str
    turn_id: int
    began_at: datetime
    opened: Opened  # how it found its session
    same: bool  # it asked the same
    text: str
    model: str
    usage: Usage
    truncated: bool


def speaker(thread: Thread) -> Author:
    """Who speaks in such a session, and may reset it: whoever it belongs to."""
    return Author(thread.workspace, thread.workspace)


def begin(
    connection: Connection,
    thread: Thread,
    said: Sequence[str],
    *,
    recalled: Sequence[Turn],
    idempotency_key: IdempotencyKey | None,
    owner: str,
    now: datetime,
    lease: timedelta,
    new_id: str,
    idle_after: timedelta,
) -> Begun | Repeated | None:
    """Lease the thread and open a turn over what was said; None while another one is answered there.

    `recalled` are earlier turns as the caller has them: those that the session lacks are added to it.
    """
    known = thread_rows.find(connection, thread)
    thread_id = known.id if known is not None else thread_rows.ensure(connection, thread)
    leased = leases.take(connection, thread_id, owner=owner, now=now, lease=lease)
    if leased is None:
        return None
    _clear(connection, thread_id)
    if idempotency_key and (repeated := _repeated(connection, thread_id, idempotency_key, now - idle_after)):
        leases.release(connection, thread_id, leased.fence, ended=True)
        return repeated
    session_id = session_rows.continue_or_open(connection, thread_id, new_id=new_id, now=now, idle_after=idle_after)
    rows = _Rows(connection, thread, thread_id, session_id, leased.fence, now)
    added = [rows.add(turn) for turn in _unknown(connection, session_id, recalled)]
    claim = rows.claim(said, idempotency_key)
    return Begun(
        claim, _opened(connection, session_id, new=session_id == new_id), now, tuple(added), made=known is None
    )


def find(connection: Connection, thread: Thread) -> OpenSession | None:
    """The open session in this place, whether or not it is idle."""
    known = thread_rows.find(connection, thread)
    return session_rows.open_in(connection, known.id) if known is not None else None


def settle(connection: Connection, begun: Begun, settled: Settlement, *, truncated: bool, now: datetime) -> bool:
    """Store the whole answer; False when the session was closed under it, or the claim was lost."""
    this = sa.update(turns).where(turns.c.id == begun.claim.turn_id, RUNNING)
    connection.execute(this.values(truncated=truncated))
    return claims.settle(connection, begun.claim, settled, now=now)


def withdraw(connection: Connection, begun: Begun) -> None:
    """Take the turn back, unless it is no more this claim's: as if nothing had been asked."""
    if leases.release(connection, begun.claim.thread_id, begun.claim.fence):
        _clear(connection, begun.claim.thread_id, begun.recalled)
        if begun.made:
            thread_rows.remove_empty(connection, [begun.claim.thread_id])


def withdraw_abandoned(connection: Connection, *, now: datetime, batch: int) -> int:
    """Take back the turns of processes that died, at most `batch` of them, so that their sessions can expire; how many.

    Safe on several replicas at once.
    """
    left = (
        sa.select(turns.c.thread_id)
        .join(threads, threads.c.id == turns.c.thread_id)
        .where(RUNNING, threads.c.platform == PLATFORM, leases.is_free(connection, now=now))
        .limit(batch)
    )
    found = list(connection.execute(left).scalars())
    for thread_id in found:
        leased = leases.take(connection, thread_id, owner="", now=now, lease=timedelta())
        if leased is not None:
            _clear(connection, thread_id)
            leases.release(connection, thread_id, leased.fence, ended=True)
    return len(found)


@dataclass(slots=True)
class _Rows:
    """Writes turns and messages into one session, in the order in which they are added."""

    connection: Connection
    thread: Thread
    thread_id: int
    session_id: str
    fence: int
    now: datetime
    written: int = 0

    @property
    def author(self) -> Author:
        """Who speaks here."""
        return speaker(self.thread)

    def message_id(self, number: int) -> str:
        """Of the message of this number: it sorts as text, for no fence comes twice in a thread."""
        return f"{self.fence:010}.{number:06}"

    def claim(self, said: Sequence[str], key: IdempotencyKey | None) -> Claim:
        """A turn that is to be answered, claimed."""
        # What is to be answered once, in no session, is kept without its words; by whoever asked, erasing finds it.
        first, turn_id = self.written + 1, self.open_turn(TurnState.RUNNING, said or [""], key=key)
        return Claim(
            thread_id=self.thread_id,
            fence=self.fence,
            turn_id=turn_id,
            attempt=1,
            failures=0,
            thread=self.thread,
            session_id=self.session_id,
            said=tuple(Utterance(self.author.id, storable(text)) for text in said),
            author=self.author,
            message_id=self.message_id(self.written),
            oldest_id=self.message_id(first),
            fixed_reply=None,
            interrupted=None,
            follows_expired=False,
            background=None,
        )

    def add(self, turn: Turn) -> int:
        """A turn that has its answer; its id."""
        return self.open_turn(TurnState.ANSWERED, [message.text for message in turn.said], answer=turn.answer)

    def open_turn(
        self, state: TurnState, said: Sequence[str], *, key: IdempotencyKey | None = None, answer: str | None = None
    ) -> int:
        """A turn over these messages; its id."""
        values = {
            "thread_id": self.thread_id,
            "session_id": self.session_id,
            "attempt": 1,
            "state": state.value,
            "answer": None if answer is None else storable(answer),
            "started_at": self.now,
            "finished_at": None if state is TurnState.RUNNING else self.now,
            "idempotency_key": key.hash if key else None,
            "request_digest": key.digest if key else None,
        }
        turn_id: int = self.connection.execute(sa.insert(turns).returning(turns.c.id), values).scalar_one()
        for text in said:
            self._write(text, turn_id)
        return turn_id

    def _write(self, text: str, turn_id: int) -> None:
        self.written += 1
        values = {
            "thread_id": self.thread_id,
            "session_id": self.session_id,
            "turn_id": turn_id,
            "message_id": self.message_id(self.written),
            "author_id": self.author.id,
            "author_workspace": self.author.workspace,
            "text": storable(text),
            "attachments": [],
            "accepted_at": self.now,
        }
        self.connection.execute(sa.insert(messages), values)


def _clear(connection: Connection, thread_id: int, besides: Sequence[int] = ()) -> None:
    """Remove the running turn, turns that came with it, and the session when nothing is left of it."""
    running = sa.select(turns.c.id, turns.c.session_id).where(turns.c.thread_id == thread_id, RUNNING)
    if (found := connection.execute(running).first()) is None:
        return
    mark_dirty(connection)
    ids = [found.id, *besides]
    connection.execute(sa.delete(messages).where(messages.c.turn_id.in_(ids)))
    connection.execute(sa.delete(turns).where(turns.c.id.in_(ids)))
    left = sa.exists().where(turns.c.session_id == sessions.c.id)
    empty = sa.and_(sessions.c.id == found.session_id, sessions.c.closed_at.is_(None), ~left)
    connection.execute(sa.delete(sessions).where(empty))
    connection.execute(sa.update(threads).where(threads.c.id == thread_id).values(interrupted=None))


def _repeated(connection: Connection, thread_id: int, key: IdempotencyKey, since: datetime) -> Repeated | None:
    """The answer that was given under this key, in the session that is open, and was active since then."""
    row = connection.execute(_REPEATED, {"in_thread": thread_id, "key_hash": key.hash, "since": since}).first()
    if row is None:
        return None
    usage = Usage(row.prompt_tokens or 0, row.cached_tokens or 0, row.completion_tokens or 0)
    same, truncated = row.request_digest == key.digest, bool(row.truncated)
    # One that a caller told of no model of ours has answered.
    earlier = sa.exists().where(turns.c.session_id == row.session_id, turns.c.id < row.id, turns.c.model.is_not(None))
    opened = _opened(connection, row.session_id, new=not connection.execute(sa.select(earlier)).scalar())
    return Repeated(row.session_id, row.id, row.started_at, opened, same, row.answer, row.model or "", usage, truncated)


_REPEATED = (
    sa.select(turns)
    .join(sessions, sessions.c.id == turns.c.session_id)
    .where(
        turns.c.thread_id == sa.bindparam("in_thread"),
        turns.c.idempotency_key == sa.bindparam("key_hash"),
        turns.c.answer.is_not(None),
        sessions.c.closed_at.is_(None),
        sessions.c.last_active_at >= sa.bindparam("since"),
    )
    .order_by(turns.c.id.desc())
    .limit(1)
)


def _unknown(connection: Connection, session_id: str, recalled: Sequence[Turn]) -> Sequence[Turn]:
    """What of the caller's memory the session lacks."""
    if not recalled:
        return ()
    known = history.newest(connection, session_id)
    return lacking(known[::-1], recalled, whole=len(known) < history.PAGE)


def _opened(connection: Connection, session_id: str, *, new: bool) -> Opened:
    if not new:
        return Opened.CONTINUED
    expired = sa.select(sessions.c.follows_expired).where(sessions.c.id == session_id)
    return Opened.EXPIRED if connection.execute(expired).scalar() else Opened.CREATED
