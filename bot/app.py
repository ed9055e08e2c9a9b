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

from bot import health, persona, terminal
from bot.adapter import Adapter
from bot.attendant import Attendant
from bot.budget import budget_for
from bot.config import Settings
from bot.errors import AttendantError, StoreUnavailable
from bot.events import Thread
from bot.forewarning import Forewarning
from bot.inbox import Inbox
from bot.llm import LLM
from bot.llm.breaker import Breaker
from bot.llm.openai import OpenAI
from bot.llm.stand_in import StandIn
from bot.refusals import Refusals
from bot.responder import Responder
from bot.scheduler import Scheduler
from bot.sessions import IdleLimits, OpenSession
from bot.slack.adapter import SlackAdapter
from bot.slack.checks import identify
from bot.slack.client import open_client
from bot.slack.connection import PATH, HttpMode, connect
from bot.slack.listeners import build_app
from bot.slack.socket_mode import SocketMode
from bot.store import erasure, schema
from bot.store import sessions as session_rows
from bot.store.engine import Store
from bot.store.erasure import Found, Scope
from bot.store.figures import Figures, figures
from bot.summariser import Summariser
from bot.tools.set_preferences import cost_of_tools
from bot.turnstile import Limits
from bot.worker import Worker

Announce = Callable[[str], None]
Clock = Callable[[], datetime]

SCRUB_PATIENCE_S = 15.0  # for a running bot that is in the way
STAND_IN = "a stand-in, because neither OPENAI_API_KEY nor OPENAI_BASE_URL is set"


@dataclass(frozen=True, slots=True)
class Desk:
    """The working parts, without any platform's door."""

    store: Store
    inbox: Inbox
    worker: Worker
    refusals: Refusals
    scheduler: Scheduler
    summariser: Summariser


@dataclass(frozen=True, slots=True)
class Bot:
    """A connected bot: its working parts, and where it is, in words."""

    desk: Desk
    where: str


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


async def chat(settings: Settings, announce: Announce) -> int:
    """Talk to the bot in the terminal, until end of input."""
    adapter = terminal.Terminal(terminal.write, str(uuid.uuid4()))
    async with with_model(settings) as effective, desk(effective, [adapter]) as parts:
        announce(f"Talking to the attendant · model: {model_name(settings)} · !reset starts over, Ctrl+D ends\n")
        thread = Thread(terminal.PLATFORM, adapter.workspace, "terminal", "1", direct=True)
        await adapter.talk(parts.inbox, terminal.typed_lines("> "), thread, parts.worker.idle)
    return 0


async def open_sessions(settings: Settings, limit: int) -> list[OpenSession]:
    """The open sessions of everybody, newest activity first."""
    async with _open_store(settings, there=True) as store:
        return await store.run(session_rows.newest, limit=limit)


async def status(settings: Settings) -> Figures:
    """What is owed, what runs and what became of the turns of the last day, in all replicas together."""
    async with _open_store(settings, there=True) as store:
        return await store.run(figures, now=utc_now())


async def erase(
    settings: Settings, scope: Scope, *, confirmed: Callable[[Found], bool], patience_s: float = SCRUB_PATIENCE_S
) -> int | None:
    """Erase what people wrote, as far as it is in scope; how many messages, or None when it was not confirmed.

    Raises AttendantError when a running bot keeps the file busy for so long that words may be left in it.
    """
    async with _open_store(settings) as store:
        if not confirmed(await store.run(erasure.count, scope)):
            return None
        total = 0
        while erased := await store.run(erasure.erase, scope, now=utc_now()):
            total += erased
        if not await store.scrub_now(patience_s=patience_s):
            raise AttendantError(
                f"Erased {total} messages, but the database's file could not be written anew: another process is busy "
                "with it, and their words may still be found in its bytes. Run the same command again."
            )
        return total


@asynccontextmanager
async def slack_bot(settings: Settings, *, clock: Clock = utc_now, llm: LLM | None = None) -> AsyncIterator[Bot]:
    """The whole bot, connected to the Slack that the settings name. Raises StartupError when it cannot be."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(open_client(settings))
        identity = await identify(client)
        adapter = SlackAdapter(client, identity, clock=clock, streaming=settings.slack_streaming)
        parts = await stack.enter_async_context(desk(settings, [adapter], clock=clock, llm=llm))
        bolt = build_app(client, identity, parts.inbox, settings, clock=clock)
        connection = await stack.enter_async_context(connect(bolt, settings))
        if settings.health_port is not None:
            await stack.enter_async_context(_health(settings, settings.health_port, parts, connection, clock))
        where = f"http://{settings.host}:{connection.port}{PATH}" if isinstance(connection, HttpMode) else "Socket Mode"
        yield Bot(parts, f"{identity.team_name} by {where}")


@asynccontextmanager
async def desk(
    settings: Settings, adapters: Sequence[Adapter], *, clock: Clock = utc_now, llm: LLM | None = None
) -> AsyncIterator[Desk]:
    """The working parts, at work: database up to date, worker and scheduler running."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(_open_store(settings))
        if llm is None:
            llm = await stack.enter_async_context(open_model(settings))
        breaker, shared = Breaker(llm, clock=clock), persona.load(settings.persona_file)
        tools_cost = cost_of_tools(settings)
        budget = budget_for(settings, shared, besides=tools_cost)
        summariser = Summariser(store, breaker, budget, clock=clock)
        stack.push_async_callback(summariser.stop)
        responder = Responder(breaker, persona=shared, budget=budget, besides=tools_cost)
        idle = IdleLimits(settings.idle_after, settings.idle_after_by_channel)
        attendant = Attendant(
            store, responder, adapters, clock, settings.max_attempts, idle=idle, summariser=summariser
        )
        worker = Worker(store, attendant, owner=_owner(), clock=clock, limits=_limits(settings))
        refusals = Refusals(store, clock=clock)
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
        await worker.look()
        inbox = Inbox(store, worker, refusals, clock=clock, new_id=lambda: str(uuid.uuid4()), idle=idle)
        yield Desk(store, inbox, worker, refusals, scheduler, summariser)


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


async def _keep(refusals: Refusals) -> None:
    with suppress(StoreUnavailable):  # there is no later time
        await refusals.keep()


def _health(
    settings: Settings, port: int, parts: Desk, connection: SocketMode | HttpMode, clock: Clock
) -> AbstractAsyncContextManager[int]:
    async def database() -> bool:
        await parts.store.run_first(lambda c: c.exec_driver_sql("SELECT 1"))
        return True

    async def slack() -> bool:
        return connection.connected > 0

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
        {"database": database, "slack": slack, "worker": worker, "scheduler": scheduler},
        {
            "running": lambda: parts.worker.running,
            "waiting": lambda: parts.worker.waiting,
            "refusals": lambda: parts.refusals.not_kept,
        },
        counts,
    )


@asynccontextmanager
async def _open_store(settings: Settings, *, there: bool = False) -> AsyncIterator[Store]:
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
    stand_in = StandIn()
    try:
        base_url = await stand_in.start()
        yield dataclasses.replace(settings, openai_base_url=base_url, openai_model="stand-in")
    finally:
        await stand_in.stop()


def _forewarning(
    settings: Settings, store: Store, adapters: Sequence[Adapter], clock: Clock, idle: IdleLimits
) -> Forewarning | None:
    ahead = settings.warn_ahead
    return Forewarning(store, adapters, clock=clock, idle=idle, ahead=ahead) if ahead is not None else None


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
