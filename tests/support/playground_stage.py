"""Set-up for tests with the playground: a served workspace, a settable clock, Slack's own clients."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.manifest import document, read
from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.sample import harbour
from bot.playground.workspace.slack_variant import SlackVariant
from bot.playground.workspace.thread_statuses import STOP_EVENT
from bot.playground.workspace.workspace import Workspace
from tests.support.timeouts import GENEROUS_S

Answer = Callable[[SocketModeRequest], dict[str, Any] | None]

SHIPPED = read(document())  # reading it takes 40 ms, which thousands of workspaces would pay for


class Clock:
    """A clock that tests set by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


def make_workspace(
    clock: Callable[[], datetime] | None = None, variant: SlackVariant | None = None, **more: Any
) -> Workspace:
    """Return the sample workspace with the shipped manifest. Its ids are the same in every run."""
    count = itertools.count(1)
    workspace = harbour(
        SHIPPED,
        clock=clock or Clock(),
        rng=random.Random(7),  # noqa: S311 - chance, not secrecy
        new_secret=lambda: f"secret-{next(count)}",
        **more,
    )
    workspace.variant = variant or SlackVariant()
    return workspace


def subscribe(workspace: Workspace, *events: str, scopes: Iterable[str] = ()) -> None:
    """Add event subscriptions and scopes to those of the app."""
    app = workspace.app
    manifest = dataclasses.replace(app.manifest, events=(*app.manifest.events, *events))
    workspace.app = dataclasses.replace(app, manifest=manifest, scopes=app.scopes.union(scopes))


def declare_agent(workspace: Workspace) -> None:
    """Declare the app an agent that can be stopped."""
    subscribe(workspace, STOP_EVENT)
    workspace.app = dataclasses.replace(workspace.app, is_agent=True)


@asynccontextmanager
async def served(workspace: Workspace, **more: Any) -> AsyncIterator[PlaygroundServer]:
    """Serve a workspace on a free port. It waits long for acknowledgements, unless the test sets another time."""
    server = PlaygroundServer(workspace, **{"ack_within_s": GENEROUS_S} | more)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def client_of(server: PlaygroundServer) -> AsyncWebClient:
    """Return Slack's own client for this server, with the bot token."""
    return AsyncWebClient(server.workspace.app.bot_token, base_url=server.api_url)


@asynccontextmanager
async def connected(server: PlaygroundServer, answer: Answer = lambda _: None) -> AsyncIterator[SocketModeClient]:
    """Connect Slack's own Socket Mode client. It acknowledges each envelope with the payload that `answer` returns."""
    client = SocketModeClient(server.workspace.app.app_token, web_client=client_of(server), ping_interval=0.1)

    async def acknowledge(connection: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        await connection.send_socket_mode_response(SocketModeResponse(request.envelope_id, answer(request)))

    client.socket_mode_request_listeners.append(acknowledge)
    count = server.sockets.open
    await client.connect_to_new_endpoint()
    await server.workspace.until(lambda: server.sockets.open > count)
    try:
        yield client
    finally:
        await client.close()  # type: ignore[no-untyped-call]  # untyped in the SDK
