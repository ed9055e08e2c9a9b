"""The work layer for tests: a real Inbox and Worker, with a store, a model and a recording adapter."""

from __future__ import annotations

import itertools
import threading
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from bot.domain.sessions import IdleLimits
from bot.files.extractor import Extractor
from bot.files.limits import FileLimits
from bot.llm import LLM, NO_PARAMETERS, Done, Parameters
from bot.prompt.budget import Budget
from bot.prompt.compose import PromptParts
from bot.prompt.history import ChatMessage
from bot.store.engine import Store
from bot.store.tables import TURNS
from bot.testing import SettableClock
from bot.turns.answer import AnswerStream
from bot.turns.assistant import Assistant
from bot.turns.failed_deliveries import FailedDeliveries
from bot.turns.fair_queue import Limits
from bot.turns.file_reader import FileReader
from bot.turns.handler import TurnHandler
from bot.turns.inbox import Inbox
from bot.turns.leases import LEASE, LeaseKeeper
from bot.turns.open_sessions import OpenSessions
from bot.turns.personal_data import PersonalData
from bot.turns.policies import DURABLE
from bot.turns.service import TurnService
from bot.turns.summariser import Summariser
from bot.turns.token_accounts import TokenAccounts
from bot.turns.worker import Worker
from tests.support.recording_adapter import RecordingAdapter

IDLE = IdleLimits(timedelta(hours=24))
MAX_ATTEMPTS = 3
MOST_FILE_BYTES = 1_000_000
WIDE = Limits(total=100, per_workspace=100, per_person=100, waiting=1_000)


class WorkLayer:
    """The work layer of one process. Several of them on one store are replicas."""

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
        self.leases = LeaseKeeper(store, owner=owner, clock=clock.now, length=lease)
        accounts = TokenAccounts(store, tokens_per_minute=1_000_000, clock=clock.now)
        self.summariser = Summariser(store, llm, budget, self.leases, accounts, clock=clock.now)
        self.assistant = RecordingAssistant(llm, persona="You are helpful.", budget=budget)
        service = TurnService(store, self.assistant, self.summariser, DURABLE, clock=clock.now, idle=IDLE)
        redactor = self.assistant.redactor
        files = FileReader(
            store, [self.adapter], Extractor(FileLimits()), most_bytes=MOST_FILE_BYTES, redactor=redactor
        )
        self.handler = TurnHandler(
            store,
            service,
            self.assistant,
            [self.adapter],
            files,
            clock=clock.now,
            max_attempts=MAX_ATTEMPTS,
        )
        self.worker = Worker(store, self.handler, self.leases, clock=clock.now, limits=limits)
        self.failed_deliveries = FailedDeliveries(store, clock=clock.now)
        ids = (f"{owner}-{number}" for number in itertools.count())
        self.inbox = Inbox(
            store,
            self.worker,
            self.failed_deliveries,
            clock=clock.now,
            new_id=lambda: next(ids),
            idle=IDLE,
            redactor=redactor,
        )
        self.sessions = OpenSessions(store, self.leases, clock=clock.now)
        self.personal_data = PersonalData(
            store, self.leases, self.handler.languages, clock=clock.now, redactor=redactor
        )

    async def turns(self) -> Sequence[sa.Row[*tuple[object, ...]]]:
        """Return every turn, oldest first."""
        return await self.store.run(lambda connection: connection.execute(sa.select(TURNS).order_by(TURNS.c.id)).all())


class RecordingAssistant(Assistant):
    """An assistant that records its answers, and the threads that composed their prompts."""

    def __init__(self, llm: LLM, *, persona: str, budget: Budget) -> None:
        super().__init__(llm, persona=persona, budget=budget)
        self.answers: list[AnswerStream] = []
        self.threads: list[str] = []

    def answer(self, parts: PromptParts, **how: Any) -> AnswerStream:
        """See Assistant.answer."""
        self.threads.append(threading.current_thread().name)
        self.answers.append(answer := super().answer(parts, **how))
        return answer


class Echo:
    """A model that repeats the newest message. For tests in which the order of its calls may vary."""

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[str | Done]:
        """Yield the newest message in one piece."""
        del parameters
        yield messages[-1]["content"]
        yield Done("echo", None)
