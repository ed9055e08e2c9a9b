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
from bot.slack.inbound.http_mode import PATH, HttpMode
from bot.slack.inbound.transport import Transport, connect
from bot.slack.outbound.adapter import SlackAdapter
from bot.slack.startup_checks import identify
from bot.store import api_keys as key_rows
from bot.store import schema
from bot.store.engine import Store
from bot.store.metrics import figures
from bot.tools.set_preferences import cost_of_tools
from bot.turns.adapter import Adapter
from bot.turns.answer import Responder
from bot.turns.chat_service import ChatService
from bot.turns.failed_deliveries import FailedDeliveries
from bot.turns.fair_queue import Limits
from bot.turns.handler import TurnHandler
from bot.turns.inbox import Inbox
from bot.turns.leases import LeaseKeeper
from bot.turns.session_locks import SessionLocks
from bot.turns.summariser import Summariser
from bot.turns.worker import Worker

Clock = Callable[[], datetime]

STAND_IN = "a stand-in, because neither OPENAI_API_KEY nor OPENAI_BASE_URL is set"


@dataclass(frozen=True, slots=True)
class Desk:
    """The working parts, without any platform's door."""

    store: Store
    inbox: Inbox
    worker: Worker
    refusals: FailedDeliveries
    scheduler: Scheduler
    summariser: Summariser
    exchange: ChatService


@dataclass(frozen=True, slots=True)
class Bot:
    """A connected bot: its working parts, and where it is, in words."""

    desk: Desk
    where: str


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def new_id() -> str:
    """A UUID that nobody can guess."""
    return str(uuid.uuid4())


@asynccontextmanager
async def slack_bot(settings: Settings, *, clock: Clock = utc_now) -> AsyncIterator[Bot]:
    """The whole bot, connected to the Slack that the settings name. Raises StartupError when it cannot be."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(open_client(settings))
        identity = await identify(client)
        adapter = SlackAdapter(client, identity, clock=clock, streaming=settings.slack_streaming)
        parts = await stack.enter_async_context(desk(settings, [adapter], clock=clock))
        bolt = build_app(client, identity, parts.inbox, settings, clock=clock)
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
async def gateway_bot(settings: Settings, *, clock: Clock = utc_now) -> AsyncIterator[Bot]:
    """The bot behind its HTTP API alone. Raises StartupError when it cannot be served."""
    port = settings.port if settings.gateway_port is None else settings.gateway_port
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(desk(settings, [], clock=clock))
        if settings.health_port is not None:
            await stack.enter_async_context(_health(settings, settings.health_port, parts, clock))
        served = await stack.enter_async_context(
            _gateway(settings, parts, clock).served(port, "--port or GATEWAY_PORT")
        )
        yield Bot(parts, await _at(settings, served, parts))


def _gateway(settings: Settings, parts: Desk, clock: Clock) -> Gateway:
    return Gateway(parts.store, parts.exchange, parts.inbox, settings, clock=clock, new_id=new_id)


async def _at(settings: Settings, port: int, parts: Desk) -> str:
    """Where the gateway is, and whether anybody could ask there."""
    address = f"at http://{settings.host}:{port}{settings.gateway_prefixes[0]}"
    known = await parts.store.run(key_rows.every)
    return address if known else f"{address} (without a key yet: attendant keys create NAME)"


@asynccontextmanager
async def desk(
    settings: Settings, adapters: Sequence[Adapter], *, clock: Clock = utc_now, llm: LLM | None = None
) -> AsyncIterator[Desk]:
    """The working parts, at work: database up to date, worker and scheduler running."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings))
        if llm is None:
            llm = await stack.enter_async_context(open_model(settings))
        breaker, shared = CircuitBreaker(llm, clock=clock), persona.load(settings.persona_file)
        tools_cost = cost_of_tools(settings)
        budget = budget_for(settings, shared, besides=tools_cost)
        summariser = Summariser(store, breaker, budget, clock=clock)
        stack.push_async_callback(summariser.stop)
        responder = Responder(breaker, persona=shared, budget=budget, besides=tools_cost)
        idle = IdleLimits(settings.idle_after, settings.idle_after_by_channel)
        clerk = TurnHandler(store, responder, adapters, clock, settings.max_attempts, idle=idle, summariser=summariser)
        worker = Worker(store, clerk, owner=_owner(), clock=clock, limits=_limits(settings))
        refusals = FailedDeliveries(store, clock=clock)
        stack.push_async_callback(_keep, refusals)
        scheduler = Scheduler(
            store,
            worker,
            refusals,
            clock=clock,
            idle=idle,
            retention=settings.retention,
            forewarning=_forewarning(settings, store, adapters, clock, idle),
        )
        scheduler.start()
        stack.callback(scheduler.stop)  # after the worker has stopped, whose leases it keeps
        stack.push_async_callback(worker.stop, settings.drain_seconds)
        await worker.poll()
        inbox = Inbox(store, worker, refusals, clock=clock, new_id=new_id, idle=idle)
        exchange = _exchange(settings, store, responder, summariser, held=worker.held, clock=clock, idle=idle)
        stack.push_async_callback(exchange.stop)
        yield Desk(store, inbox, worker, refusals, scheduler, summariser, exchange)


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


async def _keep(refusals: FailedDeliveries) -> None:
    with suppress(StoreUnavailable):  # there is no later time
        await refusals.keep()


def _health(
    settings: Settings, port: int, parts: Desk, clock: Clock, connection: Transport | None = None
) -> AbstractAsyncContextManager[int]:
    async def database() -> bool:
        await parts.store.run_urgent(lambda c: c.exec_driver_sql("SELECT 1"))
        return True

    async def slack() -> bool:
        return connection is not None and connection.connected > 0

    async def worker() -> bool:
        return not parts.worker.stopping

    async def scheduler() -> bool:
        return parts.scheduler.running

    async def counts() -> Mapping[str, int]:
        found = await parts.store.run(figures, now=clock())
        return {
            "owed": found.owed_messages,
            "oldest_owed_seconds": round(found.oldest_owed_seconds),
            "takeovers": found.taken_over_turns,
            "refusals": found.refused_deliveries + parts.refusals.not_kept,
        }

    return health.served(
        settings.host,
        port,
        {"database": database, **({"slack": slack} if connection else {}), "worker": worker, "scheduler": scheduler},
        {
            "running": lambda: parts.worker.running,
            "waiting": lambda: parts.worker.waiting,
            "asking": lambda: parts.exchange.running,
            "refusals": lambda: parts.refusals.not_kept,
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


def _exchange(
    settings: Settings,
    store: Store,
    responder: Responder,
    summariser: Summariser,
    *,
    held: LeaseKeeper,
    clock: Clock,
    idle: IdleLimits,
) -> ChatService:
    line = SessionLocks(
        most=settings.max_running_turns,
        most_of_one=settings.max_running_turns_per_workspace,
        wait_s=settings.gateway_wait_seconds,
    )
    return ChatService(store, responder, summariser, held, clock=clock, new_id=new_id, idle=idle, line=line)


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
