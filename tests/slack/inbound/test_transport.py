"""bot.slack's connections: signed HTTP, Socket Mode, and their ends."""

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import aiohttp
import pytest

from bot.domain import texts
from bot.errors import StartupError
from bot.playground.server import PlaygroundServer
from bot.playground.workspace.changes import Change, Connected
from bot.slack.client import open_client
from bot.slack.identity import BotIdentity
from bot.slack.inbound.bolt_app import build_app
from bot.slack.inbound.socket_mode import CONNECTIONS, SocketMode
from bot.slack.inbound.transport import PATH, HttpMode
from bot.testing import SettableClock
from tests.support.playground_stage import connected, make_workspace, served
from tests.support.slack_stage import Ears, Ledger, a_while, ears, eventually, identity_in, services_of, settings_of

SECRET = "a signing secret"


@asynccontextmanager
async def http_ears(secret: str | None = None) -> AsyncIterator[tuple[Ears, HttpMode]]:
    """Listeners that hear a playground over signed HTTP."""
    async with AsyncExitStack() as stack:
        workspace, ledger = make_workspace(lambda: datetime.now(UTC)), Ledger()
        app = workspace.app
        server = PlaygroundServer(workspace)  # not started: nothing is asked of it
        workspace.address = "http://127.0.0.1:9"
        client = await stack.enter_async_context(open_client(settings_of(server)))
        bot = BotIdentity(workspace.team.id, "", "", app.user_id, app.bot_id, "attendant")
        bolt = build_app(client, bot, services_of(ledger), settings_of(server), clock=SettableClock().now)
        http = HttpMode(bolt, secret or app.signing_secret, "127.0.0.1", 0)
        await http.start()
        stack.push_async_callback(http.stop)
        url = f"http://127.0.0.1:{http.port}{PATH}"
        yield Ears(await stack.enter_async_context(served(workspace, request_url=url)), ledger, http, client), http


async def test_events_and_commands_over_http() -> None:
    """Signed events and commands arrive, and are answered."""
    async with http_ears() as (slack, _):
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.acknowledged()
        told = await slack.command("/reset")

        assert len(slack.ledger.accepted) == 1
        assert told.text == texts.SLASH_NOTHING


async def test_slack_verifies_the_address() -> None:
    """Slack's question at set-up is answered with its challenge."""
    async with http_ears() as (slack, _):
        assert slack.server.http is not None
        assert await slack.server.http.verifies_url()


async def test_a_message_that_is_not_stored_is_not_acknowledged() -> None:
    """When the store is away, HTTP says 500, and what Slack delivers again is taken in."""
    async with http_ears() as (slack, _):
        slack.ledger.out_of_order = 1
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.acknowledged()
        (delivery,) = slack.server.deliveries.all()

        assert [attempt.failure for attempt in delivery.attempts] == ["http_error", None]


def signed(body: bytes, at: float, secret: str = SECRET) -> dict[str, str]:
    """The headers by which Slack proves that a body is its own."""
    signature = hmac.new(secret.encode(), f"v0:{int(at)}:".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": str(int(at)), "X-Slack-Signature": f"v0={signature}"}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {}, 401),
        (b"{}", signed(b"{}", time.time(), "another secret"), 401),
        (b"{}", signed(b"{}", time.time() - 301), 401),
        (b"{}", {**signed(b"{}", time.time()), "X-Slack-Request-Timestamp": "now"}, 401),
        (b"{", {"Content-Type": "application/json"}, 401),
        (b"\xff", signed(b"\xff", time.time()), 400),
        (b"x" * 1_000_001, {}, 413),
        (b"hello", {"Content-Type": "text/plain; charset=no-such"}, 401),
    ],
)
async def test_what_is_not_slacks_is_turned_away(body: bytes, headers: dict[str, str], status: int) -> None:
    """Unsigned, wrongly signed, old, huge and garbled requests are refused before anything reads them."""
    async with http_ears(SECRET) as (slack, http), aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{http.port}{PATH}"
        async with session.post(url, data=body, headers=headers) as response:
            assert response.status == status
        assert (slack.ledger.accepted, slack.ledger.refusals) == ([], 0)


async def test_there_is_nothing_elsewhere() -> None:
    """Other paths are not found."""
    async with http_ears() as (_, http), aiohttp.request("POST", f"http://127.0.0.1:{http.port}/") as response:
        assert response.status == 404


async def test_a_port_in_use() -> None:
    """A port that is taken is one line, which names it and the remedy."""
    async with http_ears() as (_, http):
        other = HttpMode(http._app, SECRET, "127.0.0.1", http.port)  # noqa: SLF001 - any app will do
        with pytest.raises(StartupError, match=f"^Port {http.port} .*Set PORT"):
            await other.start()
        await other.stop()


async def test_stopping_lets_what_was_taken_in_be_acknowledged() -> None:
    """What is being stored when Socket Mode stops is stored and acknowledged first."""
    async with ears() as slack:
        slack.ledger.free.clear()
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.ledger.busy.wait()
        stopping = asyncio.create_task(slack.connection.stop())
        slack.ledger.free.set()
        await stopping
        await slack.acknowledged()


@pytest.mark.parametrize("text", ["hello", "[]", '{"type": "events_api", "envelope_id": "1", "payload": [1]}'])
async def test_garbage_over_a_socket_is_ignored(text: str) -> None:
    """What is no envelope is passed over, and the connections stay."""
    async with ears() as slack:
        for connection in slack.server.sockets._connections:  # noqa: SLF001 - Slack does not say such things
            await connection.socket.send_str(text)
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.acknowledged()

        assert is_up(slack)
        assert slack.server.calls.count("apps.connections.open") == CONNECTIONS


async def test_after_the_stop_nothing_is_taken_in() -> None:
    """What comes while the last acknowledgements are on their way is left to be delivered again, to whoever runs."""
    async with ears() as slack:
        slack.ledger.free.clear()
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.ledger.busy.wait()
        stopping = asyncio.create_task(slack.connection.stop())
        await asyncio.sleep(0)
        late = slack.workspace.post(slack.ana, slack.help_desk, "too late")
        await a_while()
        slack.ledger.free.set()
        await stopping
        first, second = slack.server.deliveries.all()

        assert (first.acknowledged, second.acknowledged, second.event["ts"]) == (True, False, late.ts)
        assert len(slack.ledger.accepted) == 1


async def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bolt's own environment variables, which would switch it to OAuth, are of no consequence."""
    for name in (
        "SLACK_CLIENT_ID",
        "SLACK_CLIENT_SECRET",
        "SLACK_BOT_TOKEN",
        "SLACK_SIGNING_SECRET",
        "SLACK_APP_TOKEN",
    ):
        monkeypatch.setenv(name, "another's")
    async with ears() as slack:
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.acknowledged()

        assert len(slack.ledger.accepted) == 1
        assert {call.method for call in slack.server.calls.all()} == {"auth.test", "apps.connections.open"}


def is_up(slack: Ears) -> bool:
    """Whether there are all connections, on both sides."""
    return (slack.connection.connected, slack.server.sockets.open) == (CONNECTIONS, CONNECTIONS)


async def test_a_refresh_loses_nothing() -> None:
    """While Slack has both connections renewed there is always one, and what it sends arrives the first time."""
    async with ears() as slack:
        changes: list[Change] = []
        slack.workspace.subscribe(changes.append)
        await slack.server.sockets.refresh()
        for number in range(100):
            slack.workspace.post(slack.ana, slack.help_desk, str(number))
            await asyncio.sleep(0)
        await eventually(lambda: slack.server.calls.count("apps.connections.open") == 2 * CONNECTIONS and is_up(slack))
        await slack.command("/reset")
        await slack.acknowledged()

        assert not [change for change in changes if isinstance(change, Connected)]
        assert {len(delivery.attempts) for delivery in slack.server.deliveries.all()} == {1}
        assert len(slack.ledger.accepted) == 100


async def test_connections_are_renewed_one_after_the_other() -> None:
    """While Slack keeps the first new connection waiting, the second is not asked for, and both old ones stay."""
    async with ears() as slack:
        hold = slack.server.faults.hold("apps.connections.open")
        await slack.server.sockets.refresh()
        await slack.workspace.until(lambda: hold.waiting > 0)
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.acknowledged()

        assert (hold.waiting, slack.server.sockets.open) == (1, CONNECTIONS)
        hold.release()


async def test_what_is_under_way_during_a_refresh_is_acknowledged() -> None:
    """A connection that is renewed stays until what came over it is stored and acknowledged."""
    async with ears() as slack:
        slack.ledger.free.clear()
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.ledger.busy.wait()
        await slack.server.sockets.refresh()
        await slack.workspace.until(lambda: slack.server.calls.count("apps.connections.open") == 2 * CONNECTIONS)
        slack.ledger.free.set()
        await slack.acknowledged()
        (delivery,) = slack.server.deliveries.all()

        assert len(delivery.attempts) == 1


async def test_all_connections_down(caplog: pytest.LogCaptureFixture) -> None:
    """When Slack is away the log says so once, and once that it is back; then both connections are there again."""
    caplog.set_level(logging.INFO, "bot")
    async with ears() as slack:
        slack.server.faults.refuse("apps.connections.open", "internal_error", times=3)
        slack.server.sockets.drop_all()
        await eventually(lambda: slack.connection.connected == 0)
        await eventually(lambda: is_up(slack))
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.acknowledged()

    assert [record.getMessage() for record in caplog.records if record.name == "bot.slack.inbound.socket_mode"] == [
        "Slack is not connected; it is tried again and again",
        "Slack is connected again",
    ]


async def test_one_connection_down(caplog: pytest.LogCaptureFixture) -> None:
    """When one connection breaks the other one goes on, and the log has nothing to tell."""
    async with ears() as slack:
        slack.server.sockets._connections[0].cut()  # noqa: SLF001 - otherwise the playground cuts all of them
        await eventually(lambda: slack.connection.connected == 1)
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.acknowledged()
        await eventually(lambda: is_up(slack))

    assert caplog.records == []


@asynccontextmanager
async def beside(others: int, connect_s: float) -> AsyncIterator[tuple[PlaygroundServer, SocketMode]]:
    """A bot that is yet to connect, beside so many connections of other processes."""
    async with served(make_workspace()) as server, AsyncExitStack() as stack:
        for _ in range(others):
            await stack.enter_async_context(connected(server))
        client = await stack.enter_async_context(open_client(settings_of(server)))
        bot = identity_in(server.workspace)
        app = build_app(client, bot, services_of(Ledger()), settings_of(server), clock=SettableClock().now)
        socket = SocketMode(app, server.workspace.app.app_token, connect_s)
        stack.push_async_callback(socket.stop)
        yield server, socket


async def test_slack_takes_one_more_connection() -> None:
    """When other processes have nearly all the connections that Slack allows, one is enough."""
    async with beside(others=9, connect_s=5.0) as (server, socket):
        await socket.start()
        await server.workspace.until(lambda: server.calls.count("apps.connections.open") == 9 + CONNECTIONS)
        await a_while()

        assert socket.connected == 1


async def test_slack_takes_no_more_connections() -> None:
    """A connection that Slack does not greet is none, so that the start fails when there is no other."""
    async with beside(others=10, connect_s=0.2) as (_, socket):
        with pytest.raises(StartupError, match="Socket Mode did not connect"):
            await socket.start()


async def test_socket_mode_that_never_connects() -> None:
    """When no connection comes about in time, the start fails with a line that says so."""
    async with beside(others=0, connect_s=0.1) as (server, socket):
        server.faults.refuse("apps.connections.open", "internal_error")
        with pytest.raises(StartupError, match="Socket Mode did not connect"):
            await socket.start()
