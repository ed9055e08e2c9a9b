"""Settings in, running bot out: the only file that knows everyone.

Rule: what is opened here is closed here, in the opposite order: intake first, then the work, then what it stands on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from bot.config.settings import Settings
from bot.gateway.server import Gateway
from bot.llm.stub_server import StubServer
from bot.ops import health
from bot.services import Clock, PlatformServices, Services, new_id, open_platform_services, open_services, utc_now
from bot.slack.client import open_client
from bot.slack.inbound.bolt_app import build_app
from bot.slack.inbound.http_mode import PATH, HttpMode
from bot.slack.inbound.transport import Transport, connect
from bot.slack.outbound.adapter import SlackAdapter
from bot.slack.startup_checks import identify
from bot.store import api_keys as key_rows
from bot.store.metrics import figures

STAND_IN = "a stand-in, because neither OPENAI_API_KEY nor OPENAI_BASE_URL is set"


S = TypeVar("S", bound=Services)


@dataclass(frozen=True, slots=True)
class Bot(Generic[S]):
    """A connected bot: its working parts, and where it is, in words."""

    services: S
    where: str


@asynccontextmanager
async def slack_bot(settings: Settings, *, clock: Clock = utc_now) -> AsyncIterator[Bot[PlatformServices]]:
    """The whole bot, connected to the Slack that the settings name. Raises StartupError when it cannot be."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(open_client(settings))
        identity = await identify(client)
        adapter = SlackAdapter(client, identity, clock=clock, streaming=settings.slack_streaming)
        parts = await stack.enter_async_context(open_platform_services(settings, [adapter], clock=clock))
        bolt = build_app(client, identity, parts, settings, clock=clock)
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
        parts = await stack.enter_async_context(open_services(settings, clock=clock))
        if settings.health_port is not None:
            await stack.enter_async_context(_health(settings, settings.health_port, parts, clock))
        served = await stack.enter_async_context(
            _gateway(settings, parts, clock).served(port, "--port or GATEWAY_PORT")
        )
        yield Bot(parts, await _at(settings, served, parts))


def _gateway(settings: Settings, parts: Services, clock: Clock) -> Gateway:
    return Gateway(parts.store, parts.chat_service, parts.chat_sessions, settings, clock=clock, new_id=new_id)


async def _at(settings: Settings, port: int, parts: Services) -> str:
    """Where the gateway is, and whether anybody could ask there."""
    address = f"at http://{settings.host}:{port}{settings.gateway_prefixes[0]}"
    known = await parts.store.run(key_rows.every)
    return address if known else f"{address} (without a key yet: attendant keys create NAME)"


def _health(
    settings: Settings, port: int, parts: Services, clock: Clock, connection: Transport | None = None
) -> AbstractAsyncContextManager[int]:
    async def database() -> bool:
        await parts.store.run_urgent(lambda c: c.exec_driver_sql("SELECT 1"))
        return True

    async def slack() -> bool:
        return connection is not None and connection.connected > 0

    async def worker() -> bool:
        return isinstance(parts, PlatformServices) and not parts.worker.stopping

    async def scheduler() -> bool:
        return parts.scheduler.running

    async def counts() -> Mapping[str, int]:
        found = await parts.store.run(figures, now=clock())
        return {
            "owed": found.owed_messages,
            "oldest_owed_seconds": round(found.oldest_owed_seconds),
            "takeovers": found.taken_over_turns,
            "refusals": found.refused_deliveries + parts.gauges["refusals"](),
        }

    checks = {"database": database, "scheduler": scheduler}
    if connection is not None:
        checks["slack"] = slack
    if isinstance(parts, PlatformServices):
        checks["worker"] = worker
    return health.served(settings.host, port, checks, parts.gauges, counts)


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


def model_name(settings: Settings) -> str:
    return STAND_IN if settings.uses_stand_in else settings.openai_model
