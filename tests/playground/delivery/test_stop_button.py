"""Tests of Slack's Stop button, which apps declared agents have while they stream or are processing."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.changes import StatusSet
from bot.playground.workspace.messages import Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.rules import NotAllowed
from bot.playground.workspace.thread_statuses import STOP_EVENT
from bot.playground.workspace.workspace import Workspace
from tests.support.playground_stage import Clock, connected, declare_agent, make_workspace, served


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[PlaygroundServer]:
    workspace = make_workspace(clock)
    declare_agent(workspace)
    async with served(workspace, retry_after_s=()) as server:
        yield server


async def start(client: AsyncWebClient, root: Message) -> dict[str, Any]:
    """Start a stream for Ana in a thread. Return its channel and ts."""
    to: dict[str, Any] = {"recipient_user_id": "U0ANASILVA", "recipient_team_id": "T0HARBOUR", "markdown_text": "Hel"}
    answer = await client.chat_startStream(channel=root.channel, thread_ts=root.ts, **to)
    return {"channel": root.channel, "ts": answer["ts"]}


async def set_status(client: AsyncWebClient, root: Message, status: str) -> Any:
    return await client.agents_sessions_setStatus(channel_id=root.channel, thread_ts=root.ts, status=status)


async def test_pressing_stop_sends_an_event(
    server: PlaygroundServer, client: AsyncWebClient, ana: Person, help_desk: Channel, root: Message
) -> None:
    """The app gets an event with the person, the thread and the streams that Slack stopped."""
    async with connected(server):
        where = await start(client, root)
        server.workspace.interactions.stop(ana, help_desk, root.ts)
        await server.workspace.until(lambda: server.deliveries.pending == 0)

    (delivery,) = server.deliveries.events(STOP_EVENT)
    event_ts = delivery.event["event_ts"]
    assert delivery.acknowledged
    assert delivery.event == {
        "type": "agent_session_stopped",
        "channel": help_desk.id,
        "thread_ts": root.ts,
        "user": ana.id,
        "streaming_message_ts": [where["ts"]],
        "event_ts": event_ts,
    }


async def test_a_stopped_stream_takes_no_more_text(
    client: AsyncWebClient, workspace: Workspace, ana: Person, help_desk: Channel, root: Message
) -> None:
    """chat.appendStream fails with stopped_by_user. chat.stopStream works once and clears the session's status."""
    where = await start(client, root)
    workspace.interactions.stop(ana, help_desk, root.ts)
    with pytest.raises(SlackApiError, match="stopped_by_user"):
        await client.chat_appendStream(**where, markdown_text="lo")
    assert workspace.statuses.text(help_desk, root.ts) == "Working…"
    await client.chat_stopStream(**where, markdown_text=" (stopped)")

    assert [message.text for message in workspace.app_messages(help_desk)] == ["Hel (stopped)"]
    assert workspace.statuses.text(help_desk, root.ts) == ""
    with pytest.raises(SlackApiError, match="message_not_in_streaming_state"):
        await client.chat_stopStream(**where)


async def test_a_stopped_stream_can_be_edited(
    client: AsyncWebClient, workspace: Workspace, ana: Person, help_desk: Channel, root: Message
) -> None:
    """chat.update works on a stopped stream too."""
    where = await start(client, root)
    workspace.interactions.stop(ana, help_desk, root.ts)
    await client.chat_update(**where, blocks=[{"type": "markdown", "text": "Hello."}], text="Hello.")

    assert [message.shown_text for message in workspace.app_messages(help_desk)] == ["Hello."]


async def test_work_that_is_no_stream_can_be_stopped(
    server: PlaygroundServer, client: AsyncWebClient, ana: Person, help_desk: Channel, root: Message
) -> None:
    """A processing session can be stopped without a stream. Posting keeps it processing, `active` ends it."""
    await set_status(client, root, "processing")
    await client.chat_postMessage(channel=help_desk.id, thread_ts=root.ts, text="Let me look.")
    server.workspace.interactions.stop(ana, help_desk, root.ts)
    assert server.deliveries.events(STOP_EVENT)[0].event["streaming_message_ts"] == []
    await set_status(client, root, "active")

    with pytest.raises(NotAllowed):
        server.workspace.interactions.stop(ana, help_desk, root.ts)


async def test_a_plain_app_cannot_be_stopped(
    client: AsyncWebClient, workspace: Workspace, ana: Person, help_desk: Channel, root: Message
) -> None:
    """An app that is not declared an agent has no Stop button, even while it streams."""
    workspace.app = dataclasses.replace(workspace.app, is_agent=False)
    await start(client, root)
    await client.assistant_threads_setStatus(channel_id=help_desk.id, thread_ts=root.ts, status="is thinking")

    assert not workspace.statuses.is_stoppable(help_desk, root.ts)
    with pytest.raises(NotAllowed):
        workspace.interactions.stop(ana, help_desk, root.ts)


async def test_an_agent_that_does_not_subscribe_is_warned(
    client: AsyncWebClient, workspace: Workspace, help_desk: Channel, root: Message
) -> None:
    """Without a subscription to the event, the status has no Stop button and Slack returns a warning."""
    assert (await set_status(client, root, "processing")).get("warning") is None
    events = tuple(event for event in workspace.app.manifest.events if event != STOP_EVENT)
    manifest = dataclasses.replace(workspace.app.manifest, events=events)
    workspace.app = dataclasses.replace(workspace.app, manifest=manifest)

    answer = await set_status(client, root, "processing")
    assert answer["warning"] == "missing_agent_session_stopped_event_subscription"
    assert (workspace.statuses.text(help_desk, root.ts), workspace.statuses.is_stoppable(help_desk, root.ts)) == (
        "Working…",
        False,
    )


async def test_a_stream_may_end_and_the_work_go_on(
    client: AsyncWebClient, workspace: Workspace, help_desk: Channel, root: Message
) -> None:
    """chat.stopStream sets the session's next status, `active` by default. It refuses unknown ones."""
    await client.chat_stopStream(**await start(client, root), session_status="processing")
    assert workspace.statuses.is_stoppable(help_desk, root.ts)
    with pytest.raises(SlackApiError, match="invalid_arguments"):
        await client.chat_stopStream(**await start(client, root), session_status="idle")


async def test_a_stream_that_ran_out_leaves_nothing_to_stop(
    client: AsyncWebClient, workspace: Workspace, clock: Clock, help_desk: Channel, root: Message
) -> None:
    """When a stream expires, its session is no longer processing."""
    await start(client, root)
    clock.advance(minutes=5)
    workspace.sweep()

    assert workspace.statuses.text(help_desk, root.ts) == ""
    assert workspace.transcript.streaming() == []


async def test_the_page_offers_to_stop(
    server: PlaygroundServer, client: AsyncWebClient, ana: Person, help_desk: Channel, root: Message
) -> None:
    """The page learns where a thread can be stopped, and only members of the channel can stop it."""
    statuses_set: list[StatusSet] = []
    server.workspace.subscribe(lambda change: statuses_set.append(change) if isinstance(change, StatusSet) else None)
    await start(client, root)
    async with aiohttp.ClientSession(server.url) as page:
        async with page.get("/page/messages", params={"channel": help_desk.id, "as": ana.id}) as response:
            statuses = (await response.json())["statuses"]
        fields = {"channel": help_desk.id, "thread_ts": root.ts}
        async with page.post("/page/stop", json={**fields, "as": "U0NOBODY"}) as response:
            assert response.status == 403
        async with page.post("/page/stop", json={**fields, "as": ana.id}) as response:
            assert response.status == 200

    assert statuses == [{"thread_ts": root.ts, "text": "Working…", "stoppable": True}]
    assert statuses_set == [StatusSet(help_desk.id, root.ts, "Working…", stoppable=True)]
    assert len(server.deliveries.events(STOP_EVENT)) == 1


async def test_a_status_of_a_session_lasts_an_hour(
    client: AsyncWebClient, workspace: Workspace, clock: Clock, help_desk: Channel, root: Message
) -> None:
    """A session that is not renewed stops processing after an hour."""
    await set_status(client, root, "processing")
    clock.now += timedelta(minutes=59)
    assert workspace.statuses.is_stoppable(help_desk, root.ts)
    clock.advance(minutes=1)

    assert not workspace.statuses.is_stoppable(help_desk, root.ts)
