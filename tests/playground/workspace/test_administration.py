"""Tests of the events, and of the permissions left, when the app or a channel goes away."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.rules import NotAllowed
from bot.playground.workspace.workspace import Workspace
from tests.support.playground_stage import connected, make_workspace, served, subscribe

EVENTS = ("channel_archive", "channel_deleted", "group_archive", "group_deleted", "member_left_channel")


@pytest.fixture
async def server() -> AsyncIterator[PlaygroundServer]:
    workspace = make_workspace()
    subscribe(workspace, *EVENTS, "app_uninstalled", "tokens_revoked", scopes=("channels:read", "groups:read"))
    async with served(workspace, retry_after_s=()) as server:
        yield server


def events_of(server: PlaygroundServer) -> list[dict[str, Any]]:
    """Return the events so far, without message events and without event_ts."""
    events = [delivery.event for delivery in server.deliveries.all() if delivery.event["type"] != "message"]
    return [{name: value for name, value in event.items() if name != "event_ts"} for event in events]


async def error(client: AsyncWebClient, channel: str) -> str:
    """Return Slack's error for a post in this channel."""
    with pytest.raises(SlackApiError) as raised:
        await client.chat_postMessage(channel=channel, text="x")
    return str(raised.value.response["error"])


async def test_after_an_uninstall_nothing_works(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """The app gets the events, its connections close, and every call fails with account_inactive."""
    workspace = server.workspace
    async with connected(server) as socket:
        socket.auto_reconnect_enabled = False
        workspace.admin.uninstall()
        await workspace.until(lambda: server.sockets.open == 0)

    assert all(delivery.acknowledged for delivery in server.deliveries.all())
    assert events_of(server) == [
        {"type": "app_uninstalled"},
        {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [workspace.app.user_id]}},
    ]
    assert await error(client, "C0HELPDESK") == "account_inactive"
    with pytest.raises(SlackApiError, match="account_inactive"):
        await client.apps_connections_open(app_token=workspace.app.app_token)


async def test_an_uninstalled_app_gets_no_more_events(server: PlaygroundServer, workspace: Workspace) -> None:
    """Messages posted after the uninstall send no events."""
    workspace.admin.uninstall()
    workspace.post(workspace.person("ana"), workspace.channel("help-desk"), "@attendant still there?")

    assert server.deliveries.events("message") == server.deliveries.events("app_mention") == []


@pytest.mark.parametrize(
    ("name", "prefix", "subtype"), [("help-desk", "channel", "channel"), ("it-team", "group", "group")]
)
async def test_an_archived_channel(
    server: PlaygroundServer, client: AsyncWebClient, name: str, prefix: str, subtype: str
) -> None:
    """The app gets two events, one of them a message. It can read the channel but not post in it."""
    workspace = server.workspace
    ana, channel = workspace.person("ana"), workspace.channel(name)
    root = workspace.post(ana, channel, "one")
    workspace.admin.archive(ana, channel)

    assert events_of(server) == [{"type": f"{prefix}_archive", "user": ana.id, "channel": channel.id, "is_moved": 0}]
    assert len(server.deliveries.events("message", subtype=f"{subtype}_archive")) == 1
    assert await error(client, channel.id) == "is_archived"
    assert len((await client.conversations_replies(channel=channel.id, ts=root.ts))["messages"]) == 1


@pytest.mark.parametrize(("name", "event"), [("help-desk", "channel_deleted"), ("it-team", "group_deleted")])
async def test_a_deleted_channel(server: PlaygroundServer, client: AsyncWebClient, name: str, event: str) -> None:
    """The app gets an event and no longer finds the channel."""
    channel = server.workspace.channel(name)
    server.workspace.admin.delete_channel(channel)

    assert events_of(server) == [{"type": event, "channel": channel.id}]
    assert await error(client, channel.id) == "channel_not_found"


@pytest.mark.parametrize(
    ("name", "refusal", "left"),
    [("help-desk", "not_in_channel", "channel_left"), ("it-team", "channel_not_found", "group_left")],
)
async def test_a_removed_bot(
    server: PlaygroundServer, client: AsyncWebClient, name: str, refusal: str, left: str
) -> None:
    """The app gets two events about leaving. A private channel then no longer exists for it."""
    workspace = server.workspace
    channel = workspace.admin.remove_bot(workspace.channel(name))
    workspace.post(workspace.person("ana"), channel, "@attendant still there?")

    assert events_of(server) == [
        {
            "type": "member_left_channel",
            "user": workspace.app.user_id,
            "team": workspace.team.id,
            "channel": channel.id,
            "channel_type": "C",
        },
        {"type": left, "channel": channel.id},
    ]
    assert await error(client, channel.id) == refusal


async def test_only_subscribed_events_are_sent() -> None:
    """Without the subscription or its scope, the app gets none of these events."""
    workspace = make_workspace()
    manifest = dataclasses.replace(workspace.app.manifest, events=EVENTS)
    workspace.app = dataclasses.replace(workspace.app, manifest=manifest, scopes=frozenset())
    async with served(workspace, retry_after_s=()) as server:
        workspace.admin.remove_bot(workspace.channel("general"))
        workspace.admin.delete_channel(workspace.channel("help-desk"))
        workspace.admin.uninstall()

        assert events_of(server) == []


async def test_only_members_archive(workspace: Workspace) -> None:
    """Only a member can archive a channel."""
    with pytest.raises(NotAllowed):
        workspace.admin.archive(workspace.person("ben"), workspace.channel("it-team"))
