"""Which events of the Events API a change makes, and their payloads (docs.slack.dev/apis/events-api).

Rule: pure. Only what the manifest subscribes to, whose scope is granted, in a conversation that the bot is in.
"""

from __future__ import annotations

from collections.abc import Iterator

from bot.playground.changes import Change, Deleted, Edited, Posted
from bot.playground.message_json import message_json, team_of
from bot.playground.messages import TOMBSTONE, Json, Message
from bot.playground.people import Channel
from bot.playground.state import State

# What has to be subscribed to and granted to hear of messages, by `channel_type`.
_MESSAGE_NEEDS = {
    "channel": ("message.channels", "channels:history"),
    "group": ("message.groups", "groups:history"),
    "im": ("message.im", "im:history"),
    "mpim": ("message.mpim", "mpim:history"),
}
_MENTION_NEEDS = ("app_mention", "app_mentions:read")


def events_of(state: State, change: Change) -> Iterator[Json]:
    """The events, in no promised order, that tell the app of a change."""
    match change:
        case Posted(message) if not message.only_for:
            yield from _heard(state, message, _posted(state, message))
            yield from _mention(state, message)
        case Edited(message, previous, ts) if not message.only_for:
            yield from _heard(state, message, _edited(state, message, previous, ts))
        case Deleted(message, ts) if not message.only_for:
            yield from _heard(state, message, _deleted(state, message, ts))
        case _:
            return


def event_callback(state: State, event: Json, event_id: str) -> Json:
    """The envelope that every event travels in."""
    app = state.app
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
        "event_time": int(event["event_ts"].partition(".")[0]),
        "authorizations": [{**installation, "is_bot": True, "is_enterprise_install": False}],
        "is_ext_shared_channel": state.channels[event["channel"]].shared,
        "event_context": f"4-{event_id}",
    }


def _posted(state: State, message: Message) -> Json:
    return {**message_json(state, message), **_from_outside(state, message), "event_ts": message.ts}


def _edited(state: State, message: Message, previous: Message, ts: str) -> Json:
    return {
        "type": "message",
        "subtype": "message_changed",
        "hidden": True,
        "message": message_json(state, message) | ({"hidden": True} if message.subtype == TOMBSTONE else {}),
        "previous_message": message_json(state, previous),
        "ts": ts,
        "event_ts": ts,
    }


def _deleted(state: State, message: Message, ts: str) -> Json:
    return {
        "type": "message",
        "subtype": "message_deleted",
        "hidden": True,
        "deleted_ts": message.ts,
        "previous_message": message_json(state, message),
        "ts": ts,
        "event_ts": ts,
    }


def _heard(state: State, message: Message, event: Json) -> Iterator[Json]:
    channel = state.channels[message.channel]
    if _listens(state, channel, _MESSAGE_NEEDS[channel.slack_type]):
        yield {**event, "channel": channel.id, "channel_type": channel.slack_type}


def _mention(state: State, message: Message) -> Iterator[Json]:
    # The same message once more, under an event id of its own; never in direct messages, never of itself.
    # docs.slack.dev/reference/events/app_mention
    channel = state.channels[message.channel]
    names_bot = f"<@{state.app.user_id}" in message.text and message.bot_id != state.app.bot_id
    if names_bot and channel.kind != "im" and _listens(state, channel, _MENTION_NEEDS):
        whole = _posted(state, message)
        kept = {name: value for name, value in whole.items() if name not in {"subtype", "files"}}
        yield {**kept, "type": "app_mention", "channel": channel.id}


def _listens(state: State, channel: Channel, needs: tuple[str, str]) -> bool:
    event, scope = needs
    app = state.app
    return app.user_id in channel.members and event in app.manifest.events and scope in app.scopes


def _from_outside(state: State, message: Message) -> Json:
    team = team_of(state, message.user)
    return {"user_team": team, "source_team": team} if team != state.team.id else {}
