"""The wiring: build a running bot from its settings. Only this file imports every part.

Rule: this file closes everything that it opens, in the opposite order: first the intake, then the work, then the store.
The edges are imported by the functions that open them, because each bot uses only some.
"""

from __future__ import annotations

from asyncio import Event
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from bot.config.settings import Settings
from bot.services import Clock, PlatformServices, Services, new_id, open_platform_services, open_services, utc_now
from bot.store import api_keys
from bot.store.metrics import figures

if TYPE_CHECKING:
    from bot.gateway.server import Gateway
    from bot.slack.inbound.transport import Transport

S = TypeVar("S", bound=Services)


@dataclass(frozen=True, slots=True)
class Bot(Generic[S]):
    """A connected bot. `address` describes to an operator where it is reached."""

    services: S
    address: str


@asynccontextmanager
async def slack_bot(settings: Settings, *, clock: Clock = utc_now) -> AsyncIterator[Bot[PlatformServices]]:
    """Open the whole bot, connected to the Slack that the settings name. Raises StartupError when it cannot connect."""
    # Imported here: a bot behind the HTTP API alone, and a chat in the terminal, do without Slack's libraries.
    from bot.slack import behaviour  # noqa: PLC0415
    from bot.slack.client import open_client  # noqa: PLC0415
    from bot.slack.inbound.bolt_app import build_app  # noqa: PLC0415
    from bot.slack.inbound.http_mode import PATH, HttpMode  # noqa: PLC0415
    from bot.slack.inbound.transport import connect  # noqa: PLC0415
    from bot.slack.outbound.adapter import SlackAdapter  # noqa: PLC0415
    from bot.slack.startup_checks import identify  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(open_client(settings))
        identity = await identify(client)
        measured = behaviour.load(settings.slack_behaviour_file, identity.team_id, clock())
        adapter = SlackAdapter(
            client,
            identity,
            clock=clock,
            streaming=settings.slack_streaming,
            measured=measured,
            long_answer_messages=settings.long_answer_messages,
        )
        services = await stack.enter_async_context(open_platform_services(settings, [adapter], clock=clock))
        bolt = build_app(client, identity, services, settings, clock=clock, people=adapter.people)
        connected, draining = list["Transport"](), Event()
        # The health endpoint opens before the intake, so that it answers until the last turn has ended.
        await stack.enter_async_context(_health(settings, services, clock, draining, connected))
        stack.push_async_callback(services.worker.stop, settings.drain_seconds)
        connection = await stack.enter_async_context(connect(bolt, settings))
        connected.append(connection)
        services.take_over()
        intake = (
            f"http://{settings.host}:{connection.port}{PATH}" if isinstance(connection, HttpMode) else "Socket Mode"
        )
        address = f"in {identity.team_name} by {intake}"
        if settings.gateway_port is not None:
            served = _gateway(settings, services, clock).served(settings.gateway_port)
            address += f" and {await _gateway_address(settings, await stack.enter_async_context(served), services)}"
        stack.callback(draining.set)
        yield Bot(services, address)


@asynccontextmanager
async def gateway_bot(settings: Settings, *, clock: Clock = utc_now) -> AsyncIterator[Bot[Services]]:
    """Open the bot behind its HTTP API alone. Raises StartupError when the port is not free."""
    port = settings.port if settings.gateway_port is None else settings.gateway_port
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(open_services(settings, clock=clock))
        draining = Event()
        await stack.enter_async_context(_health(settings, services, clock, draining))
        served = _gateway(settings, services, clock).served(port, "--port or GATEWAY_PORT")
        address = await _gateway_address(settings, await stack.enter_async_context(served), services)
        stack.callback(draining.set)
        yield Bot(services, address)


def _gateway(settings: Settings, services: Services, clock: Clock) -> Gateway:
    from bot.gateway.server import Gateway  # noqa: PLC0415 - only where GATEWAY_PORT asks for it

    return Gateway(services.store, services.chat_service, services.chat_sessions, settings, clock=clock, new_id=new_id)


async def _gateway_address(settings: Settings, port: int, services: Services) -> str:
    """Describe where the gateway is reached, and how to make the first key."""
    address = f"at http://{settings.host}:{port}{settings.gateway_prefixes[0]}"
    keys = await services.store.run(api_keys.every)
    return address if keys else f"{address} (without a key yet: attendant keys create NAME)"


def _health(
    settings: Settings,
    services: Services,
    clock: Clock,
    draining: Event,
    connected: Sequence[Transport] | None = None,
) -> AbstractAsyncContextManager[int | None]:
    """Serve the health endpoint, if it has a port. `connected` will have the connection to Slack, if one is needed."""
    if settings.health_port is None:
        return nullcontext()
    from bot.ops import health  # noqa: PLC0415 - only where HEALTH_PORT asks for it

    async def database() -> bool:
        await services.store.run_urgent(lambda c: c.exec_driver_sql("SELECT 1"))
        return True

    async def slack() -> bool:
        return bool(connected) and all(each.connected > 0 for each in connected or ())

    async def worker() -> bool:
        return isinstance(services, PlatformServices) and not services.worker.stopping

    async def scheduler() -> bool:
        return services.scheduler.running

    async def counts() -> Mapping[str, int]:
        metrics = await figures(services.store, now=clock())
        return {
            "owed": metrics.owed_messages,
            "oldest_owed_seconds": round(metrics.oldest_owed_seconds),
            "takeovers": metrics.taken_over_turns,
            "failed_deliveries": metrics.failed_deliveries + services.gauges["failed_deliveries"](),
        }

    checks = {"database": database, "scheduler": scheduler}
    if connected is not None:
        checks["slack"] = slack
    if isinstance(services, PlatformServices):
        checks["worker"] = worker
    return health.served(settings.host, settings.health_port, checks, services.gauges, counts, draining=draining.is_set)
