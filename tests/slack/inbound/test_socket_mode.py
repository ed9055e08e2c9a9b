"""bot.slack.inbound.socket_mode: connections, refreshes, and the stop."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from bot.errors import StartupError
from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.changes import Change, ConnectionChanged
from bot.slack.client import open_client
from bot.slack.inbound.bolt_app import build_app
from bot.slack.inbound.socket_mode import CONNECTIONS, SocketMode
from bot.testing import SettableClock
from tests.support.playground_stage import connected, make_workspace, served
from tests.support.slack_inbound_stage import (
    InboundStage,
    KnownPeople,
    RecordingInbox,
    eventually,
    inbound_stage,
    services_of,
)
from tests.support.slack_stage import a_while, identity_in, settings_of


async def test_stop_acknowledges_envelopes_in_flight() -> None:
    """An envelope that is being accepted when Socket Mode stops is acknowledged first."""
    async with inbound_stage() as slack:
        slack.inbox.may_accept.clear()
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.inbox.accepting.wait()
        stopping = asyncio.create_task(slack.transport.stop())
        slack.inbox.may_accept.set()
        await stopping
        await slack.acknowledged()


@pytest.mark.parametrize("text", ["hello", "[]", '{"type": "events_api", "envelope_id": "1", "payload": [1]}'])
async def test_malformed_messages_are_ignored(text: str) -> None:
    """A message that is no envelope is ignored, and the connection stays open."""
    async with inbound_stage() as slack:
        for connection in slack.server.sockets._connections:  # noqa: SLF001 - Slack sends no such messages
            await connection.socket.send_str(text)
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.acknowledged()

        assert is_up(slack)
        assert slack.server.calls.count("apps.connections.open") == CONNECTIONS


async def test_stop_accepts_no_more_envelopes() -> None:
    """An envelope that comes during the stop is not acknowledged, so that Slack delivers it to another process."""
    async with inbound_stage() as slack:
        slack.inbox.may_accept.clear()
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.inbox.accepting.wait()
        stopping = asyncio.create_task(slack.transport.stop())
        await asyncio.sleep(0)
        late = slack.workspace.post(slack.ana, slack.help_desk, "too late")
        await a_while()
        slack.inbox.may_accept.set()
        await stopping
        first, second = slack.server.deliveries.all()

        assert (first.acknowledged, second.acknowledged, second.event["ts"]) == (True, False, late.ts)
        assert len(slack.inbox.accepted) == 1


async def test_bolts_environment_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bolt's environment variables, which would switch it to OAuth, have no effect."""
    for name in (
        "SLACK_CLIENT_ID",
        "SLACK_CLIENT_SECRET",
        "SLACK_BOT_TOKEN",
        "SLACK_SIGNING_SECRET",
        "SLACK_APP_TOKEN",
    ):
        monkeypatch.setenv(name, "another's")
    async with inbound_stage() as slack:
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.acknowledged()

        assert len(slack.inbox.accepted) == 1
        assert {call.method for call in slack.server.calls.all()} == {"auth.test", "apps.connections.open"}


def is_up(slack: InboundStage) -> bool:
    """Return whether both sides have all connections."""
    return (slack.transport.connected, slack.server.sockets.open) == (CONNECTIONS, CONNECTIONS)


async def test_a_refresh_loses_nothing() -> None:
    """While Slack refreshes both connections, one is always open, and each envelope arrives at the first attempt."""
    async with inbound_stage(ack_within_s=60.0) as slack:
        changes: list[Change] = []
        slack.workspace.subscribe(changes.append)
        await slack.server.sockets.refresh()
        for number in range(100):
            slack.workspace.post(slack.ana, slack.help_desk, str(number))
            await asyncio.sleep(0)
        await eventually(lambda: slack.server.calls.count("apps.connections.open") == 2 * CONNECTIONS and is_up(slack))
        await slack.command("/reset")
        await slack.acknowledged()

        assert not [change for change in changes if isinstance(change, ConnectionChanged)]
        assert {len(delivery.attempts) for delivery in slack.server.deliveries.all()} == {1}
        assert len(slack.inbox.accepted) == 100


async def test_connections_are_refreshed_one_at_a_time() -> None:
    """Until the first new connection opens, the second is not requested, and both old ones stay open."""
    async with inbound_stage() as slack:
        hold = slack.server.faults.hold("apps.connections.open")
        await slack.server.sockets.refresh()
        await slack.workspace.until(lambda: hold.waiting > 0)
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.acknowledged()

        assert (hold.waiting, slack.server.sockets.open) == (1, CONNECTIONS)
        hold.release()


async def test_a_refresh_acknowledges_envelopes_in_flight() -> None:
    """A connection closes after its envelopes are accepted and acknowledged."""
    async with inbound_stage() as slack:
        slack.inbox.may_accept.clear()
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.inbox.accepting.wait()
        await slack.server.sockets.refresh()
        await slack.workspace.until(lambda: slack.server.calls.count("apps.connections.open") == 2 * CONNECTIONS)
        slack.inbox.may_accept.set()
        await slack.acknowledged()
        (delivery,) = slack.server.deliveries.all()

        assert len(delivery.attempts) == 1


async def test_all_connections_down(caplog: pytest.LogCaptureFixture) -> None:
    """The loss of the last connection is logged once, and the next connection once. Then both connections open."""
    caplog.set_level(logging.INFO, "bot")
    async with inbound_stage() as slack:
        slack.server.faults.refuse("apps.connections.open", "internal_error", times=3)
        slack.server.sockets.drop_all()
        await eventually(lambda: slack.transport.connected == 0)
        await eventually(lambda: is_up(slack))
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.acknowledged()

    assert [record.getMessage() for record in caplog.records if record.name == "bot.slack.inbound.socket_mode"] == [
        "socket_mode_reconnecting",
        "socket_mode_connected",
    ]


async def test_one_connection_down(caplog: pytest.LogCaptureFixture) -> None:
    """If one connection breaks, the other one goes on, and nothing is logged."""
    async with inbound_stage() as slack:
        slack.server.sockets._connections[0].abort()  # noqa: SLF001 - otherwise the playground cuts all of them
        await eventually(lambda: slack.transport.connected == 1)
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.acknowledged()
        await eventually(lambda: is_up(slack))

    assert caplog.records == []


@asynccontextmanager
async def beside(others: int, connect_timeout_s: float) -> AsyncIterator[tuple[PlaygroundServer, SocketMode]]:
    """Build a Socket Mode that is not started, beside that many connections of other processes."""
    async with served(make_workspace()) as server, AsyncExitStack() as stack:
        for _ in range(others):
            await stack.enter_async_context(connected(server))
        client = await stack.enter_async_context(open_client(settings_of(server)))
        bot = identity_in(server.workspace)
        app = build_app(
            client,
            bot,
            services_of(RecordingInbox()),
            settings_of(server),
            clock=SettableClock().now,
            people=KnownPeople(),
        )
        socket = SocketMode(app, server.workspace.app.app_token, connect_timeout_s)
        stack.push_async_callback(socket.stop)
        yield server, socket


async def test_one_connection_is_enough() -> None:
    """Socket Mode starts with one connection, if other processes have nearly all that Slack allows."""
    async with beside(others=9, connect_timeout_s=5.0) as (server, socket):
        await socket.start()
        await server.workspace.until(lambda: server.calls.count("apps.connections.open") == 9 + CONNECTIONS)
        await a_while()

        assert socket.connected == 1


async def test_a_connection_without_hello() -> None:
    """The start fails if Slack sends no hello, because other processes have all connections."""
    async with beside(others=10, connect_timeout_s=0.2) as (_, socket):
        with pytest.raises(StartupError, match="Socket Mode did not connect"):
            await socket.start()


async def test_no_connection_in_time() -> None:
    """The start fails if no connection opens in time."""
    async with beside(others=0, connect_timeout_s=0.1) as (server, socket):
        server.faults.refuse("apps.connections.open", "internal_error")
        with pytest.raises(StartupError, match="Socket Mode did not connect"):
            await socket.start()
