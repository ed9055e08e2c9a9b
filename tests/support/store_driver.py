"""A driver for store tests: accept, claim, settle, reset and expire, at a time that the test sets."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bot.domain.events import (
    Author,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    QuietRequested,
    ResetRequested,
    StopRequested,
    Thread,
)
from bot.domain.listening import ThreadAnswers
from bot.domain.sessions import EditOutcome, IdleLimits, ResetOutcome, StopOutcome
from bot.prompt.history import Turn
from bot.store import claims, edits, erasure, history, inbox, listening, sessions, tables
from bot.store.claims import Claim, PlatformClaim
from bot.store.engine import Store
from bot.store.erasure import Scope
from bot.store.leases import LeaseRequest
from bot.store.settlement import Settlement, TurnState
from bot.testing import SettableClock
from tests.support.builders import DAY, NOON
from tests.support.timeouts import GENEROUS_S

A_DAY = IdleLimits(DAY)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class StoreDriver:
    """Calls store functions with default arguments. Sessions are named s1, s2, …"""

    def __init__(self, store: Store, clock: SettableClock) -> None:
        self.store = store
        self._clock = clock
        self._ids = (f"s{number}" for number in itertools.count(1))

    @property
    def now(self) -> datetime:
        """The clock's time. A test may set it."""
        return self._clock.now()

    @now.setter
    def now(self, moment: datetime) -> None:
        self._clock.advance(moment - self._clock.now())

    def new_id(self) -> str:
        """Return the id of the next session."""
        return next(self._ids)

    async def accept(self, message: MessageReceived, answers: ThreadAnswers = ThreadAnswers.ALL) -> int | None:
        """Accept a message. Return its thread's id, or None for an ignored message or a duplicate."""
        how: dict[str, Any] = {"new_id": next(self._ids), "idle_after": DAY, "answers": answers}
        return await self.store.run(inbox.accept, message, now=self.now, **how)

    async def accepted(self, message: MessageReceived) -> int:
        """Accept a message that must not be ignored. Return its thread's id."""
        thread_id = await self.accept(message)
        assert thread_id is not None
        return thread_id

    async def accept_reset(self, event: ResetRequested) -> ResetOutcome | None:
        """Accept a reset command. Return its outcome, or None for an ignored one or a duplicate."""
        new_id = f"since {event.message_id}"  # of a session for later messages that arrived earlier
        outcome, _ = await self.store.run(inbox.accept_reset, event, now=self.now, new_id=new_id)
        return outcome

    async def reset(self, thread: Thread, author: Author) -> ResetOutcome:
        """Reset a thread's session from outside the thread. Return the outcome."""
        return await self.store.run(inbox.reset, thread, author, now=self.now)

    async def accept_quiet(self, event: QuietRequested) -> int | None:
        """Accept a `!quiet` or a `!back`. Return its thread's id, or None for an ignored one or a duplicate."""
        return await self.store.run(listening.accept, event, now=self.now)

    async def accept_stop(self, event: StopRequested) -> StopOutcome | None:
        """Accept a stop. Return its outcome, or None for an ignored one or a duplicate."""
        outcome, _ = await self.store.run(inbox.accept_stop, event, now=self.now)
        return outcome

    async def accept_edit(self, edited: MessageEdited) -> EditOutcome:
        """Accept an edit. Return its outcome."""
        outcome, _ = await self.store.run(
            edits.accept_edit, edited, now=self.now, new_id=next(self._ids), idle_after=DAY
        )
        return outcome

    async def accept_deletion(self, deleted: MessageDeleted) -> bool:
        """Accept a deletion. Return whether a running turn must end or restart."""
        return await self.store.run(edits.accept_deletion, deleted, now=self.now)

    async def forget(self, author: Author) -> int:
        """Erase a person's messages. Return how many."""
        return await self.erase(Scope("chat", "T1", person=author.id))

    async def erase(self, scope: Scope) -> int:
        """Erase all messages in scope. Return how many."""
        total = 0
        while erased := await self.store.run(erasure.erase, scope, now=self.now, batch=3):
            total += erased
        return total

    async def claim(self, thread_id: int, owner: str = "one") -> PlatformClaim | None:
        """Claim a thread with a lease of one minute."""
        return await self.store.run(claims.claim, self.lease(owner), thread_id)

    def lease(self, owner: str = "one", length: timedelta = MINUTE) -> LeaseRequest:
        """Return a request for a lease, made now."""
        return LeaseRequest(owner, self.now, length)

    async def claimed(self, thread_id: int, owner: str = "one") -> PlatformClaim:
        """Claim a thread; the claim must succeed."""
        claim = await self.claim(thread_id, owner)
        assert claim is not None
        return claim

    async def lapse(self) -> None:
        """Let every lease and every pause expire."""
        await lapse(self.store)

    async def taken_over(self, claim: PlatformClaim, owner: str = "two") -> PlatformClaim:
        """Let the lease expire, and claim the same turn for another owner."""
        await self.lapse()
        return await self.claimed(claim.thread_id, owner)

    async def settle(
        self, claim: PlatformClaim, answer: str = "answered", state: TurnState = TurnState.ANSWERED
    ) -> bool:
        """Settle a turn. Return whether the claim was still valid."""
        return await self.store.run(claims.settle, claim, Settlement(state, answer), now=self.now)

    async def answer(self, message: MessageReceived, answer: str = "answered") -> PlatformClaim:
        """Accept, claim and settle a message. Return the claim."""
        claim = await self.claimed(await self.accepted(message))
        assert await self.settle(claim, answer)
        return claim

    async def sweep(self, batch: int = 100, idle: IdleLimits = A_DAY) -> int:
        """Expire one batch of idle sessions. Return how many."""
        return await self.store.run(sessions.expire, now=self.now, idle=idle, batch=batch)

    async def past(self, claim: Claim, budget: int = 100_000) -> list[Turn]:
        """Return the turns before this one."""
        assert claim.session_id is not None
        past = await self.store.run(history.before, claim.session_id, claim.turn_id, budget_tokens=budget)
        return list(past.turns)

    async def rows(self, table: sa.Table) -> Sequence[sa.Row[*tuple[Any, ...]]]:
        """Return every row, in the order of their ids."""
        query = sa.select(table).order_by(*table.primary_key)
        return await self.store.run(lambda connection: connection.execute(query).all())


def add_sessions(connection: sa.Connection, count: int) -> None:
    """Insert sessions, each in its own thread, that have been idle since noon."""
    place = {"platform": "chat", "workspace": "T1", "channel": "C9", "direct": False, "engaged": True}
    connection.execute(sa.insert(tables.THREADS), [{**place, "id": n, "root": str(n)} for n in range(1, count + 1)])
    row = {"opened_at": NOON, "last_active_at": NOON, "follows_expired": False}
    rows = [{**row, "id": f"s{n}", "thread_id": n} for n in range(1, count + 1)]
    connection.execute(sa.insert(tables.SESSIONS), rows)


def texts(claim: PlatformClaim) -> list[str]:
    """Return the texts of a claim's messages."""
    return [utterance.text for utterance in claim.utterances]


def is_waiting_for_lock(connection: sa.Connection) -> bool:
    """Return whether a transaction waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    return bool(connection.execute(sa.text(waiting)).scalar_one())


def wait_for_lock(engine: sa.Engine) -> None:
    """Return once a transaction waits for a lock.

    Each look is a transaction of its own: in one, PostgreSQL repeats its first answer.
    """
    deadline = time.monotonic() + GENEROUS_S
    while time.monotonic() < deadline:
        with engine.connect() as connection:
            if is_waiting_for_lock(connection):
                return
    raise TimeoutError


async def lapse(store: Store) -> None:
    """Let every lease and every pause run out."""
    for table in (tables.THREADS, tables.SUMMARIES):
        over = sa.update(table).where(table.c.lease_until.is_not(None)).values(lease_until=LONG_AGO)
        await store.run(sa.Connection.execute, over)
