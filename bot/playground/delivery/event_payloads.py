"""The events of the Events API for each change, and their payloads (docs.slack.dev/apis/events-api). Pure.

Rule: the app gets an event if its manifest subscribes to it, its scope is granted and the bot is in the conversation.
It also gets the events about leaving a conversation or the workspace.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from bot.playground.workspace.changes import (
    AgentSessionStopped,
    AppHomeOpened,
    AppUninstalled,
    BotLeftChannel,
    Change,
    ChannelArchived,
    ChannelDeleted,
    ChannelIdChanged,
    Departure,
    FileRemoved,
    MessageChanged,
    MessagePosted,
    MessageRemoved,
)
from bot.playground.workspace.message_json import message_json, team_of
from bot.playground.workspace.messages import TOMBSTONE, Json, Message
from bot.playground.workspace.people import Channel
from bot.playground.workspace.state import WorkspaceState
from bot.playground.workspace.thread_statuses import STOP_EVENT
from bot.playground.workspace.view_json import view_json

# The subscription and the scope that message events need, by `channel_type`.
_MESSAGE_NEEDS = {
    "channel": ("message.channels", "channels:history"),
    "group": ("message.groups", "groups:history"),
    "im": ("message.im", "im:history"),
    "mpim": ("message.mpim", "mpim:history"),
}
_MENTION_NEEDS = ("app_mention", "app_mentions:read")
_STOP_NEEDS = (STOP_EVENT, "chat:write")
_MOVE_NEEDS = {
    kind: ("channel_id_changed", scope)
    for kind, scope in {
        "channel": "channels:read",
        "group": "groups:read",
        "im": "im:read",
        "mpim": "mpim:read",
    }.items()
}
_READ_SCOPES = {"channel": "channels:read", "group": "groups:read"}


def events_of(state: WorkspaceState, change: Change) -> Iterator[Json]:
    """Yield the events that the app gets for a change. Their order is not guaranteed."""
    match change:
        case MessagePosted(message) if not message.only_for:
            yield from _message_event(state, message, _posted(state, message))
            yield from _app_mention(state, message)
        case MessageChanged(message, previous, ts) if not message.only_for:
            yield from _message_event(state, message, _edited(state, message, previous, ts))
            if message.edited != previous.edited:  # observed: Slack sends app_mention again after an edit
                yield from _app_mention(state, message)
        case MessageRemoved(message, ts) if not message.only_for:
            yield from _message_event(state, message, _deleted(state, message, ts))
        case FileRemoved(file_id, ts) if _is_subscribed(state, "file_deleted", "files:read"):
            yield {"type": "file_deleted", "file_id": file_id, "event_ts": ts}
        case AgentSessionStopped() if _receives(state, change.channel, _STOP_NEEDS):
            yield _stopped(change)
        case AppHomeOpened() if _is_subscribed(state, "app_home_opened", None):
            yield _home_opened(state, change)
        case ChannelIdChanged(old_id, channel, ts) if _receives(state, channel, _MOVE_NEEDS[channel.slack_type]):
            ids = {"old_channel_id": old_id, "new_channel_id": channel.id}
            yield {"type": "channel_id_changed", **ids, "event_ts": ts}
        case ChannelArchived() | ChannelDeleted() | BotLeftChannel() | AppUninstalled():
            events = _departure_events(state, change)
            yield from (event for event, scope in events if _is_subscribed(state, event["type"], scope))
        case _:
            return


def event_callback(state: WorkspaceState, event: Json, event_id: str) -> Json:
    """Wrap an event in the event_callback payload."""
    app, channel = state.app, state.channels.get(event.get("channel", ""))
    installation = {"enterprise_id": None, "team_id": state.team.id, "user_id": app.user_id}
    return {
        "token": app.verification_token,
        "team_id": state.team.id,
        "context_team_id": state.team.id,
        "context_enterprise_id": None,
        "api_app_id": app.id,
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": int(state.clock().timestamp()),
        "authorizations": [{**installation, "is_bot": True, "is_enterprise_install": False}],
        "is_ext_shared_channel": channel is not None and channel.shared,
        "event_context": f"4-{event_id}",
    }


def _posted(state: WorkspaceState, message: Message) -> Json:
    return {**message_json(state, message), **_from_outside(state, message), "event_ts": message.ts}


def _edited(state: WorkspaceState, message: Message, previous: Message, ts: str) -> Json:
    return {
        "type": "message",
        "subtype": "message_changed",
        "hidden": True,
        "message": message_json(state, message) | ({"hidden": True} if message.subtype == TOMBSTONE else {}),
        "previous_message": message_json(state, previous),
        "ts": ts,
        "event_ts": ts,
    }


def _deleted(state: WorkspaceState, message: Message, ts: str) -> Json:
    return {
        "type": "message",
        "subtype": "message_deleted",
        "hidden": True,
        "deleted_ts": message.ts,
        "previous_message": message_json(state, message),
        "ts": ts,
        "event_ts": ts,
    }


def _message_event(state: WorkspaceState, message: Message, event: Json) -> Iterator[Json]:
    channel = state.channels[message.channel]
    if _receives(state, channel, _MESSAGE_NEEDS[channel.slack_type]):
        yield {**event, "channel": channel.id, "channel_type": channel.slack_type}


def _app_mention(state: WorkspaceState, message: Message) -> Iterator[Json]:
    # A mention sends a second event for the same message, but not in direct messages and not for the bot's own.
    # docs.slack.dev/reference/events/app_mention
    channel = state.channels[message.channel]
    mentions_bot = f"<@{state.app.user_id}" in message.text and message.bot_id != state.app.bot_id
    if mentions_bot and channel.kind != "im" and _receives(state, channel, _MENTION_NEEDS):
        fields = {name: value for name, value in _posted(state, message).items() if name not in {"subtype", "files"}}
        yield {**fields, "type": "app_mention", "channel": channel.id}


def _stopped(change: AgentSessionStopped) -> Json:
    # docs.slack.dev/reference/events/agent_session_stopped
    return {
        "type": STOP_EVENT,
        "channel": change.channel.id,
        "thread_ts": change.thread_ts,
        "user": change.person.id,
        "streaming_message_ts": list(change.streams),
        "event_ts": change.ts,
    }


def _home_opened(state: WorkspaceState, change: AppHomeOpened) -> Json:
    # docs.slack.dev/reference/events/app_home_opened
    view = state.surfaces.of(change.person, "home") if change.tab == "home" else None
    shown = {"view": view_json(state, view)} if view else {}
    where = {"user": change.person.id, "channel": change.channel.id, "tab": change.tab}
    return {"type": "app_home_opened", **where, **shown, "event_ts": change.ts}


def _departure_events(state: WorkspaceState, change: Departure) -> Iterator[tuple[Json, str | None]]:
    # Yields each event with the scope that it needs: docs.slack.dev/reference/events/{app_uninstalled,tokens_revoked,…}
    if isinstance(change, AppUninstalled):
        yield {"type": "app_uninstalled"}, None
        yield {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [state.app.user_id]}}, None
        return
    channel = change.channel
    scope, where = _READ_SCOPES.get(channel.slack_type), {"channel": channel.id, "event_ts": change.ts}
    match change:
        case ChannelArchived(person):
            yield {"type": f"{channel.slack_type}_archive", "user": person.id, "is_moved": 0, **where}, scope
        case ChannelDeleted():
            yield {"type": f"{channel.slack_type}_deleted", **where}, scope
        case BotLeftChannel():
            who = {"user": state.app.user_id, "team": state.team.id, "channel_type": "C"}
            yield {"type": "member_left_channel", **who, **where}, scope
            yield {"type": f"{channel.slack_type}_left", **where}, scope
        case _:
            assert_never(change)


def _receives(state: WorkspaceState, channel: Channel, needs: tuple[str, str]) -> bool:
    return state.app.user_id in channel.members and _is_subscribed(state, *needs)


def _is_subscribed(state: WorkspaceState, event: str, scope: str | None) -> bool:
    app = state.app
    return event in app.manifest.events and (scope is None or scope in app.scopes)


def _from_outside(state: WorkspaceState, message: Message) -> Json:
    team = team_of(state, message.user)
    return {"user_team": team, "source_team": team} if team != state.team.id else {}
