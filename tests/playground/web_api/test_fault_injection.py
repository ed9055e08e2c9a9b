"""Tests of the faults that tests inject."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.playground_server import PlaygroundServer
from tests.support.playground_stage import Clock, client_of, connected, make_workspace, served

DESK = "C0HELPDESK"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[PlaygroundServer]:
    async with served(make_workspace(clock), retry_after_s=()) as server:
        yield server


@pytest.fixture
def client(server: PlaygroundServer) -> AsyncWebClient:
    client = client_of(server)
    client.retry_handlers.clear()
    return client


async def test_a_method_refuses_as_often_as_asked(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """A refusal with `times=1` affects one call. Without `times` it stays until it is cleared."""
    server.faults.refuse("chat.postMessage", "fatal_error", times=1)
    with pytest.raises(SlackApiError, match="fatal_error"):
        await client.chat_postMessage(channel=DESK, text="x")
    await client.chat_postMessage(channel=DESK, text="x")
    server.faults.refuse("chat.postMessage", "is_archived")
    with pytest.raises(SlackApiError, match="is_archived"):
        await client.chat_postMessage(channel=DESK, text="x")
    server.faults.clear("chat.postMessage")

    await client.chat_postMessage(channel=DESK, text="x")


async def test_a_rate_limit_says_when_to_come_back(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """A rate-limited call gets a 429 with Retry-After and is not carried out."""
    server.faults.rate_limit("chat.postMessage", retry_after_s=7)
    with pytest.raises(SlackApiError) as raised:
        await client.chat_postMessage(channel=DESK, text="x")

    assert raised.value.response.status_code == 429
    assert raised.value.response.headers["Retry-After"] == "7"
    assert server.workspace.app_messages(server.workspace.channel("help-desk")) == []


async def test_held_calls_wait(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """A held call is not carried out until it is released."""
    gate = server.faults.hold("chat.postMessage")
    posting = asyncio.ensure_future(client.chat_postMessage(channel=DESK, text="x"))
    await server.workspace.until(lambda: gate.waiting == 1)
    assert server.calls.of("chat.postMessage") == []
    gate.release()

    assert (await posting)["ok"]


async def test_calls_are_held_when_their_work_is_done(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """A call that is held after its work has its effect at once. The response comes at the release."""
    gate = server.faults.hold("chat.postMessage", after=True)
    posting = asyncio.ensure_future(client.chat_postMessage(channel=DESK, text="x"))
    await server.workspace.until(lambda: gate.waiting == 1)
    (posted,) = server.workspace.app_messages(server.workspace.channel("help-desk"))
    gate.release()

    assert (await posting)["ts"] == posted.ts


@pytest.mark.parametrize(("when", "posted"), [({}, 0), ({"after": True}, 1)])
async def test_held_calls_can_get_lost(
    server: PlaygroundServer, client: AsyncWebClient, when: dict[str, bool], posted: int
) -> None:
    """A dropped call breaks off, before or after its work. The next call continues."""
    gate = server.faults.hold("chat.postMessage", **when)
    posting = asyncio.ensure_future(client.chat_postMessage(channel=DESK, text="x"))
    await server.workspace.until(lambda: gate.waiting == 1)
    gate.drop()
    with pytest.raises(aiohttp.ClientError):
        await posting
    assert len(server.workspace.app_messages(server.workspace.channel("help-desk"))) == posted

    await client.chat_postMessage(channel=DESK, text="x")


async def test_a_server_error_comes_instead_of_an_answer(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """Both respond with a 5xx. `fail` does nothing, and `lose_answer` does the work."""
    for inject, status, error in (
        (server.faults.fail, 503, "http_503"),
        (server.faults.lose_answer, 502, None),
    ):
        inject("chat.postMessage", status=status)
        with pytest.raises(SlackApiError) as raised:
            await client.chat_postMessage(channel=DESK, text="x")
        assert raised.value.response.status_code == status
        assert server.calls.all()[-1].error == error

    assert len(server.workspace.app_messages(server.workspace.channel("help-desk"))) == 1


async def test_a_lost_answer_leaves_the_message(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """The caller of a lost response sees a broken connection, although the message was posted."""
    server.faults.lose_answer("chat.postMessage")
    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel=DESK, text="x")

    assert len(server.workspace.app_messages(server.workspace.channel("help-desk"))) == 1


async def test_a_held_delivery_is_overtaken(server: PlaygroundServer) -> None:
    """A held delivery arrives after a later one, once another hold has replaced its hold."""
    arrived: list[str] = []
    workspace, channel = server.workspace, server.workspace.channel("help-desk")

    def record(request: SocketModeRequest) -> None:
        arrived.append(request.payload["event"]["text"])

    async with connected(server, record):
        gate = server.faults.hold("events_api")
        workspace.post(workspace.person("ana"), channel, "first")
        await workspace.until(lambda: gate.waiting == 1)
        server.faults.hold("events_api").release()
        workspace.post(workspace.person("ana"), channel, "second")
        await workspace.until(lambda: server.deliveries.pending == 1)
        gate.release()
        await workspace.until(lambda: not server.deliveries.pending)

    assert arrived == ["second", "first"]
