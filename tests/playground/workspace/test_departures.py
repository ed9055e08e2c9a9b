"""What the app hears, and may still do, when it or a channel goes away."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.server import PlaygroundServer
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


def heard(server: PlaygroundServer) -> list[dict[str, Any]]:
    """The events so far, without those of messages and without their times."""
    events = [delivery.event for delivery in server.deliveries.all() if delivery.event["type"] != "message"]
    return [{name: value for name, value in event.items() if name != "event_ts"} for event in events]


async def error(client: AsyncWebClient, channel: str) -> str:
    """Slack's error for a post there."""
    with pytest.raises(SlackApiError) as raised:
        await client.chat_postMessage(channel=channel, text="x")
    return str(raised.value.response["error"])


async def test_after_an_uninstall_nothing_works(server: PlaygroundServer, client: AsyncWebClient) -> None:
    """The app hears of it on its connections, which then close; every call says that its account is inactive."""
    workspace = server.workspace
    async with connected(server) as socket:
        socket.auto_reconnect_enabled = False
        workspace.admin.uninstall()
        await workspace.until(lambda: server.sockets.open == 0)

    assert all(delivery.acknowledged for delivery in server.deliveries.all())
    assert heard(server) == [
        {"type": "app_uninstalled"},
        {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [workspace.app.user_id]}},
    ]
    assert await error(client, "C0HELPDESK") == "account_inactive"
    with pytest.raises(SlackApiError, match="account_inactive"):
        await client.apps_connections_open(app_token=workspace.app.app_token)


async def test_an_uninstalled_app_hears_nothing_more(server: PlaygroundServer, workspace: Workspace) -> None:
    """What people say afterwards is not told to it."""
    workspace.admin.uninstall()
    workspace.post(workspace.person("ana"), workspace.channel("help-desk"), "@attendant still there?")

    assert server.deliveries.events("message") == server.deliveries.events("app_mention") == []


@pytest.mark.parametrize(
    ("name", "prefix", "subtype"), [("help-desk", "channel", "channel"), ("it-team", "group", "group")]
)
async def test_an_archived_channel(
    server: PlaygroundServer, client: AsyncWebClient, name: str, prefix: str, subtype: str
) -> None:
    """The app hears of it twice, as a message too; it can read there, and not write."""
    workspace = server.workspace
    ana, channel = workspace.person("ana"), workspace.channel(name)
    root = workspace.post(ana, channel, "one")
    workspace.admin.archive(ana, channel)

    assert heard(server) == [{"type": f"{prefix}_archive", "user": ana.id, "channel": channel.id, "is_moved": 0}]
    assert len(server.deliveries.events("message", subtype=f"{subtype}_archive")) == 1
    assert await error(client, channel.id) == "is_archived"
    assert len((await client.conversations_replies(channel=channel.id, ts=root.ts))["messages"]) == 1


@pytest.mark.parametrize(("name", "event"), [("help-desk", "channel_deleted"), ("it-team", "group_deleted")])
async def test_a_deleted_channel(server: PlaygroundServer, client: AsyncWebClient, name: str, event: str) -> None:
    """The app hears of it, and finds the channel no more."""
    channel = server.workspace.channel(name)
    server.workspace.admin.delete_channel(channel)

    assert heard(server) == [{"type": event, "channel": channel.id}]
    assert await error(client, channel.id) == "channel_not_found"


@pytest.mark.parametrize(
    ("name", "refusal", "left"),
    [("help-desk", "not_in_channel", "channel_left"), ("it-team", "channel_not_found", "group_left")],
)
async def test_a_removed_bot(
    server: PlaygroundServer, client: AsyncWebClient, name: str, refusal: str, left: str
) -> None:
    """The app hears that it left, in two ways; of a private channel it then knows nothing."""
    workspace = server.workspace
    channel = workspace.admin.remove_bot(workspace.channel(name))
    workspace.post(workspace.person("ana"), channel, "@attendant still there?")

    assert heard(server) == [
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


async def test_only_what_is_subscribed_to_is_told() -> None:
    """Without a subscription, or without its scope, the app hears nothing of all that."""
    workspace = make_workspace()
    manifest = dataclasses.replace(workspace.app.manifest, events=EVENTS)
    workspace.app = dataclasses.replace(workspace.app, manifest=manifest, scopes=frozenset())
    async with served(workspace, retry_after_s=()) as server:
        workspace.admin.remove_bot(workspace.channel("general"))
        workspace.admin.delete_channel(workspace.channel("help-desk"))
        workspace.admin.uninstall()

        assert heard(server) == []


async def test_only_members_archive(workspace: Workspace) -> None:
    """Somebody who is not in a channel cannot archive it."""
    with pytest.raises(NotAllowed):
        workspace.admin.archive(workspace.person("ben"), workspace.channel("it-team"))
