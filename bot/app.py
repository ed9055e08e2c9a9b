"""Settings in, running bot out: the only file that knows everyone.

Rule: what is opened here is closed here, in the opposite order: intake first, then the work, then what it stands on.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from bot.config.settings import Settings
from bot.domain.sessions import IdleLimits
from bot.errors import StoreUnavailable
from bot.gateway.server import Gateway
from bot.llm import LLM
from bot.llm.circuit_breaker import CircuitBreaker
from bot.llm.openai import OpenAI
from bot.llm.stub_server import StubServer
from bot.ops import health
from bot.ops.expiry_warnings import ExpiryWarnings
from bot.ops.scheduler import Scheduler
from bot.prompt import persona
from bot.prompt.budget import budget_for
from bot.slack.client import open_client
from bot.slack.inbound.bolt_app import build_app
from bot.slack.inbound.socket_mode import SocketMode
from bot.slack.inbound.transport import PATH, HttpMode, connect
from bot.slack.outbound.adapter import SlackAdapter
from bot.slack.startup_checks import identify
from bot.store import api_keys as key_rows
from bot.store import schema
from bot.store.engine import Store
from bot.store.metrics import figures
from bot.tools.set_preferences import cost_of_tools
from bot.turns.adapter import Adapter
from bot.turns.assistant import Assistant
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

STAND_IN = "a stand-in, because neither OPENAI_API_KEY nor OPENAI_BASE_URL is set"


@dataclass(frozen=True, slots=True)
class Services:
    """The working parts without a chat platform: all that the HTTP API and Python need."""

    store: Store
    leases: LeaseKeeper
    summariser: Summariser
    assistant: Assistant
    chat: ChatService
    sessions: OpenSessions
    chat_sessions: ChatSessions
    scheduler: Scheduler

    @property
    def running(self) -> int:
        """How many answers run here."""
        return self.chat.running


@dataclass(frozen=True, slots=True)
class PlatformServices(Services):
    """The working parts with a chat platform."""

    inbox: Inbox
    worker: Worker
    personal_data: PersonalData
    failed_deliveries: FailedDeliveries

    @property
    def running(self) -> int:
        """How many answers run here."""
        return self.chat.running + self.worker.running


S = TypeVar("S", bound=Services)


@dataclass(frozen=True, slots=True)
class Bot(Generic[S]):
    """A connected bot: its working parts, and where it is, in words."""

    services: S
    where: str


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def new_id() -> str:
    """A UUID that nobody can guess."""
    return str(uuid.uuid4())


@asynccontextmanager
async def slack_bot(settings: Settings, *, clock: Clock = utc_now) -> AsyncIterator[Bot[PlatformServices]]:
    """The whole bot, connected to the Slack that the settings name. Raises StartupError when it cannot be."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(open_client(settings))
        identity = await identify(client)
        adapter = SlackAdapter(client, identity, clock=clock, streaming=settings.slack_streaming)
        parts = await stack.enter_async_context(platform_services(settings, [adapter], clock=clock))
        bolt = build_app(client, identity, parts.inbox, parts.sessions, parts.personal_data, settings, clock=clock)
        connection = await stack.enter_async_context(connect(bolt, settings))
        if settings.health_port is not None:
            await stack.enter_async_context(_health(settings, settings.health_port, parts, clock, connection))
        where = f"http://{settings.host}:{connection.port}{PATH}" if isinstance(connection, HttpMode) else "Socket Mode"
        where = f"in {identity.team_name} by {where}"
        if settings.gateway_port is not None:
            port = await stack.enter_async_context(_gateway(settings, parts, clock).served(settings.gateway_port))
            where += f" and {await _at(settings, port, parts)}"
        yield Bot(parts, where)


@asynccontextmanager
async def gateway_bot(settings: Settings, *, clock: Clock = utc_now) -> AsyncIterator[Bot[Services]]:
    """The bot behind its HTTP API alone. Raises StartupError when it cannot be served."""
    port = settings.port if settings.gateway_port is None else settings.gateway_port
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(services(settings, clock=clock))
        if settings.health_port is not None:
            await stack.enter_async_context(_health(settings, settings.health_port, parts, clock))
        served = await stack.enter_async_context(
            _gateway(settings, parts, clock).served(port, "--port or GATEWAY_PORT")
        )
        yield Bot(parts, await _at(settings, served, parts))


def _gateway(settings: Settings, parts: Services, clock: Clock) -> Gateway:
    return Gateway(parts.store, parts.chat, parts.chat_sessions, settings, clock=clock, new_id=new_id)


async def _at(settings: Settings, port: int, parts: Services) -> str:
    """Where the gateway is, and whether anybody could ask there."""
    address = f"at http://{settings.host}:{port}{settings.gateway_prefixes[0]}"
    known = await parts.store.run(key_rows.every)
    return address if known else f"{address} (without a key yet: attendant keys create NAME)"


@asynccontextmanager
async def services(settings: Settings, *, clock: Clock = utc_now, llm: LLM | None = None) -> AsyncIterator[Services]:
    """The working parts without a chat platform, at work: database up to date, scheduler running."""
    async with _services(settings, clock, llm) as parts:
        parts.scheduler.start()
        try:
            yield parts
        finally:
            parts.scheduler.stop()


@asynccontextmanager
async def platform_services(
    settings: Settings, adapters: Sequence[Adapter], *, clock: Clock = utc_now, llm: LLM | None = None
) -> AsyncIterator[PlatformServices]:
    """The working parts with a chat platform, at work: database up to date, worker and scheduler running."""
    async with AsyncExitStack() as stack:
        parts, idle = await stack.enter_async_context(_services(settings, clock, llm)), _idle(settings)
        store, leases = parts.store, parts.leases
        turns = TurnService(store, parts.assistant, parts.summariser, DURABLE, clock=clock, idle=idle)
        handler = TurnHandler(store, turns, parts.assistant, adapters, clock=clock, max_attempts=settings.max_attempts)
        worker = Worker(store, handler, leases, clock=clock, limits=_limits(settings))
        failed_deliveries = FailedDeliveries(store, clock=clock)
        stack.push_async_callback(_keep, failed_deliveries)
        scheduler = Scheduler(
            store,
            leases,
            worker,
            failed_deliveries,
            clock=clock,
            idle=idle,
            retention=settings.retention,
            forewarning=_forewarning(settings, store, adapters, clock, idle),
        )
        scheduler.start()
        stack.callback(scheduler.stop)  # after the worker has stopped, whose leases it keeps
        stack.push_async_callback(worker.stop, settings.drain_seconds)
        await worker.poll()
        inbox = Inbox(store, worker, leases, failed_deliveries, clock=clock, new_id=new_id, idle=idle)
        personal_data = PersonalData(store, leases, clock=clock)
        shared = {field.name: getattr(parts, field.name) for field in dataclasses.fields(parts)}
        yield PlatformServices(
            **shared | {"scheduler": scheduler},
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
        breaker, shared = CircuitBreaker(llm, clock=clock), persona.load(settings.persona_file)
        tools_cost, idle = cost_of_tools(settings), _idle(settings)
        budget = budget_for(settings, shared, besides=tools_cost)
        leases = LeaseKeeper(store, owner=_owner(), clock=clock)
        summariser = Summariser(store, breaker, budget, leases, clock=clock)
        stack.push_async_callback(summariser.stop)
        assistant = Assistant(breaker, persona=shared, budget=budget, besides=tools_cost)
        turns = TurnService(store, assistant, summariser, WITHDRAWABLE, clock=clock, idle=idle)
        limiter = RequestLimiter(most=settings.max_running_turns, most_of_one=settings.max_running_turns_per_workspace)
        locks = SessionLocks(timeout_s=settings.gateway_wait_seconds)
        chat = ChatService(
            turns, assistant, leases, limiter=limiter, locks=locks, clock=clock, new_id=new_id, idle=idle
        )
        stack.push_async_callback(chat.stop)
        sessions = OpenSessions(store, leases, clock=clock)
        chat_sessions = ChatSessions(store, turns, sessions, clock=clock, idle=idle)
        scheduler = Scheduler(store, leases, clock=clock, idle=idle, retention=settings.retention)
        yield Services(store, leases, summariser, assistant, chat, sessions, chat_sessions, scheduler)


def _idle(settings: Settings) -> IdleLimits:
    return IdleLimits(settings.idle_after, settings.idle_after_by_channel)


@asynccontextmanager
async def open_model(settings: Settings) -> AsyncIterator[LLM]:
    """The model that the settings name, over the openai client."""
    model = OpenAI(
        model=settings.openai_model,
        silence_s=settings.model_timeout_seconds,
        max_streams=settings.max_running_turns,
        api_key=settings.openai_api_key,
        base_url=settings.openai_base_url,
        tools=settings.openai_tools == "auto",
    )
    try:
        yield model
    finally:
        await model.aclose()


async def _keep(failed_deliveries: FailedDeliveries) -> None:
    with suppress(StoreUnavailable):  # there is no later time
        await failed_deliveries.keep()


def _health(
    settings: Settings, port: int, parts: Services, clock: Clock, connection: SocketMode | HttpMode | None = None
) -> AbstractAsyncContextManager[int]:
    platform = parts if isinstance(parts, PlatformServices) else None

    async def database() -> bool:
        await parts.store.run_urgent(lambda c: c.exec_driver_sql("SELECT 1"))
        return True

    async def slack() -> bool:
        return connection is not None and connection.connected > 0

    async def worker() -> bool:
        return platform is not None and not platform.worker.stopping

    async def scheduler() -> bool:
        return parts.scheduler.running

    def not_kept() -> int:
        return platform.failed_deliveries.not_kept if platform else 0

    async def counts() -> Mapping[str, int]:
        found = await parts.store.run(figures, now=clock())
        return {
            "owed": found.owed_messages,
            "oldest_owed_seconds": round(found.oldest_owed_seconds),
            "takeovers": found.taken_over_turns,
            "refusals": found.refused_deliveries + not_kept(),
        }

    checks = {"database": database, "scheduler": scheduler}
    return health.served(
        settings.host,
        port,
        checks | ({"slack": slack} if connection else {}) | ({"worker": worker} if platform else {}),
        {
            "running": lambda: platform.worker.running if platform else 0,
            "waiting": lambda: platform.worker.waiting if platform else 0,
            "asking": lambda: parts.chat.running,
            "refusals": not_kept,
        },
        counts,
    )


@asynccontextmanager
async def open_store(settings: Settings, *, there: bool = False) -> AsyncIterator[Store]:
    """The database that the settings name, up to date. `there`: it is to be there already."""
    store = Store(settings.database_url, there=there)
    try:
        await store.check()
        await store.run(schema.upgrade)
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def with_model(settings: Settings) -> AsyncIterator[Settings]:
    """The settings; with the stand-in running, and named as the backend, where no model is set."""
    if not settings.uses_stand_in:
        yield settings
        return
    stand_in = StubServer()
    try:
        base_url = await stand_in.start()
        yield dataclasses.replace(settings, openai_base_url=base_url, openai_model="stand-in")
    finally:
        await stand_in.stop()


def _forewarning(
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


def model_name(settings: Settings) -> str:
    return STAND_IN if settings.uses_stand_in else settings.openai_model


def _owner() -> str:
    return f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
