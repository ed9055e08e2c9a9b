"""The manifest and the code agree: events, methods and their scopes, commands, shortcuts, Slack's limits."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bot import manifest
from bot.domain.events import ChannelGone, ChannelMoved, FileDeleted, MessageReceived, StopRequested, Uninstalled
from bot.slack.identity import BotIdentity
from bot.slack.inbound.events_api import CHANNEL_LOST_EVENTS, read_event
from bot.slack.inbound.listeners.events import ACCEPTED_EVENTS, APP_HOME_OPENED

SLACK = Path(__file__).parents[1] / "bot" / "slack"
MANIFEST = manifest.read(manifest.document())

# docs.slack.dev/reference/methods: the bot scope of each method. None: any token is accepted.
SCOPES = {
    "agents_sessions_setStatus": "chat:write",
    "apps_connections_open": None,
    "assistant_threads_setStatus": "chat:write",
    "auth_test": None,
    "bots_info": "users:read",
    "chat_appendStream": "chat:write",
    "chat_delete": "chat:write",
    "chat_postEphemeral": "chat:write",
    "chat_postMessage": "chat:write",
    "chat_startStream": "chat:write",
    "chat_stopStream": "chat:write",
    "chat_update": "chat:write",
    "conversations_history": "im:history",  # of DMs alone
    "conversations_info": "channels:read",  # or groups:read
    "conversations_members": "channels:read",  # or groups:read
    "conversations_replies": "channels:history",  # or groups:history, im:history, mpim:history
    "files_completeUploadExternal": "files:write",
    "files_delete": "files:write",
    "files_getUploadURLExternal": "files:write",
    "files_info": "files:read",
    "files_upload_v2": "files:write",  # files.getUploadURLExternal and files.completeUploadExternal
    "usergroups_users_list": "usergroups:read",
    "users_info": "users:read",
    "views_open": None,
    "views_publish": None,
}
# docs.slack.dev/reference/events: the scope of each event. None: no scope.
EVENT_SCOPES = {
    "agent_session_stopped": "chat:write",
    "app_home_opened": None,
    "app_mention": "app_mentions:read",
    "app_uninstalled": None,
    "channel_archive": "channels:read",
    "channel_deleted": "channels:read",
    "channel_id_changed": "channels:read",  # for private channels groups:read
    "channel_left": "channels:read",
    "file_deleted": "files:read",
    "group_archive": "groups:read",
    "group_deleted": "groups:read",
    "group_left": "groups:read",
    "member_left_channel": "channels:read",  # for private channels groups:read
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "message.im": "im:history",
    "message.mpim": "mpim:history",
    "tokens_revoked": None,
}
TRANSLATED_TO = {"agent_session_stopped": StopRequested, "app_uninstalled": Uninstalled, "tokens_revoked": Uninstalled}
TRANSLATED_TO |= {"channel_id_changed": ChannelMoved, "file_deleted": FileDeleted}
TRANSLATED_TO |= dict.fromkeys(CHANNEL_LOST_EVENTS, ChannelGone)

CHANNEL_TYPES = {"channels": "channel", "groups": "group", "im": "im", "mpim": "mpim"}


def _methods() -> set[str]:
    """Return every Web API method that bot/slack calls."""
    found = set()
    for file in SLACK.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and "_" in node.attr and node.attr.partition("_")[0] in {
                "agents", "apps", "assistant", "auth", "bots", "chat",
                "conversations", "files", "reactions", "usergroups", "users", "views",
            }:  # fmt: skip
                found.add(node.attr)
    return found


def test_the_scopes_are_exactly_those_in_use() -> None:
    """The manifest requests exactly the scopes that methods, events, commands and shortcuts need."""
    needed = {SCOPES[method] for method in _methods()} | set(EVENT_SCOPES.values()) | {"commands"}

    assert needed - {None} == MANIFEST.scopes
    assert MANIFEST.optional_scopes == {"files:read", "usergroups:read"}


@pytest.mark.parametrize("subscribed", [event for event in MANIFEST.events if event != APP_HOME_OPENED])
def test_every_subscribed_event_is_translated(subscribed: str) -> None:
    """An event of each subscribed type is translated, except app_home_opened."""
    event_type, _, kind = subscribed.partition(".")
    event: dict[str, object] = {
        "type": event_type,
        "user": "U0BOT" if subscribed == "member_left_channel" else "U1",
        "channel": "C1",
        "ts": "1700000000.000001",
        "file_id": "F1",
        "text": "<@U0BOT> hello",
    }
    event |= {"channel_type": CHANNEL_TYPES[kind]} if kind else {}
    event |= {"old_channel_id": "C1", "new_channel_id": "C2", "thread_ts": event["ts"], "tokens": {"bot": ["U0BOT"]}}

    translated = read_event({"team_id": "T1", "event": event}, BotIdentity("T1", "", "", "U0BOT", "B0BOT", "attendant"))

    assert type(translated) is TRANSLATED_TO.get(subscribed, MessageReceived)
    if isinstance(translated, MessageReceived):
        assert (translated.text, translated.thread.direct) == ("hello", kind == "im")


def test_every_subscribed_event_has_a_listener() -> None:
    """Slack retries an event without a listener. A listener without a subscribed event is never called."""
    assert {*ACCEPTED_EVENTS, APP_HOME_OPENED} == {subscribed.partition(".")[0] for subscribed in MANIFEST.events}


@pytest.mark.parametrize("url", [None, "https://attendant.example.com/slack/events"])
def test_the_manifest_for_http_has_the_request_url(url: str | None) -> None:
    """With a URL, all requests go to it and Socket Mode is off. Without, there is no URL."""
    document = manifest.document("/help-desk", "/start-over", url)
    given = [entry.get("url") for entry in document["features"]["slash_commands"]]

    assert [entry["command"] for entry in document["features"]["slash_commands"]] == ["/help-desk", "/start-over"]
    assert given == [url, url]
    assert document["settings"]["event_subscriptions"].get("request_url") == url
    assert document["settings"]["interactivity"].get("request_url") == url
    assert document["settings"]["socket_mode_enabled"] is (url is None)


def test_slacks_limits_on_manifests_hold() -> None:
    """The lengths of docs.slack.dev/reference/app-manifest hold."""
    document = manifest.document()
    features = document["features"]

    assert len(document["display_information"]["name"]) <= 35
    assert len(document["display_information"]["description"]) <= 140
    assert len(features["bot_user"]["display_name"]) <= 80
    assert all(
        len(entry["command"]) <= 32 and len(entry["usage_hint"]) <= 1_000 for entry in features["slash_commands"]
    )
    assert all(len(entry["name"]) <= 24 and len(entry["description"]) <= 150 for entry in features["shortcuts"])
