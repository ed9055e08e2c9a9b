"""The wiring: settings in, a running bot out. The only file that knows every part.

Rule: this file closes all that it opens, in the opposite order: first the intake, then the work, then the store.
The edges are imported by the functions that open them, because each bot uses only some.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bot.config.settings import Settings
from bot.domain.sessions import IdleLimits
from bot.errors import StoreUnavailable
from bot.llm import LLM
from bot.llm.circuit_breaker import CircuitBreaker
from bot.llm.from_settings import open_model
from bot.ops.expiry_warnings import ExpiryWarnings
from bot.ops.scheduler import Scheduler
from bot.prompt import persona
from bot.prompt.budget import budget_for
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

if TYPE_CHECKING:
    from bot.gateway.server import Gateway
    from bot.slack.inbound.transport import Transport

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Services:
    """The object graph below the edges, at work."""

    store: Store
    inbox: Inbox
    worker: Worker
    failed_deliveries: FailedDeliveries
    scheduler: Scheduler
    summariser: Summariser
    chat_service: ChatService


@dataclass(frozen=True, slots=True)
class Bot:
    """A connected bot. `address` tells an operator where it is reached."""

    services: Services
    address: str


def utc_now() -> datetime:
    """Return the wall clock's time."""
    return datetime.now(UTC)


def new_id() -> str:
    """Return a UUID that nobody can guess."""
    return str(uuid.uuid4())


@asynccontextmanager
async def slack_bot(settings: Settings, *, clock: Clock = utc_now) -> AsyncIterator[Bot]:
    """Open the whole bot, connected to the Slack that the settings name. Raises StartupError when it cannot connect."""
    # Imported here: a bot behind the HTTP API alone, and a chat in the terminal, do without Slack's libraries.
    from bot.slack.client import open_client  # noqa: PLC0415
    from bot.slack.inbound.bolt_app import build_app  # noqa: PLC0415
    from bot.slack.inbound.http_mode import PATH, HttpMode  # noqa: PLC0415
    from bot.slack.inbound.transport import connect  # noqa: PLC0415
    from bot.slack.outbound.adapter import SlackAdapter  # noqa: PLC0415
    from bot.slack.startup_checks import identify  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(open_client(settings))
        identity = await identify(client)
        adapter = SlackAdapter(client, identity, clock=clock, streaming=settings.slack_streaming)
        services = await stack.enter_async_context(open_services(settings, [adapter], clock=clock))
        bolt = build_app(client, identity, services.inbox, settings, clock=clock)
        connection = await stack.enter_async_context(connect(bolt, settings))
        if settings.health_port is not None:
            await stack.enter_async_context(_health(settings, settings.health_port, services, clock, connection))
        intake = (
            f"http://{settings.host}:{connection.port}{PATH}" if isinstance(connection, HttpMode) else "Socket Mode"
        )
        address = f"in {identity.team_name} by {intake}"
        if settings.gateway_port is not None:
            served = _gateway(settings, services, clock).served(settings.gateway_port)
            address += f" and {await _gateway_address(settings, await stack.enter_async_context(served), services)}"
        yield Bot(services, address)


@asynccontextmanager
async def gateway_bot(settings: Settings, *, clock: Clock = utc_now) -> AsyncIterator[Bot]:
    """Open the bot behind its HTTP API alone. Raises StartupError when the port is not free."""
    port = settings.port if settings.gateway_port is None else settings.gateway_port
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(open_services(settings, [], clock=clock))
        if settings.health_port is not None:
            await stack.enter_async_context(_health(settings, settings.health_port, services, clock))
        served = _gateway(settings, services, clock).served(port, "--port or GATEWAY_PORT")
        yield Bot(services, await _gateway_address(settings, await stack.enter_async_context(served), services))


def _gateway(settings: Settings, services: Services, clock: Clock) -> Gateway:
    from bot.gateway.server import Gateway  # noqa: PLC0415 - only where GATEWAY_PORT asks for it

    return Gateway(services.store, services.chat_service, services.inbox, settings, clock=clock, new_id=new_id)


async def _gateway_address(settings: Settings, port: int, services: Services) -> str:
    """Describe where the gateway is reached, and how to make the first key."""
    address = f"at http://{settings.host}:{port}{settings.gateway_prefixes[0]}"
    keys = await services.store.run(key_rows.every)
    return address if keys else f"{address} (without a key yet: attendant keys create NAME)"


@asynccontextmanager
async def open_services(
    settings: Settings, adapters: Sequence[Adapter], *, clock: Clock = utc_now, llm: LLM | None = None
) -> AsyncIterator[Services]:
    """Bring the database up to date, and start the worker and the scheduler."""
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
        handler = TurnHandler(
            store, responder, adapters, clock, settings.max_attempts, idle=idle, summariser=summariser
        )
        worker = Worker(store, handler, owner=_owner(), clock=clock, limits=_limits(settings))
        failed_deliveries = FailedDeliveries(store, clock=clock)
        stack.push_async_callback(_store_counts, failed_deliveries)
        scheduler = Scheduler(
            store,
            worker,
            failed_deliveries,
            clock=clock,
            idle=idle,
            retention=settings.retention,
            warnings=_warnings(settings, store, adapters, clock, idle),
        )
        scheduler.start()
        stack.callback(scheduler.stop)  # after the worker has stopped, whose leases it keeps
        stack.push_async_callback(worker.stop, settings.drain_seconds)
        await worker.poll()
        inbox = Inbox(store, worker, failed_deliveries, clock=clock, new_id=new_id, idle=idle)
        chat_service = _chat_service(settings, store, responder, summariser, held=worker.held, clock=clock, idle=idle)
        stack.push_async_callback(chat_service.stop)
        yield Services(store, inbox, worker, failed_deliveries, scheduler, summariser, chat_service)


async def _store_counts(failed_deliveries: FailedDeliveries) -> None:
    with suppress(StoreUnavailable):  # the process ends: there is no later time
        await failed_deliveries.keep()


def _health(
    settings: Settings, port: int, services: Services, clock: Clock, connection: Transport | None = None
) -> AbstractAsyncContextManager[int]:
    from bot.ops import health  # noqa: PLC0415 - only where HEALTH_PORT asks for it

    async def database() -> bool:
        await services.store.run_urgent(lambda c: c.exec_driver_sql("SELECT 1"))
        return True

    async def slack() -> bool:
        return connection is not None and connection.connected > 0

    async def worker() -> bool:
        return not services.worker.stopping

    async def scheduler() -> bool:
        return services.scheduler.running

    async def counts() -> Mapping[str, int]:
        metrics = await services.store.run(figures, now=clock())
        return {
            "owed": metrics.owed_messages,
            "oldest_owed_seconds": round(metrics.oldest_owed_seconds),
            "takeovers": metrics.taken_over_turns,
            "refusals": metrics.refused_deliveries + services.failed_deliveries.not_kept,
        }

    return health.served(
        settings.host,
        port,
        {"database": database, **({"slack": slack} if connection else {}), "worker": worker, "scheduler": scheduler},
        {
            "running": lambda: services.worker.running,
            "waiting": lambda: services.worker.waiting,
            "asking": lambda: services.chat_service.running,
            "refusals": lambda: services.failed_deliveries.not_kept,
        },
        counts,
    )


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


def _chat_service(
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
