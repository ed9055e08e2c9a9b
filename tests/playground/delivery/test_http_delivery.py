"""Tests of signed delivery over HTTP, to an app that checks signatures with Slack's own verifier."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from slack_sdk.signature import SignatureVerifier

from bot.playground.playground_server import PlaygroundServer
from tests.support.playground_stage import make_workspace, served


class App:
    """An app's request URL. It records each request and returns the next of `responses`, then an empty 200."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        self.responses: list[web.Response] = []
        self.url = ""
        self.unresponsive = False

    async def handle(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.text())
        self.headers.append(request.headers)
        if self.unresponsive:
            await asyncio.Event().wait()
        if "challenge" in self.bodies[-1]:
            return web.json_response({"challenge": json.loads(self.bodies[-1])["challenge"]})
        return self.responses.pop(0) if self.responses else web.Response()


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[None]:
    application = web.Application()
    application.router.add_post("/slack/events", app.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    app.url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    try:
        yield
    finally:
        await runner.cleanup()


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    async with serving(app):
        yield app


@pytest.fixture
async def server(app: App) -> AsyncIterator[PlaygroundServer]:
    workspace = make_workspace(lambda: datetime.now(UTC))
    more: dict[str, Any] = {"ack_within_s": 0.2, "retry_after_s": (0.0, 0.01)}
    async with served(workspace, request_url=app.url, **more) as server:
        yield server


async def post(server: PlaygroundServer) -> None:
    """Post a message of Ana's. Return when no delivery is pending."""
    workspace = server.workspace
    workspace.post(workspace.person("ana"), workspace.channel("help-desk"), "hi")
    await workspace.until(lambda: all(delivery.done for delivery in server.deliveries.all()))


async def test_requests_are_signed(server: PlaygroundServer, app: App) -> None:
    """An event is one JSON request, and Slack's verifier accepts its signature with the app's secret only."""
    await post(server)
    (body,), (headers,) = app.bodies, app.headers

    assert json.loads(body)["event"]["text"] == "hi"
    assert SignatureVerifier(server.workspace.app.signing_secret).is_valid_request(body, dict(headers))
    assert not SignatureVerifier("another").is_valid_request(body, dict(headers))
    assert "X-Slack-Retry-Num" not in headers


async def test_failures_are_retried_with_their_reason(server: PlaygroundServer, app: App) -> None:
    """After an error the same event is sent again, with its retry number and reason."""
    app.responses = [web.Response(status=500), web.Response(status=500)]
    await post(server)

    assert len({json.loads(body)["event_id"] for body in app.bodies}) == 1
    retries = [(h["X-Slack-Retry-Num"], h["X-Slack-Retry-Reason"]) for h in app.headers[1:]]
    assert retries == [("1", "http_error"), ("2", "http_error")]
    assert server.deliveries.all()[0].acknowledged


async def test_an_app_can_refuse_retries(server: PlaygroundServer, app: App) -> None:
    """X-Slack-No-Retry ends the retries."""
    app.responses = [web.Response(status=500, headers={"X-Slack-No-Retry": "1"})]
    await post(server)

    assert len(app.bodies) == 1
    assert not server.deliveries.all()[0].acknowledged


async def test_silence_is_a_timeout(server: PlaygroundServer, app: App) -> None:
    """A response that does not come in time is a failed delivery."""
    app.unresponsive = True
    await post(server)

    assert {attempt.failure for attempt in server.deliveries.all()[0].attempts} == {"http_timeout"}


async def test_an_app_that_is_away_fails_the_connection() -> None:
    """A refused connection is a failed delivery."""
    stopped = App()
    async with serving(stopped):
        pass
    async with served(make_workspace(), request_url=stopped.url, retry_after_s=()) as server:
        await post(server)

        assert [attempt.failure for attempt in server.deliveries.all()[0].attempts] == ["connection_failed"]


async def test_commands_are_forms_answered_in_the_body(server: PlaygroundServer, app: App) -> None:
    """A slash command is a form. The person sees JSON or plain text in the response."""
    app.responses = [web.json_response({"text": "as JSON"}), web.Response(text="as text")]
    workspace = server.workspace
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    for _ in range(2):
        workspace.interactions.command(ana, desk, "/reset", "a & b")
        await workspace.until(lambda: server.deliveries.all()[-1].done)

    assert parse_qs(app.bodies[0])["text"] == ["a & b"]
    assert [message.text for message in workspace.ephemerals(ana, desk)] == ["as JSON", "as text"]


async def test_shortcuts_are_forms_with_a_payload(server: PlaygroundServer, app: App) -> None:
    """A shortcut is a form whose `payload` is JSON."""
    workspace = server.workspace
    ana, desk = workspace.person("ana"), workspace.channel("help-desk")
    workspace.interactions.shortcut(ana, workspace.post(ana, desk, "hi"), "start_over")
    await workspace.until(lambda: all(delivery.done for delivery in server.deliveries.all()))

    payload = next(json.loads(parse_qs(body)["payload"][0]) for body in app.bodies if body.startswith("payload"))
    assert payload["callback_id"] == "start_over"


async def test_the_url_is_verified_by_its_answer(server: PlaygroundServer, app: App) -> None:
    """url_verification succeeds when the app returns the challenge."""
    assert server.http is not None
    assert await server.http.verifies_url()
    assert SignatureVerifier(server.workspace.app.signing_secret).is_valid_request(app.bodies[0], dict(app.headers[0]))
