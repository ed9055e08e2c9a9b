"""Tests of streamed messages with Slack's own client."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.messages import Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.workspace import Workspace
from tests.support.playground_stage import Clock, make_workspace, served


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[PlaygroundServer]:
    async with served(make_workspace(clock), retry_after_s=()) as server:
        yield server


async def start(client: AsyncWebClient, root: Message, **more: Any) -> str:
    """Start a stream for Ana in a thread. Return its ts."""
    to = {"recipient_user_id": "U0ANASILVA", "recipient_team_id": "T0HARBOUR"}
    answer = await client.chat_startStream(channel=root.channel, thread_ts=root.ts, **{**to, **more})
    ts: str = answer["ts"]
    return ts


async def error(client: AsyncWebClient, method: str, **args: Any) -> str:
    """Return Slack's error for a call that it refuses."""
    with pytest.raises(SlackApiError) as raised:
        await client.api_call(method, json=args)
    return str(raised.value.response["error"])


async def test_a_stream_grows_and_ends(
    client: AsyncWebClient, workspace: Workspace, help_desk: Channel, root: Message
) -> None:
    """The streamed pieces form one message of the thread, which streams until it is stopped."""
    ts = await start(client, root, markdown_text="**Hel")
    await client.chat_appendStream(channel=help_desk.id, ts=ts, markdown_text="lo**")
    assert workspace.app_messages(help_desk)[0].streaming_since
    answer = await client.chat_stopStream(channel=help_desk.id, ts=ts, markdown_text=" Ana")

    (message,) = workspace.app_messages(help_desk)
    assert (message.text, message.format, message.thread_ts) == ("**Hello** Ana", "markdown", root.ts)
    assert message.streaming_since is None
    assert answer["message"]["text"] == "**Hello** Ana"


async def test_the_app_gets_events_of_start_and_end(
    server: PlaygroundServer, client: AsyncWebClient, root: Message
) -> None:
    """A stream sends one message event and one message_changed event, not one for each piece."""
    ts = await start(client, root, markdown_text="a")
    for _ in range(3):
        await client.chat_appendStream(channel=root.channel, ts=ts, markdown_text="b")
    await client.chat_stopStream(channel=root.channel, ts=ts)

    own = [d.event for d in server.deliveries.events("message") if d.event.get("user") != "U0ANASILVA"]
    assert [event.get("subtype") for event in own] == [None, "message_changed"]
    assert own[1]["message"]["text"] == "abbb"


async def test_slack_own_streaming_helper_works(
    client: AsyncWebClient, workspace: Workspace, help_desk: Channel, root: Message
) -> None:
    """The SDK's chat_stream, which sends chunks, is understood."""
    stream = await client.chat_stream(
        buffer_size=3,
        channel=help_desk.id,
        thread_ts=root.ts,
        recipient_team_id="T0HARBOUR",
        recipient_user_id="U0ANASILVA",
    )
    for piece in ("Hello", " there", "!"):
        await stream.append(markdown_text=piece)
    await stream.stop()

    assert [message.text for message in workspace.app_messages(help_desk)] == ["Hello there!"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"thread_ts": None}, "invalid_thread_ts"),
        ({"thread_ts": "1.000000"}, "invalid_thread_ts"),
        ({"recipient_user_id": None}, "missing_recipient_user_id"),
        ({"recipient_team_id": None}, "missing_recipient_team_id"),
        ({"recipient_team_id": "T404"}, "user_not_found"),
        ({"markdown_text": "x" * 12_001}, "msg_too_long"),
        ({"chunks": [{"type": "surprise"}]}, "invalid_chunks"),
    ],
)
async def test_starts_that_are_refused(
    client: AsyncWebClient, root: Message, change: dict[str, Any], expected: str
) -> None:
    """In a channel, a stream needs an existing thread and its recipient, and must keep the limits."""
    args = {
        "channel": root.channel,
        "thread_ts": root.ts,
        "recipient_user_id": "U0ANASILVA",
        "recipient_team_id": "T0HARBOUR",
    }

    assert await error(client, "chat.startStream", **{**args, **change}) == expected


async def test_direct_messages_need_no_recipient(client: AsyncWebClient, workspace: Workspace, ana: Person) -> None:
    """In a direct message, a stream needs no recipient."""
    root = workspace.post(ana, workspace.dm(ana), "help")
    await client.chat_startStream(channel=root.channel, thread_ts=root.ts, markdown_text="Hi")

    assert [message.text for message in workspace.app_messages(workspace.dm(ana))] == ["Hi"]


async def test_an_ended_stream_takes_no_more(client: AsyncWebClient, root: Message) -> None:
    """Nobody can append to or stop a message that does not stream, or another person's message."""
    ts = await start(client, root, markdown_text="a")
    await client.chat_stopStream(channel=root.channel, ts=ts)
    where = {"channel": root.channel, "markdown_text": "b"}

    assert await error(client, "chat.appendStream", **where, ts=ts) == "message_not_in_streaming_state"
    assert await error(client, "chat.stopStream", **where, ts=ts) == "message_not_in_streaming_state"
    assert await error(client, "chat.appendStream", **where, ts=root.ts) == "message_not_owned_by_app"
    assert await error(client, "chat.appendStream", **where, ts="1.000000") == "message_not_found"


async def test_empty_streams_are_refused(client: AsyncWebClient, root: Message) -> None:
    """Appending nothing, and ending an empty stream, fails with no_text."""
    ts = await start(client, root)

    assert await error(client, "chat.appendStream", channel=root.channel, ts=ts) == "no_text"
    assert await error(client, "chat.stopStream", channel=root.channel, ts=ts) == "no_text"


async def test_a_live_stream_cannot_be_updated(client: AsyncWebClient, clock: Clock, root: Message) -> None:
    """chat.update conflicts with a stream. After five minutes the stream has expired, and it works."""
    ts = await start(client, root, markdown_text="a")
    where: dict[str, Any] = {"channel": root.channel, "ts": ts}
    assert await error(client, "chat.update", **where, text="b") == "streaming_state_conflict"
    clock.advance(seconds=299)
    await client.chat_appendStream(**where, markdown_text="b")
    clock.advance(seconds=1)

    assert await error(client, "chat.appendStream", **where, markdown_text="c") == "message_not_in_streaming_state"
    await client.chat_update(**where, markdown_text="abc")


async def test_blocks_at_the_end_stand_below_the_text(
    client: AsyncWebClient, workspace: Workspace, help_desk: Channel, root: Message
) -> None:
    """Blocks of chat.stopStream follow the streamed text."""
    ts = await start(client, root, markdown_text="a")
    await client.chat_stopStream(channel=help_desk.id, ts=ts, blocks=[{"type": "divider"}])

    assert [block["type"] for block in workspace.app_messages(help_desk)[0].blocks] == ["markdown", "divider"]


async def test_an_agents_stream_shows_that_it_works(
    client: AsyncWebClient, workspace: Workspace, help_desk: Channel, root: Message
) -> None:
    """An agent's stream shows a status until it stops."""
    workspace.app = dataclasses.replace(workspace.app, is_agent=True)
    ts = await start(client, root, markdown_text="a")
    assert workspace.statuses.text(help_desk, root.ts) == "Working…"
    await client.chat_stopStream(channel=help_desk.id, ts=ts)

    assert workspace.statuses.text(help_desk, root.ts) == ""
