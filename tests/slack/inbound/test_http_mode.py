"""bot.slack.inbound.http_mode: signed HTTP requests."""

import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from bot.domain import texts
from bot.errors import StartupError
from bot.playground.playground_server import PlaygroundServer
from bot.slack.client import open_client
from bot.slack.identity import BotIdentity
from bot.slack.inbound.bolt_app import build_app
from bot.slack.inbound.http_mode import PATH, HttpMode
from bot.testing import SettableClock
from tests.support.playground_stage import make_workspace, served
from tests.support.slack_inbound_stage import InboundStage, KnownPeople, RecordingInbox, services_of
from tests.support.slack_stage import settings_of

SECRET = "a signing secret"


@asynccontextmanager
async def http_stage(secret: str | None = None, **options: Any) -> AsyncIterator[tuple[InboundStage, HttpMode]]:
    """Connect a Bolt app to a playground workspace by signed HTTP requests."""
    async with AsyncExitStack() as stack:
        workspace, inbox = make_workspace(lambda: datetime.now(UTC)), RecordingInbox()
        app = workspace.app
        server = PlaygroundServer(workspace)  # not started, because the bot calls no method
        workspace.address = "http://127.0.0.1:9"
        client = await stack.enter_async_context(open_client(settings_of(server)))
        bot = BotIdentity(workspace.team.id, "", "", app.user_id, app.bot_id, "attendant")
        bolt = build_app(
            client, bot, services_of(inbox), settings_of(server), clock=SettableClock().now, people=KnownPeople()
        )
        http = HttpMode(bolt, secret or app.signing_secret, "127.0.0.1", 0, **options)
        await http.start()
        stack.push_async_callback(http.stop)
        url = f"http://127.0.0.1:{http.port}{PATH}"
        yield (
            InboundStage(await stack.enter_async_context(served(workspace, request_url=url)), inbox, http, client),
            http,
        )


async def test_events_and_commands_over_http() -> None:
    """Signed events and slash commands are accepted and answered."""
    async with http_stage() as (slack, _):
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.acknowledged()
        reply = await slack.command("/reset")

        assert len(slack.inbox.accepted) == 1
        assert reply.text == texts.SLASH_NOTHING


async def test_url_verification() -> None:
    """The url_verification request of Slack's set-up page is answered with its challenge."""
    async with http_stage() as (slack, _):
        assert slack.server.http is not None
        assert await slack.server.http.verifies_url()


async def test_an_event_that_is_not_stored_is_not_acknowledged() -> None:
    """If the database fails, the status is 500. Slack delivers the event again, and it is accepted."""
    async with http_stage() as (slack, _):
        slack.inbox.failures_left = 1
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.acknowledged()
        (delivery,) = slack.server.deliveries.all()

        assert [attempt.failure for attempt in delivery.attempts] == ["http_error", None]


def signed(body: bytes, at: float, secret: str = SECRET) -> dict[str, str]:
    """Return the headers with Slack's signature of the body."""
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
async def test_unverified_requests_are_refused(body: bytes, headers: dict[str, str], status: int) -> None:
    """Unsigned, wrongly signed, old, huge and malformed requests are refused."""
    async with http_stage(SECRET) as (slack, http), aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{http.port}{PATH}"
        async with session.post(url, data=body, headers=headers) as response:
            assert response.status == status
        assert (slack.inbox.accepted, slack.inbox.failed_deliveries) == ([], 0)


async def test_other_paths() -> None:
    """Other paths are not found."""
    async with http_stage() as (_, http), aiohttp.request("POST", f"http://127.0.0.1:{http.port}/") as response:
        assert response.status == 404


async def test_a_port_in_use() -> None:
    """The error is one line with the port and the remedy."""
    async with http_stage() as (_, http):
        other = HttpMode(http._app, SECRET, "127.0.0.1", http.port)  # noqa: SLF001 - any app will do
        with pytest.raises(StartupError, match=f"^Port {http.port} .*Set PORT"):
            await other.start()
        await other.stop()
