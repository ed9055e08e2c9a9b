"""The store as a test drives it: accept, claim, settle, reset and sweep, at a time that the test sets."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bot.events import Author, MessageReceived, ResetRequested, Thread
from bot.history import Turn
from bot.sessions import ResetOutcome
from bot.store import claims, inbox, sessions
from bot.store import history as past
from bot.store.claims import Claim, Settled, State
from bot.store.engine import Store
from bot.testing import SettableClock
from tests.builders import DAY

MINUTE = timedelta(minutes=1)


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
        outcome, _ = await self.store.run(inbox.accept_reset, asked, now=self.now)
        return outcome

    async def reset(self, thread: Thread, author: Author) -> ResetOutcome:
        """What became of a reset asked for elsewhere."""
        outcome, _ = await self.store.run(inbox.reset, thread, author, now=self.now)
        return outcome

    async def claim(self, thread_id: int, owner: str = "one") -> Claim | None:
        """A claim with a lease of one minute."""
        until = self.now + MINUTE
        return await self.store.run(claims.claim, thread_id, owner=owner, now=self.now, lease_until=until)

    async def claimed(self, thread_id: int, owner: str = "one") -> Claim:
        """A claim that must succeed."""
        claim = await self.claim(thread_id, owner)
        assert claim is not None
        return claim

    async def settle(self, claim: Claim, answer: str = "answered", state: State = State.ANSWERED) -> bool:
        """Whether the claim could still settle its turn."""
        return await self.store.run(claims.settle, claim, Settled(state, answer), now=self.now)

    async def answer(self, message: MessageReceived, answer: str = "answered") -> Claim:
        """Accept, claim and settle in one go."""
        claim = await self.claimed(await self.accepted(message))
        assert await self.settle(claim, answer)
        return claim

    async def sweep(self, batch: int = 100) -> int:
        """How many idle sessions one batch of the sweep closed."""
        return await self.store.run(sessions.expire, now=self.now, idle_after=DAY, batch=batch)

    async def past(self, claim: Claim, budget: int = 100_000) -> list[Turn]:
        """The turns before this one."""
        assert claim.session_id is not None
        return await self.store.run(past.before, claim.session_id, claim.turn_id, budget_tokens=budget)

    async def rows(self, table: sa.Table) -> Sequence[sa.Row[*tuple[Any, ...]]]:
        """Every row, in the order of its id."""
        query = sa.select(table).order_by(table.c.id)
        return await self.store.run(lambda connection: connection.execute(query).all())


def texts(claim: Claim) -> list[str]:
    """What is to be answered."""
    return [said.text for said in claim.said]
