"""Tests of conversations.replies with Slack's own client."""

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
from tests.support.playground_stage import make_workspace, served

METADATA: dict[str, Any] = {"event_type": "answer", "event_payload": {"turn": 1}}


@pytest.fixture
async def server() -> AsyncIterator[PlaygroundServer]:
    async with served(make_workspace(), retry_after_s=()) as server:
        yield server


@pytest.fixture
def root(workspace: Workspace, ana: Person, help_desk: Channel) -> Message:
    return workspace.post(ana, help_desk, "0")


async def replies(client: AsyncWebClient, root: Message, **more: Any) -> list[dict[str, Any]]:
    """Return the messages of one page."""
    answer = await client.conversations_replies(channel=root.channel, ts=root.ts, **more)
    messages: list[dict[str, Any]] = answer["messages"]
    return messages


def texts(messages: list[dict[str, Any]]) -> list[str]:
    return [message["text"] for message in messages]


async def test_replies_come_in_pages(
    client: AsyncWebClient, workspace: Workspace, ana: Person, help_desk: Channel, root: Message
) -> None:
    """The replies come page by page. The root is on the first page only."""
    for text in "1234":
        workspace.post(ana, help_desk, text, root.ts)
    first = await client.conversations_replies(channel=help_desk.id, ts=root.ts, limit=2)
    assert first["messages"][0]["reply_count"] == 4
    assert [texts(page["messages"]) async for page in first] == [["0", "1"], ["2", "3"], ["4"]]


async def test_replies_of_a_period(
    client: AsyncWebClient, workspace: Workspace, ana: Person, help_desk: Channel, root: Message
) -> None:
    """`oldest` and `latest` filter the replies, exclusive unless `inclusive`. They never filter the root."""
    one, _, three, _ = [workspace.post(ana, help_desk, text, root.ts) for text in "1234"]
    period = {"oldest": one.ts, "latest": three.ts}

    assert texts(await replies(client, root, **period)) == ["0", "2"]
    assert texts(await replies(client, root, **period, inclusive=True)) == ["0", "1", "2", "3"]
    assert texts(await replies(client, root, oldest=three.ts)) == ["0", "4"]


async def test_a_reply_leads_to_its_thread(
    client: AsyncWebClient, workspace: Workspace, ana: Person, help_desk: Channel, root: Message
) -> None:
    """The `ts` of any message of a thread finds it. A missing one is thread_not_found."""
    reply = workspace.post(ana, help_desk, "1", root.ts)

    assert texts(await replies(client, reply)) == ["0", "1"]
    with pytest.raises(SlackApiError, match="thread_not_found"):
        await client.conversations_replies(channel=help_desk.id, ts="1.000000")


async def test_the_apps_own_messages_are_recognised(
    client: AsyncWebClient, workspace: Workspace, ana: Person, help_desk: Channel, root: Message
) -> None:
    """The app's messages have its ids, a stream has its text so far, and ephemerals are left out."""
    to = {"recipient_user_id": ana.id, "recipient_team_id": ana.team, "markdown_text": "Hel"}
    stream = await client.api_call("chat.startStream", json={"channel": help_desk.id, "thread_ts": root.ts, **to})
    await client.chat_appendStream(channel=help_desk.id, ts=stream["ts"], markdown_text="lo")
    await client.chat_postEphemeral(channel=help_desk.id, thread_ts=root.ts, user=ana.id, text="Psst")
    question, answer = await replies(client, root)

    app = workspace.app
    found = (answer["text"], answer["bot_id"], answer["app_id"], answer["ts"])
    assert found == ("Hello", app.bot_id, app.id, stream["ts"])
    assert "bot_id" not in question


@pytest.mark.parametrize(
    ("channel", "scope"), [("help-desk", "channels:history"), ("it-team", "groups:history"), ("dm-ana", "im:history")]
)
async def test_each_kind_of_channel_needs_its_scope(
    client: AsyncWebClient, workspace: Workspace, ana: Person, channel: str, scope: str
) -> None:
    """Reading a conversation needs the scope of its kind."""
    root = workspace.post(ana, workspace.channel(channel), "0")
    assert texts(await replies(client, root)) == ["0"]
    workspace.app = dataclasses.replace(workspace.app, scopes=workspace.app.scopes - {scope})
    with pytest.raises(SlackApiError) as raised:
        await replies(client, root)

    assert raised.value.response["needed"] == scope


async def test_metadata_comes_back_when_asked_for(client: AsyncWebClient, root: Message, help_desk: Channel) -> None:
    """Messages posted, updated or stopped with metadata return it with include_all_metadata only."""
    where: dict[str, Any] = {"channel": help_desk.id, "thread_ts": root.ts}
    to = {"recipient_user_id": "U0ANASILVA", "recipient_team_id": "T0HARBOUR"}
    await client.chat_postMessage(**where, text="posted", metadata=METADATA)
    updated = await client.chat_postMessage(**where, text="x")
    await client.chat_update(channel=help_desk.id, ts=updated["ts"], text="updated", metadata=METADATA)
    stopped = await client.api_call("chat.startStream", json={**where, **to, "markdown_text": "stopped"})
    await client.chat_stopStream(channel=help_desk.id, ts=stopped["ts"], metadata=METADATA)

    assert [message.get("metadata") for message in await replies(client, root)] == [None] * 4
    complete = await replies(client, root, include_all_metadata=True)
    assert [message.get("metadata") for message in complete] == [None, METADATA, METADATA, METADATA]


async def test_deleted_messages_are_gone(client: AsyncWebClient, root: Message, help_desk: Channel) -> None:
    """A deleted message leaves its thread. A stream must end before it can be deleted."""
    to = {"recipient_user_id": "U0ANASILVA", "recipient_team_id": "T0HARBOUR", "markdown_text": "Hel"}
    stream = await client.api_call("chat.startStream", json={"channel": help_desk.id, "thread_ts": root.ts, **to})
    where: dict[str, Any] = {"channel": help_desk.id, "ts": stream["ts"]}
    with pytest.raises(SlackApiError, match="cant_delete_message"):
        await client.chat_delete(**where)
    await client.chat_stopStream(**where)
    await client.chat_delete(**where)

    assert texts(await replies(client, root)) == ["0"]
