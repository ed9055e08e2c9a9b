"""Trouble on purpose, as tests ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.server import PlaygroundServer
from tests.playground_stage import Clock, client_of, make_workspace, served

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
    """A refusal asked for once happens once; one without a number happens until it is cleared."""
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
    """A rate limit is a 429 with Retry-After, and nothing was done."""
    server.faults.rate_limit("chat.postMessage", retry_after_s=7)
    with pytest.raises(SlackApiError) as raised:
        await client.chat_postMessage(channel=DESK, text="x")

    assert raised.value.response.status_code == 429
    assert raised.value.response.headers["Retry-After"] == "7"
    assert server.workspace.said(server.workspace.channel("help-desk")) == []


async def test_the_tiers_can_be_switched_on(server: PlaygroundServer, client: AsyncWebClient, clock: Clock) -> None:
    """Of a method whose limit is enforced, a minute takes as many calls as its tier, and not one more."""
    server.rate_limits.enforce("conversations.replies")
    root = server.workspace.post(server.workspace.person("ana"), server.workspace.channel("help-desk"), "one")
    for _ in range(50):
        await client.conversations_replies(channel=DESK, ts=root.ts)
    clock.advance(seconds=20)
    with pytest.raises(SlackApiError) as raised:
        await client.conversations_replies(channel=DESK, ts=root.ts)
    clock.advance(seconds=40)

    assert raised.value.response.headers["Retry-After"] == "40"
    await client.conversations_replies(channel=DESK, ts=root.ts)


async def test_held_calls_wait(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """A held method does nothing until it is released."""
    held = server.faults.hold("chat.postMessage")
    posting = asyncio.ensure_future(client.chat_postMessage(channel=DESK, text="x"))
    await server.workspace.until(lambda: held.waiting == 1)
    assert server.calls.of("chat.postMessage") == []
    held.release()

    assert (await posting)["ok"]


async def test_a_lost_answer_leaves_the_message(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """When the answer gets lost, the caller sees a broken connection though the message was posted."""
    server.faults.lose_answer("chat.postMessage")
    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel=DESK, text="x")

    assert len(server.workspace.said(server.workspace.channel("help-desk"))) == 1
