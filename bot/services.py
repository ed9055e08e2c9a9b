"""The services below the edges: the object graph of the work layer, opened and closed in order.

Rule: this file closes everything that it opens, in the opposite order: first the work, then the store.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.config.settings import Settings
from bot.domain.sessions import IdleLimits
from bot.errors import StoreUnavailable
from bot.llm import LLM
from bot.llm.circuit_breaker import CircuitBreaker
from bot.llm.from_settings import open_model
from bot.llm.patience import PatientModel
from bot.ops.expiry_warnings import ExpiryWarnings
from bot.ops.scheduler import Scheduler
from bot.prompt import persona
from bot.prompt.budget import budget_for
from bot.store import installation, schema
from bot.store.engine import Store
from bot.tools.set_preferences import cost_of_tools
from bot.turns.adapter import Adapter
from bot.turns.assistant import Assistant
from bot.turns.caller_places import CallerPlaces
from bot.turns.chat_service import ChatService
from bot.turns.chat_sessions import ChatSessions
from bot.turns.failed_deliveries import FailedDeliveries
from bot.turns.fair_queue import Limits
from bot.turns.handler import TurnHandler
from bot.turns.inbox import Inbox
from bot.turns.leases import LeaseKeeper
from bot.turns.open_sessions import OpenSessions
from bot.turns.personal_data import PersonalData
from bot.turns.policies import DURABLE, WITHDRAWABLE
from bot.turns.request_limiter import RequestLimiter
from bot.turns.service import TurnService
from bot.turns.session_locks import SessionLocks
from bot.turns.summariser import Summariser
from bot.turns.worker import Worker

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Services:
    """The services without a chat platform: the HTTP API and the Python API need no more."""

    store: Store
    leases: LeaseKeeper
    summariser: Summariser
    assistant: Assistant
    chat_service: ChatService
    sessions: OpenSessions
    chat_sessions: ChatSessions
    scheduler: Scheduler

    @property
    def running(self) -> int:
        """How many answers run here."""
        return self.chat_service.running

    @property
    def gauges(self) -> dict[str, Callable[[], int]]:
        """The counts of this process that its health page shows."""
        nothing = dict.fromkeys(("running", "waiting", "failed_deliveries"), int)
        return {**nothing, "requests": lambda: self.chat_service.running}


@dataclass(frozen=True, slots=True)
class PlatformServices(Services):
    """The services with a chat platform."""

    inbox: Inbox
    worker: Worker
    personal_data: PersonalData
    failed_deliveries: FailedDeliveries

    @property
    def running(self) -> int:
        """How many answers run here."""
        return self.chat_service.running + self.worker.running

    @property
    def gauges(self) -> dict[str, Callable[[], int]]:
        """The counts of this process that its health page shows."""
        return {
            "running": lambda: self.worker.running,
            "waiting": lambda: self.worker.waiting,
            "requests": lambda: self.chat_service.running,
            "failed_deliveries": lambda: self.failed_deliveries.unsaved,
        }


def utc_now() -> datetime:
    """Return the wall clock's time."""
    return datetime.now(UTC)


def new_id() -> str:
    """Return a random UUID, which cannot be guessed."""
    return str(uuid.uuid4())


@asynccontextmanager
async def open_services(
    settings: Settings, *, clock: Clock = utc_now, llm: LLM | None = None
) -> AsyncIterator[Services]:
    """Open the services of the HTTP API and Python: bring the database up to date, and start the scheduler."""
    async with _services(settings, clock, llm) as parts:
        parts.scheduler.start()
        try:
            yield parts
        finally:
            parts.scheduler.stop()


@asynccontextmanager
async def open_platform_services(
    settings: Settings, adapters: Sequence[Adapter], *, clock: Clock = utc_now, llm: LLM | None = None
) -> AsyncIterator[PlatformServices]:
    """Open the services with a chat platform: bring the database up to date, start the worker and the scheduler."""
    async with AsyncExitStack() as stack:
        parts, idle = await stack.enter_async_context(_services(settings, clock, llm)), _idle(settings)
        store, leases = parts.store, parts.leases
        turns = TurnService(store, parts.assistant, parts.summariser, DURABLE, clock=clock, idle=idle)
        handler = TurnHandler(store, turns, parts.assistant, adapters, clock=clock, max_attempts=settings.max_attempts)
        worker = Worker(store, handler, leases, clock=clock, limits=_limits(settings))
        failed_deliveries = FailedDeliveries(store, clock=clock)
        stack.push_async_callback(_save, failed_deliveries)
        warnings = _warnings(settings, store, adapters, clock, idle)
        parts.scheduler.add_platform_jobs(worker, failed_deliveries, warnings)
        parts.scheduler.start()
        stack.callback(parts.scheduler.stop)  # after the worker has stopped, because the scheduler renews its leases
        stack.push_async_callback(worker.stop, settings.drain_seconds)
        await worker.poll()
        inbox = Inbox(store, worker, leases, failed_deliveries, clock=clock, new_id=new_id, idle=idle)
        personal_data = PersonalData(store, leases, clock=clock)
        yield PlatformServices(
            store=store,
            leases=leases,
            summariser=parts.summariser,
            assistant=parts.assistant,
            chat_service=parts.chat_service,
            sessions=parts.sessions,
            chat_sessions=parts.chat_sessions,
            scheduler=parts.scheduler,
            inbox=inbox,
            worker=worker,
            personal_data=personal_data,
            failed_deliveries=failed_deliveries,
        )


@asynccontextmanager
async def _services(settings: Settings, clock: Clock, llm: LLM | None) -> AsyncIterator[Services]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings))
        if llm is None:
            llm = await stack.enter_async_context(open_model(settings))
        shared, patient = persona.load(settings.persona_file), _patient(settings, llm, clock)
        tools_cost, idle = cost_of_tools(settings), _idle(settings)
        budget = budget_for(settings, shared, extra_tokens=tools_cost, clock=clock)
        leases = LeaseKeeper(store, owner=_owner(), clock=clock)
        summariser = Summariser(store, patient, budget, leases, clock=clock)
        stack.push_async_callback(summariser.stop)
        assistant = Assistant(patient, persona=shared, budget=budget, extra_tokens=tools_cost)
        turns = TurnService(store, assistant, summariser, WITHDRAWABLE, clock=clock, idle=idle)
        limiter = RequestLimiter(most=settings.max_running_turns, most_of_one=settings.max_running_turns_per_workspace)
        locks = SessionLocks(timeout_s=settings.gateway_wait_seconds)
        chat = ChatService(
            turns, assistant, leases, limiter=limiter, locks=locks, clock=clock, new_id=new_id, idle=idle
        )
        stack.push_async_callback(chat.stop)
        sessions = OpenSessions(store, leases, clock=clock)
        places = CallerPlaces(await store.run(installation.secret))
        chat_sessions = ChatSessions(store, turns, sessions, clock=clock, idle=idle, places=places)
        scheduler = Scheduler(store, leases, clock=clock, idle=idle, retention=settings.retention)
        yield Services(store, leases, summariser, assistant, chat, sessions, chat_sessions, scheduler)


def _patient(settings: Settings, llm: LLM, clock: Clock) -> PatientModel:
    return PatientModel(
        CircuitBreaker(llm, clock=clock),
        patience_s=settings.model_patience_seconds,
        silence_s=settings.model_timeout_seconds,
    )


def _idle(settings: Settings) -> IdleLimits:
    return IdleLimits(settings.idle_after, settings.idle_after_by_channel)


@asynccontextmanager
async def open_store(settings: Settings, *, must_exist: bool = False) -> AsyncIterator[Store]:
    """Open the database that the settings name, up to date. With `must_exist` no new file is created."""
    store = Store(settings.database_url.get_secret_value(), must_exist=must_exist)
    try:
        await store.check()
        await store.run(schema.upgrade)
        yield store
    finally:
        await store.close()


async def _save(failed_deliveries: FailedDeliveries) -> None:
    with suppress(StoreUnavailable):  # the process ends: there is no later time
        await failed_deliveries.save()


def _warnings(
    settings: Settings, store: Store, adapters: Sequence[Adapter], clock: Clock, idle: IdleLimits
) -> ExpiryWarnings | None:
    ahead = settings.warn_ahead
    return ExpiryWarnings(store, adapters, clock=clock, idle=idle, ahead=ahead) if ahead is not None else None


def _limits(settings: Settings) -> Limits:
    return Limits(
        settings.max_running_turns,
        settings.max_running_turns_per_workspace,
        settings.max_running_turns_per_person,
        settings.max_waiting_turns,
    )


def _owner() -> str:
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
