"""The services below the edges: the object graph of the work layer, opened and closed in order.

Rule: this file closes everything that it opens, in the opposite order: first the work, then the store.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from bot.access.redaction import Redactor
from bot.config.settings import Settings
from bot.domain.listening import ThreadAnswers
from bot.domain.sessions import IdleLimits
from bot.errors import NoDatabase, StoreUnavailable
from bot.files.extractor import Extractor
from bot.files.limits import FileLimits
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
from bot.turns.erased_files import ErasedFiles
from bot.turns.failed_deliveries import FailedDeliveries
from bot.turns.fair_queue import Limits
from bot.turns.file_reader import FileReader
from bot.turns.handler import TurnHandler
from bot.turns.inbox import Inbox
from bot.turns.leases import LeaseKeeper
from bot.turns.lock_keeper import LockKeeper
from bot.turns.open_sessions import OpenSessions
from bot.turns.personal_data import PersonalData
from bot.turns.policies import DURABLE, WITHDRAWABLE
from bot.turns.request_limiter import RequestLimiter
from bot.turns.service import TurnService
from bot.turns.session_locks import SessionLocks
from bot.turns.summariser import Summariser
from bot.turns.summary_queue import AT_ONCE, OF_CALLERS_AT_ONCE
from bot.turns.token_accounts import TokenAccounts
from bot.turns.worker import Worker

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]

REQUESTS_SHARE = 0.25  # of MAX_RUNNING_TURNS: beside a chat platform, API callers may run so many requests at once


@dataclass(frozen=True, slots=True)
class Services:
    """The services without a chat platform: the HTTP API and the Python API need no more."""

    store: Store
    leases: LeaseKeeper
    summariser: Summariser
    assistant: Assistant  # of the turns on a chat platform
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

    def take_over(self) -> None:
        """Take over the turns that other processes left, now and from now on.

        Call it when messages are accepted: a turn that kills every process must not keep it from accepting others.
        """
        self.scheduler.take_over(self.worker)

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
    async with _services(settings, clock, llm, most_requests=settings.max_running_turns) as parts:
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
        most_requests, idle = max(1, int(REQUESTS_SHARE * settings.max_running_turns)), _idle(settings)
        parts = await stack.enter_async_context(_services(settings, clock, llm, most_requests=most_requests))
        store, leases = parts.store, parts.leases
        turns = TurnService(store, parts.assistant, parts.summariser, DURABLE, clock=clock, idle=idle)
        most_bytes, redactor = settings.max_file_mb * 1_000_000, parts.assistant.redactor
        files = FileReader(store, adapters, _extractor(settings), most_bytes=most_bytes, redactor=redactor)
        attempts = settings.max_attempts
        handler = TurnHandler(store, turns, parts.assistant, adapters, files, clock=clock, max_attempts=attempts)
        worker = Worker(store, handler, leases, clock=clock, limits=_limits(settings))
        failed_deliveries = FailedDeliveries(store, clock=clock)
        stack.push_async_callback(_save, failed_deliveries)
        warnings = _warnings(settings, store, adapters, clock, idle)
        parts.scheduler.add_platform_jobs(failed_deliveries, ErasedFiles(store, adapters), warnings)
        parts.scheduler.start()
        stack.callback(parts.scheduler.stop)  # after the worker has stopped, because the scheduler renews its leases
        stack.push_async_callback(worker.stop, settings.drain_seconds)
        inbox = Inbox(
            store,
            worker,
            failed_deliveries,
            clock=clock,
            new_id=new_id,
            idle=idle,
            redactor=redactor,
            answers=ThreadAnswers(settings.answer_in_threads),
        )
        personal_data = PersonalData(store, leases, handler.languages, clock=clock, redactor=redactor)
        yield PlatformServices(
            **{each.name: getattr(parts, each.name) for each in fields(parts)},
            inbox=inbox,
            worker=worker,
            personal_data=personal_data,
            failed_deliveries=failed_deliveries,
        )


@asynccontextmanager
async def _services(
    settings: Settings, clock: Clock, llm: LLM | None, *, most_requests: int
) -> AsyncIterator[Services]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings))
        shared = persona.load(settings.persona_file)
        of_turns, of_requests, of_summaries = await _open_models(stack, settings, llm, clock, most_requests)
        tools_cost, idle, redactor = cost_of_tools(settings), _idle(settings), Redactor.from_settings(settings)
        budget = budget_for(settings, shared, extra_tokens=tools_cost, clock=clock)
        lock = LockKeeper(store, token := secrets.token_hex(8))
        leases = LeaseKeeper(store, owner=_owner(token), clock=clock, lock=lock)
        await stack.enter_async_context(lock.held(leases.renew))
        await leases.free_abandoned()  # at once: the process before this one may have been killed
        await leases.withdraw_abandoned()  # also what it was asked before its machine was restarted
        accounts = TokenAccounts(store, tokens_per_minute=settings.gateway_tokens_per_minute, clock=clock)
        summariser = Summariser(store, of_summaries, budget, leases, accounts, clock=clock)
        stack.push_async_callback(summariser.stop)
        assistant, api_assistant = (
            Assistant(model, persona=shared, budget=budget, extra_tokens=tools_cost, redactor=redactor)
            for model in (of_turns, of_requests)
        )
        turns = TurnService(store, api_assistant, summariser, WITHDRAWABLE, clock=clock, idle=idle)
        limiter = RequestLimiter(accounts, most=most_requests, most_of_one=settings.max_running_turns_per_workspace)
        locks = SessionLocks(timeout_s=settings.gateway_wait_seconds)
        chat = ChatService(
            turns,
            api_assistant,
            leases,
            limiter=limiter,
            locks=locks,
            clock=clock,
            new_id=new_id,
            idle=idle,
        )
        stack.push_async_callback(chat.stop)
        sessions = OpenSessions(store, leases, clock=clock)
        places = CallerPlaces(await store.run(installation.secret))
        chat_sessions = ChatSessions(store, turns, sessions, clock=clock, idle=idle, places=places)
        scheduler = Scheduler(store, leases, clock=clock, idle=idle, retention=settings.retention)
        yield Services(store, leases, summariser, assistant, chat, sessions, chat_sessions, scheduler)


async def _open_models(
    stack: AsyncExitStack, settings: Settings, llm: LLM | None, clock: Clock, most_requests: int
) -> list[PatientModel]:
    """Open a model each for turns, requests and summaries, which share one circuit breaker.

    Each has connections of its own, so that no kind of work waits for another's.
    """
    first, *others = [
        await stack.enter_async_context(nullcontext(llm) if llm is not None else open_model(settings, max_streams=most))
        for most in (settings.max_running_turns, most_requests, AT_ONCE + OF_CALLERS_AT_ONCE)
    ]
    breaker = CircuitBreaker(first, clock=clock)
    return [
        PatientModel(each, patience_s=settings.model_patience_seconds, silence_s=settings.model_timeout_seconds)
        for each in (breaker, *map(breaker.beside, others))
    ]


def _extractor(settings: Settings) -> Extractor:
    return Extractor(FileLimits(characters=settings.max_file_characters))


def _idle(settings: Settings) -> IdleLimits:
    return IdleLimits(settings.idle_after, settings.idle_after_by_channel)


@asynccontextmanager
async def open_store(settings: Settings, *, must_exist: bool = False) -> AsyncIterator[Store]:
    """Open the database that the settings name, up to date.

    With `must_exist` an empty or missing one raises NoDatabase, because DATABASE_URL is probably wrong.
    """
    store = Store(settings.database_url.get_secret_value(), must_exist=must_exist)
    try:
        await store.check()
        if must_exist and await store.run(schema.check) is None:
            raise NoDatabase(f"The database at {store.location} is empty. Check DATABASE_URL.")
        if await store.run(schema.upgrade):
            log.info("database_created", extra={"database": store.location})
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


def _owner(token: str) -> str:
    return f"{socket.gethostname()[:36]}:{os.getpid()}:{token}"
