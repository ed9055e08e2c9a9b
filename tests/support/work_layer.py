"""The work layer as a test drives it: store, model and adapter around a real Inbox and Worker."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta

import sqlalchemy as sa

from bot.domain.sessions import IdleLimits
from bot.llm import LLM, NO_PARAMETERS, Done, Parameters
from bot.prompt.budget import Budget
from bot.prompt.history import ChatMessage
from bot.store.engine import Store
from bot.store.tables import turns
from bot.testing import SettableClock
from bot.turns.answer import Responder
from bot.turns.failed_deliveries import FailedDeliveries
from bot.turns.fair_queue import Limits
from bot.turns.handler import TurnHandler
from bot.turns.inbox import Inbox
from bot.turns.leases import LEASE
from bot.turns.summariser import Summariser
from bot.turns.worker import Worker
from tests.support.recording_adapter import RecordingAdapter

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
        self.clerk = TurnHandler(
            store, responder, [self.adapter], clock.now, MAX_ATTEMPTS, idle=IDLE, summariser=self.summariser
        )
        self.worker = Worker(store, self.clerk, owner=owner, clock=clock.now, limits=limits, lease=lease)
        self.refusals = FailedDeliveries(store, clock=clock.now)
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
