"""The store as a test drives it: accept, claim, settle, reset and sweep, at a time that the test sets."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bot.domain.events import (
    Author,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    ResetRequested,
    StopRequested,
    Thread,
)
from bot.domain.sessions import EditOutcome, IdleLimits, ResetOutcome, StopOutcome
from bot.prompt.history import Turn
from bot.store import claims, edits, erasure, inbox, sessions, tables
from bot.store import history as past
from bot.store.claims import Claim, PlatformClaim
from bot.store.engine import Store
from bot.store.erasure import Scope
from bot.store.leases import LeaseRequest
from bot.store.settlement import Settlement, TurnState
from bot.testing import SettableClock
from tests.support.builders import DAY, NOON

A_DAY = IdleLimits(DAY)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Books:
    """Store functions with the arguments that most tests do not care about. Sessions are named s1, s2, … ."""

    def __init__(self, store: Store, clock: SettableClock) -> None:
        self.store = store
        self._clock = clock
        self._ids = (f"s{number}" for number in itertools.count(1))

    @property
    def now(self) -> datetime:
        """What the clock shows. It may be set."""
        return self._clock.now()

    @now.setter
    def now(self, moment: datetime) -> None:
        self._clock.advance(moment - self._clock.now())

    def new_id(self) -> str:
        """The next session's name."""
        return next(self._ids)

    async def accept(self, message: MessageReceived) -> int | None:
        """The thread's id, or None when the message is ignored or known."""
        return await self.store.run(inbox.accept, message, now=self.now, new_id=next(self._ids), idle_after=DAY)

    async def accepted(self, message: MessageReceived) -> int:
        """The thread's id of a message that must be accepted."""
        thread_id = await self.accept(message)
        assert thread_id is not None
        return thread_id

    async def accept_reset(self, asked: ResetRequested) -> ResetOutcome | None:
        """What became of a reset written in the thread, or None when it is ignored or known."""
        new_id = f"since {asked.message_id}"  # of a session for what was written later, but arrived before
        outcome, _ = await self.store.run(inbox.accept_reset, asked, now=self.now, new_id=new_id)
        return outcome

    async def reset(self, thread: Thread, author: Author) -> ResetOutcome:
        """What became of a reset asked for elsewhere."""
        return await self.store.run(inbox.reset, thread, author, now=self.now)

    async def accept_stop(self, asked: StopRequested) -> StopOutcome | None:
        """What became of a request to stop, or None when it is ignored or known."""
        outcome, _ = await self.store.run(inbox.accept_stop, asked, now=self.now)
        return outcome

    async def accept_edit(self, edited: MessageEdited) -> EditOutcome:
        """What became of an edit."""
        outcome, _ = await self.store.run(
            edits.accept_edit, edited, now=self.now, new_id=next(self._ids), idle_after=DAY
        )
        return outcome

    async def accept_deletion(self, deleted: MessageDeleted) -> bool:
        """Whether a running answer is to end, or to begin again."""
        return await self.store.run(edits.accept_deletion, deleted, now=self.now)

    async def forget(self, author: Author) -> int:
        """How many messages somebody wrote, who is forgotten now."""
        return await self.erase(Scope("desk", "T1", person=author.id))

    async def erase(self, scope: Scope) -> int:
        """How many messages were in scope, which are erased now."""
        total = 0
        while erased := await self.store.run(erasure.erase, scope, now=self.now, batch=3):
            total += erased
        return total

    async def claim(self, thread_id: int, owner: str = "one") -> PlatformClaim | None:
        """A claim with a lease of one minute."""
        return await self.store.run(claims.claim, self.lease(owner), thread_id)

    def lease(self, owner: str = "one", length: timedelta = MINUTE) -> LeaseRequest:
        """A request for a lease, at this moment."""
        return LeaseRequest(owner, self.now, length)

    async def claimed(self, thread_id: int, owner: str = "one") -> PlatformClaim:
        """A claim that must succeed."""
        claim = await self.claim(thread_id, owner)
        assert claim is not None
        return claim

    async def lapse(self) -> None:
        """Every lease and every pause runs out, by whichever clock it is measured."""
        await lapse(self.store)

    async def taken_over(self, claim: PlatformClaim, owner: str = "two") -> PlatformClaim:
        """The same turn, claimed by somebody else after its owner died."""
        await self.lapse()
        return await self.claimed(claim.thread_id, owner)

    async def settle(
        self, claim: PlatformClaim, answer: str = "answered", state: TurnState = TurnState.ANSWERED
    ) -> bool:
        """Whether the claim could still settle its turn."""
        return await self.store.run(claims.settle, claim, Settlement(state, answer), now=self.now)

    async def answer(self, message: MessageReceived, answer: str = "answered") -> PlatformClaim:
        """Accept, claim and settle in one go."""
        claim = await self.claimed(await self.accepted(message))
        assert await self.settle(claim, answer)
        return claim

    async def sweep(self, batch: int = 100, idle: IdleLimits = A_DAY) -> int:
        """How many idle sessions one batch of the sweep closed."""
        return await self.store.run(sessions.expire, now=self.now, idle=idle, batch=batch)

    async def past(self, claim: Claim, budget: int = 100_000) -> list[Turn]:
        """The turns before this one."""
        assert claim.session_id is not None
        found = await self.store.run(past.before, claim.session_id, claim.turn_id, budget_tokens=budget)
        return list(found.turns)

    async def rows(self, table: sa.Table) -> Sequence[sa.Row[*tuple[Any, ...]]]:
        """Every row, in the order of its id."""
        query = sa.select(table).order_by(table.c.id)
        return await self.store.run(lambda connection: connection.execute(query).all())


def add_sessions(connection: sa.Connection, count: int) -> None:
    """Open sessions, each in a thread of its own, that did nothing since noon."""
    place = {"platform": "desk", "workspace": "T1", "channel": "C9", "direct": False, "engaged": True}
    connection.execute(sa.insert(tables.THREADS), [{**place, "id": n, "root": str(n)} for n in range(1, count + 1)])
    row = {"opened_at": NOON, "last_active_at": NOON, "follows_expired": False}
    rows = [{**row, "id": f"s{n}", "thread_id": n} for n in range(1, count + 1)]
    connection.execute(sa.insert(tables.SESSIONS), rows)


def texts(claim: PlatformClaim) -> list[str]:
    """What is to be answered."""
    return [utterance.text for utterance in claim.utterances]


def somebody_waits(connection: sa.Connection) -> bool:
    """Whether a transaction waits for another one to end."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    return bool(connection.execute(sa.text(waiting)).scalar_one())


async def lapse(store: Store) -> None:
    """Every lease and every pause runs out."""
    for table in (tables.THREADS, tables.SUMMARIES):
        over = sa.update(table).where(table.c.lease_until.is_not(None)).values(lease_until=LONG_AGO)
        await store.run(sa.Connection.execute, over)
