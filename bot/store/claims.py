"""Claims: the right to answer in a thread, for as long as its lease runs, and the settlement of the turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from bot.domain import texts
from bot.domain.events import Attachment, Author, Thread, read_forwarded, storable
from bot.domain.sessions import Interrupted
from bot.llm import Done, Usage
from bot.prompt.history import Utterance
from bot.prompt.thread_context import ContextState
from bot.store import answer_files, fixed_replies, leases, sessions, stored_bytes, summaries
from bot.store.fixed_replies import FixedReply
from bot.store.leases import LeaseRequest
from bot.store.settlement import KeptAnswer, Settlement, TurnState
from bot.store.tables import MESSAGES, RUNNING, SESSIONS, TURNS

MESSAGES_PER_TURN = 100  # later messages are answered in the next turn
MODEL_CHARACTERS = 200  # of the name that the backend gives its model


@dataclass(frozen=True, slots=True)
class Claim:
    """One turn to answer now, and the right to do so until the lease runs out."""

    thread_id: int
    fence: int
    turn_id: int
    thread: Thread
    session_id: str | None  # None: a fixed reply, which belongs to no session
    utterances: tuple[Utterance, ...]

    @property
    def log_fields(self) -> dict[str, object]:
        """The fields by which a log line names the turn."""
        return {"place": str(self.thread), "session": self.session_id, "turn": self.turn_id}


@dataclass(frozen=True, slots=True)
class PlatformClaim(Claim):
    """A claim on messages that a chat platform delivered. Their turn is owed an answer until it is settled."""

    attempt: int
    failures: int  # earlier attempts that broke; excludes released attempts and those with an unavailable platform
    author: Author  # of the newest message
    message_id: str  # of the newest message
    oldest_id: str  # of the oldest message
    accepted_at: datetime  # the oldest message
    fixed_reply: FixedReply | None
    interrupted: Interrupted | None  # the turn is to be ended, not answered
    follows_expired: bool  # this is the session's first turn, and the session before it expired
    thread_context: ContextState | None  # None: the session has none
    kept: KeptAnswer | None = None  # the answer is known, and is only to be shown

    @property
    def log_fields(self) -> dict[str, object]:
        """The fields by which a log line names the turn."""
        # slots=True makes a new class, which a super() without arguments does not know
        return {**super(PlatformClaim, self).log_fields, "attempt": self.attempt}


def claim(connection: Connection, lease: LeaseRequest, thread_id: int) -> PlatformClaim | None:
    """Lease the thread and open a turn over the messages that wait in it.

    Returns None when the thread is leased already, or no message waits.
    """
    leased = leases.take(connection, lease, thread_id)
    if leased is None:
        return None
    turn = _take_over(connection, thread_id) or _open_turn(connection, thread_id, lease.now)
    if turn is None:
        leases.release(connection, thread_id, leased.fence)
        return None
    return _claimed(connection, thread_id, leased, turn)


def settle(connection: Connection, claimed: Claim, settled: Settlement, *, now: datetime) -> bool:
    """Store how the turn ended and release the lease; False when the claim has lost the turn.

    Also False when a message was edited meanwhile: then the turn is handed back, and is answered again. If a later
    event ends the turn, the next attempt replaces the fragment that this one left. When a message was edited and the
    turn was stopped as well, the answer is dropped, because its question no longer exists.
    """
    interrupted = leases.interruption(connection, claimed.thread_id)
    if settled.fragment or interrupted is Interrupted.EDITED:
        hand_back(connection, claimed)
        return False
    if not leases.release(connection, claimed.thread_id, claimed.fence, ended=True):
        return False
    is_closed = interrupted not in {None, Interrupted.STOPPED}  # the session is closed, and its words are erased
    if interrupted is Interrupted.STOPPED and not _is_unchanged(connection, claimed):
        settled = replace(settled, state=TurnState.STOPPED, answer=texts.ANSWER_STOPPED)
    state = TurnState.SUPERSEDED if is_closed else settled.state
    values = _answer_of(settled) | {
        "state": state.value,
        "trouble": settled.trouble,
        "finished_at": now,
        "this_turn": claimed.turn_id,
    }
    if is_closed:
        values["answer"] = None
    turn = connection.execute(_SETTLE.returning(TURNS.c.session_id), values).first()
    if turn is None:
        return False
    if interrupted in {Interrupted.DELETED, Interrupted.ERASED}:
        answer_files.doom(connection, [claimed.turn_id])
    if turn.session_id is not None:  # a late reset moves a turn to another session
        sessions.touch(connection, turn.session_id, now=now)
        stored_bytes.add(connection, turn.session_id, stored_bytes.length(values["answer"]))
        if settled.new_window is not None and not is_closed and turn.session_id == claimed.session_id:
            summaries.move(connection, turn.session_id, settled.new_window)
    return state is not TurnState.SUPERSEDED


def keep(connection: Connection, claimed: PlatformClaim, settled: Settlement) -> None:
    """Store a whole answer while the platform shows it, so that a later attempt need not ask the model again.

    The turn goes on running. Nothing is stored if it is interrupted, or if another attempt has begun.
    """
    if leases.interruption(connection, claimed.thread_id) is None:
        mine = {"this_turn": claimed.turn_id, "this_attempt": claimed.attempt}
        connection.execute(_KEEP, _answer_of(settled) | mine)


def _answer_of(settled: Settlement) -> dict[str, Any]:
    return {
        "answer": settled.answer if settled.answer is None else storable(settled.answer),
        "model": settled.model and storable(settled.model)[:MODEL_CHARACTERS],
        "prompt_tokens": settled.prompt_tokens,
        "cached_tokens": settled.cached_tokens,
        "completion_tokens": settled.completion_tokens,
        "truncated": settled.truncated,
    }


def hand_back(connection: Connection, claimed: Claim) -> None:
    """Release the lease with the turn unfinished, so that another worker takes it over at once.

    The attempt does not count as a failure of the turn, because the worker has to stop.
    """
    if leases.release(connection, claimed.thread_id, claimed.fence):
        _count_as_postponed(connection, claimed)


def fail_attempt(connection: Connection, claimed: Claim) -> None:
    """Release the lease after an attempt that broke, so that another worker takes the turn over at once."""
    leases.release(connection, claimed.thread_id, claimed.fence)


def postpone(connection: Connection, claimed: Claim, *, now: datetime, pause: timedelta) -> None:
    """Release the lease because the platform is away. No worker takes the turn over before the pause has passed.

    The attempt does not count as a failure of the turn.
    """
    if leases.release_with_pause(connection, claimed.thread_id, claimed.fence, now=now, pause=pause):
        _count_as_postponed(connection, claimed)


_TURN = (
    TURNS.c.id,
    TURNS.c.attempt,
    TURNS.c.postponed,
    TURNS.c.answer,
    TURNS.c.model,
    TURNS.c.prompt_tokens,
    TURNS.c.cached_tokens,
    TURNS.c.completion_tokens,
    TURNS.c.truncated,
)
_TAKE_OVER = (
    sa.update(TURNS)
    .where(TURNS.c.thread_id == sa.bindparam("in_thread"), RUNNING)
    .values(attempt=TURNS.c.attempt + 1)
    .returning(*_TURN)
)
_WAITING = (
    sa.select(MESSAGES.c.id, MESSAGES.c.session_id, MESSAGES.c.fixed_reply)
    .where(MESSAGES.c.thread_id == sa.bindparam("in_thread"), MESSAGES.c.turn_id.is_(None))
    .order_by(MESSAGES.c.message_id)
    .limit(MESSAGES_PER_TURN)
)
_OPEN_TURN = sa.insert(TURNS).returning(*_TURN)
_TAKE = sa.update(MESSAGES).where(
    MESSAGES.c.id.in_(sa.bindparam("these", expanding=True)), MESSAGES.c.turn_id.is_(None)
)
_OF_TURN = (
    sa.select(MESSAGES, SESSIONS.c.follows_expired, SESSIONS.c.background)
    .outerjoin(SESSIONS, SESSIONS.c.id == MESSAGES.c.session_id)
    .where(MESSAGES.c.turn_id == sa.bindparam("this_turn"))
    .order_by(MESSAGES.c.message_id)
)
_SETTLE = sa.update(TURNS).where(TURNS.c.id == sa.bindparam("this_turn"), RUNNING)
_KEEP = _SETTLE.where(TURNS.c.attempt == sa.bindparam("this_attempt"))


def _take_over(connection: Connection, thread_id: int) -> Row[*tuple[Any, ...]] | None:
    """Return the turn that an earlier owner left unfinished, as its next attempt."""
    return connection.execute(_TAKE_OVER, {"in_thread": thread_id}).first()


def _open_turn(connection: Connection, thread_id: int, now: datetime) -> Row[*tuple[Any, ...]] | None:
    waiting = _of_one_turn(connection.execute(_WAITING, {"in_thread": thread_id}).all())
    if not waiting:
        return None
    opened = {
        "thread_id": thread_id,
        "session_id": waiting[0].session_id,
        "attempt": 1,
        "state": TurnState.RUNNING.value,
        "started_at": now,
    }
    turn = connection.execute(_OPEN_TURN, opened).one()
    connection.execute(_TAKE, {"these": [message.id for message in waiting], "turn_id": turn.id})
    return turn


def _of_one_turn(waiting: Sequence[Row[*tuple[Any, ...]]]) -> Sequence[Row[*tuple[Any, ...]]]:
    """Return the messages of the next turn: a fixed reply alone, or those before the next fixed reply or session."""
    if not waiting or waiting[0].fixed_reply is not None:
        return waiting[:1]
    for index, message in enumerate(waiting):
        if message.session_id != waiting[0].session_id:
            return waiting[:index]
    return waiting


def _claimed(
    connection: Connection, thread_id: int, leased: Row[*tuple[Any, ...]], turn: Row[*tuple[Any, ...]]
) -> PlatformClaim:
    rows = connection.execute(_OF_TURN, {"this_turn": turn.id}).all()
    questions = _questions(rows)
    newest = ([row for row in questions if row.deleted_at is None] or questions or rows)[-1]
    return PlatformClaim(
        thread_id=thread_id,
        fence=leased.fence,
        turn_id=turn.id,
        attempt=turn.attempt,
        failures=turn.attempt - 1 - turn.postponed,
        thread=Thread(leased.platform, leased.workspace, leased.channel, leased.root, leased.direct),
        session_id=newest.session_id,
        utterances=_utterances(questions),
        author=Author(newest.author_id, newest.author_workspace),
        message_id=newest.message_id,
        oldest_id=(questions or rows)[0].message_id,
        accepted_at=min(row.accepted_at for row in questions or rows),
        fixed_reply=fixed_replies.read(newest.fixed_reply) if newest.fixed_reply else None,
        interrupted=Interrupted(leased.interrupted) if leased.interrupted else None,
        follows_expired=bool(newest.follows_expired) and _is_first(connection, newest.session_id, turn.id),
        thread_context=ContextState(newest.background) if newest.background else None,
        kept=_kept(turn) if turn.answer is not None else None,
    )


def _kept(turn: Row[*tuple[Any, ...]]) -> KeptAnswer:
    counts = (turn.prompt_tokens, turn.cached_tokens, turn.completion_tokens)
    usage = Usage(*counts) if turn.prompt_tokens is not None else None
    return KeptAnswer(turn.answer, Done(turn.model or "", usage, bool(turn.truncated), rounds=0))


def _is_unchanged(connection: Connection, claimed: Claim) -> bool:
    """Return whether the messages of the turn still read as they did when it was claimed."""
    rows = connection.execute(_OF_TURN, {"this_turn": claimed.turn_id}).all()
    return _utterances(_questions(rows)) == claimed.utterances


def _questions(rows: Sequence[Row[*tuple[Any, ...]]]) -> list[Row[*tuple[Any, ...]]]:
    return [row for row in rows if row.fixed_reply is None]  # a stop belongs to the turn that it stops


def _utterances(questions: Sequence[Row[*tuple[Any, ...]]]) -> tuple[Utterance, ...]:
    return tuple(utterance(row) for row in questions if row.deleted_at is None)


def _is_first(connection: Connection, session_id: str, turn_id: int) -> bool:
    earlier = (TURNS.c.session_id == session_id, TURNS.c.id < turn_id, TURNS.c.attempt > 0)  # 0: without a worker
    return connection.execute(sa.select(TURNS.c.id).where(*earlier).limit(1)).first() is None


def utterance(row: Row[*tuple[Any, ...]]) -> Utterance:
    """Return a row of `messages` as the history shows it."""
    files = tuple(Attachment(**stored) for stored in row.attachments)
    return Utterance(row.author_id, row.text, files, read_forwarded(row.forwarded), row.message_id, row.overheard)


def _count_as_postponed(connection: Connection, claimed: Claim) -> None:
    mine = sa.update(TURNS).where(TURNS.c.id == claimed.turn_id)
    connection.execute(mine.values(postponed=TURNS.c.postponed + 1))
