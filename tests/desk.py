"""The work layer as a test drives it: store, model and adapter around a real Inbox and Worker."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta

import sqlalchemy as sa

from bot.budget import Budget
from bot.clerk import Clerk
from bot.held import LEASE
from bot.history import ChatMessage
from bot.inbox import Inbox
from bot.llm import LLM, NO_PARAMETERS, Done, Parameters
from bot.refusals import Refusals
from bot.responder import Responder
from bot.sessions import IdleLimits
from bot.store.engine import Store
from bot.store.tables import turns
from bot.summariser import Summariser
from bot.testing import SettableClock
from bot.turnstile import Limits
from bot.worker import Worker
from tests.recording_adapter import RecordingAdapter

IDLE = IdleLimits(timedelta(hours=24))
MAX_ATTEMPTS = 3
WIDE = Limits(total=100, per_workspace=100, per_person=100, waiting=1_000)


class Desk:
    """One process's worth of bot: several of them on one store are several replicas."""

    def __init__(
        self,
        store: Store,
        llm: LLM,
        clock: SettableClock,
        *,
        owner: str = "here",
        limits: Limits = WIDE,
        adapter: RecordingAdapter | None = None,
        budget: Budget | None = None,
        lease: timedelta = LEASE,
    ) -> None:
        self.store = store
        self.adapter = adapter or RecordingAdapter()
        budget = budget or Budget(window_tokens=100_000, answer_tokens=1_000, history_tokens=1_000)
        self.summariser = Summariser(store, llm, budget, clock=clock.now)
        responder = Responder(llm, persona="You are helpful.", budget=budget)
        self.clerk = Clerk(
            store, responder, [self.adapter], clock.now, MAX_ATTEMPTS, idle=IDLE, summariser=self.summariser
        )
        self.worker = Worker(store, self.clerk, owner=owner, clock=clock.now, limits=limits, lease=lease)
        self.refusals = Refusals(store, clock=clock.now)
        ids = (f"{owner}-{number}" for number in itertools.count())
        self.inbox = Inbox(store, self.worker, self.refusals, clock=clock.now, new_id=lambda: next(ids), idle=IDLE)

    async def turns(self) -> Sequence[sa.Row[*tuple[object, ...]]]:
        """Every turn, oldest first."""
        return await self.store.run(lambda connection: connection.execute(sa.select(turns).order_by(turns.c.id)).all())


class Echo:
    """A model that says back what it was asked last; for tests in which the order of its calls is open."""

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[str | Done]:
        """The newest message, in one piece."""
        del parameters
        yield messages[-1]["content"]
        yield Done("echo", None)
