"""The manifest and the code agree: events, methods and their scopes, commands, shortcuts, Slack's limits."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bot import manifest
from bot.domain.events import ChannelGone, MessageReceived, StopRequested, Uninstalled
from bot.slack.identity import BotIdentity
from bot.slack.inbound.listeners import home
from bot.slack.inbound.listeners.events import EVENTS
from bot.slack.inbound.payloads import CHANNEL_PARTINGS, read_event

SLACK = Path(__file__).parents[1] / "bot" / "slack"
MANIFEST = manifest.read(manifest.document())

# docs.slack.dev/reference/methods: the bot scope each method asks for (None: any token will do).
SCOPES = {
    "agents_sessions_setStatus": "chat:write",
    "apps_connections_open": None,
    "assistant_threads_setStatus": "chat:write",
    "auth_test": None,
    "chat_appendStream": "chat:write",
    "chat_delete": "chat:write",
    "chat_postEphemeral": "chat:write",
    "chat_postMessage": "chat:write",
    "chat_startStream": "chat:write",
    "chat_stopStream": "chat:write",
    "chat_update": "chat:write",
    "conversations_replies": "channels:history",  # and groups:, im:, mpim:history, as the thread's place is
    "files_upload_v2": "files:write",  # files.getUploadURLExternal and files.completeUploadExternal
    "users_info": "users:read",
    "views_open": None,
    "views_publish": None,
}
# docs.slack.dev/reference/events: what each subscription asks for (None: nothing).
EVENT_SCOPES = {
    "agent_session_stopped": "chat:write",
    "app_home_opened": None,
    "app_mention": "app_mentions:read",
    "app_uninstalled": None,
    "channel_archive": "channels:read",
    "channel_deleted": "channels:read",
    "channel_left": "channels:read",
    "group_archive": "groups:read",
    "group_deleted": "groups:read",
    "group_left": "groups:read",
    "member_left_channel": "channels:read",  # of private channels groups:read
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "message.im": "im:history",
    "message.mpim": "mpim:history",
    "tokens_revoked": None,
}
READ_AS = {"agent_session_stopped": StopRequested, "app_uninstalled": Uninstalled, "tokens_revoked": Uninstalled}
READ_AS |= dict.fromkeys(CHANNEL_PARTINGS, ChannelGone)

CHANNEL_TYPES = {"channels": "channel", "groups": "group", "im": "im", "mpim": "mpim"}


def _methods() -> set[str]:
    """Every Web API method that the edge calls."""
    found = set()
    for file in SLACK.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr.partition("_")[0] in {
                "agents", "apps", "assistant", "auth", "chat", "conversations", "files", "reactions", "users", "views"
            }:  # fmt: skip
                found.add(node.attr)
    return found


def test_every_method_has_its_scope_and_no_scope_is_idle() -> None:
    """The scopes asked for are exactly those that methods, events, commands and shortcuts need."""
    needed = {SCOPES[method] for method in _methods()} | set(EVENT_SCOPES.values()) | {"commands"}

    assert needed - {None} == MANIFEST.scopes


@pytest.mark.parametrize("subscribed", [event for event in MANIFEST.events if event != home.OPENED])
def test_every_subscribed_event_is_read(subscribed: str) -> None:
    """An event of each subscribed kind is understood, a message as something that was said to the bot."""
    event_type, _, kind = subscribed.partition(".")
    event: dict[str, object] = {
        "type": event_type,
        "user": "U0BOT" if subscribed == "member_left_channel" else "U1",
        "channel": "C1",
        "ts": "1700000000.000001",
        "text": "<@U0BOT> hello",
    }
    event |= {"channel_type": CHANNEL_TYPES[kind]} if kind else {}
    event |= {"thread_ts": event["ts"], "tokens": {"bot": ["U0BOT"]}}

    read = read_event({"team_id": "T1", "event": event}, BotIdentity("T1", "", "", "U0BOT", "B0BOT", "attendant"))

    assert type(read) is READ_AS.get(subscribed, MessageReceived)
    if isinstance(read, MessageReceived):
        assert (read.text, read.thread.direct) == ("hello", kind == "im")


def test_every_subscribed_event_has_a_listener() -> None:
    """Slack would deliver again what nobody acknowledges; and nothing is listened for that never comes."""
    assert {*EVENTS, home.OPENED} == {subscribed.partition(".")[0] for subscribed in MANIFEST.events}


@pytest.mark.parametrize("url", [None, "https://attendant.example.com/slack/events"])
def test_the_manifest_for_http_differs_only_in_addresses(url: str | None) -> None:
    """With a URL every entry point has it and Socket Mode is off; without, none has one."""
    made = manifest.document("/help-desk", "/start-over", url)
    given = [entry.get("url") for entry in made["features"]["slash_commands"]]

    assert [entry["command"] for entry in made["features"]["slash_commands"]] == ["/help-desk", "/start-over"]
    assert given == [url, url]
    assert made["settings"]["event_subscriptions"].get("request_url") == url
    assert made["settings"]["interactivity"].get("request_url") == url
    assert made["settings"]["socket_mode_enabled"] is (url is None)


def test_slacks_limits_on_manifests_hold() -> None:
    """Lengths that Slack's manifest schema sets (docs.slack.dev/reference/app-manifest) are kept."""
    made = manifest.document()
    features = made["features"]

    assert len(made["display_information"]["name"]) <= 35
    assert len(made["display_information"]["description"]) <= 140
    assert len(features["bot_user"]["display_name"]) <= 80
    assert all(
        len(entry["command"]) <= 32 and len(entry["usage_hint"]) <= 1_000 for entry in features["slash_commands"]
    )
    assert all(len(entry["name"]) <= 24 and len(entry["description"]) <= 150 for entry in features["shortcuts"])
