"""Tests of Slack's rate limits, and of the check that finds calls that ignore them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.messages import Message
from tests.support.playground_stage import Clock, client_of, make_workspace, served

DESK, GENERAL = "C0HELPDESK", "C0GENERAL0"
TO_ANA = {"recipient_user_id": "U0ANASILVA", "recipient_team_id": "T0HARBOUR"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[PlaygroundServer]:
    async with served(make_workspace(clock), retry_after_s=()) as server:
        server.rate_limits.enforce()
        yield server


@pytest.fixture
def root(server: PlaygroundServer) -> Message:
    return server.workspace.post(server.workspace.person("ana"), server.workspace.channel("help-desk"), "one")


async def refused(client: AsyncWebClient, method: str, **args: str) -> int:
    """Return the Retry-After of a call that gets a 429."""
    with pytest.raises(SlackApiError) as raised:
        await client.api_call(method, data=args)
    assert (raised.value.response.status_code, raised.value.response["error"]) == (429, "ratelimited")
    return int(raised.value.response.headers["Retry-After"])


@pytest.mark.parametrize(("method", "most"), [("chat.startStream", 20), ("chat.update", 50), ("users.info", 100)])
async def test_a_minute_takes_as_many_calls_as_the_tier(
    client: AsyncWebClient, clock: Clock, root: Message, method: str, most: int
) -> None:
    """A method accepts its tier's calls within a minute, and the next when the oldest is a minute ago."""
    posted_ts = (await client.chat_postMessage(channel=GENERAL, text="x"))["ts"]
    calls = {
        "chat.startStream": {"channel": DESK, "thread_ts": root.ts, **TO_ANA},
        "chat.update": {"channel": GENERAL, "ts": posted_ts, "text": "y"},
        "users.info": {"user": "U0ANASILVA"},
    }
    for _ in range(most):
        await client.api_call(method, data=calls[method])
    clock.advance(seconds=20)
    assert await refused(client, method, **calls[method]) == 40
    clock.advance(seconds=40)

    await client.api_call(method, data=calls[method])


async def test_a_channel_takes_a_message_a_second(client: AsyncWebClient, clock: Clock) -> None:
    """Posting is limited for each channel separately."""
    await client.chat_postMessage(channel=DESK, text="x")
    assert await refused(client, "chat.postMessage", channel=DESK, text="x") == 1
    await client.chat_postMessage(channel=GENERAL, text="x")
    clock.advance(seconds=1)

    await client.chat_postMessage(channel=DESK, text="x")


async def test_without_names_limits_are_off(clock: Clock) -> None:
    """Limits are off by default. `enforce` switches on the named ones only."""
    async with served(make_workspace(clock), retry_after_s=()) as server:
        client = client_of(server)
        for _ in range(3):
            await client.chat_postMessage(channel=DESK, text="x")
        server.rate_limits.enforce("chat.startStream")
        await client.chat_postMessage(channel=DESK, text="x")

        assert server.calls.refused() == []


async def test_calls_made_too_early_are_found(server: PlaygroundServer, client: AsyncWebClient, clock: Clock) -> None:
    """`too_early` finds calls before the end of their Retry-After, but none in another channel."""
    await client.chat_postMessage(channel=DESK, text="first")
    await refused(client, "chat.postMessage", channel=DESK, text="refused")
    clock.advance(seconds=0.9)
    await client.chat_postMessage(channel=GENERAL, text="elsewhere")
    await refused(client, "chat.postMessage", channel=DESK, text="early")
    clock.advance(seconds=1)
    await client.chat_postMessage(channel=DESK, text="in time")

    assert [call.args["text"] for call in server.calls.refused()] == ["refused", "early"]
    assert [call.args["text"] for call in server.calls.too_early()] == ["early"]


async def test_calls_that_were_in_flight_are_excused(
    server: PlaygroundServer, client: AsyncWebClient, clock: Clock
) -> None:
    """A call sent before the app could read the 429 does not count as too early."""
    server.faults.rate_limit("users.info", retry_after_s=60)
    await refused(client, "users.info", user="U0ANASILVA")
    clock.advance(seconds=0.3)
    await client.users_info(user="U0BENOKAFO")

    assert server.calls.too_early() == []
    assert len(server.calls.too_early(in_flight=timedelta(seconds=0.2))) == 1
