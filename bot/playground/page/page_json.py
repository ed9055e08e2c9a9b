"""The workspace as the page's JSON tells it. Pure; bot/playground/page/ is the other side of it."""

from __future__ import annotations

from bot.playground.workspace.changes import Change, Changed, Connected, Deleted, Grown, Posted, StatusSet
from bot.playground.workspace.messages import SLACKBOT, Json, Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.state import WorkspaceState
from bot.playground.workspace.surfaces import View, ViewShown


def state_json(state: WorkspaceState, notice: str | None) -> Json:
    """What the page needs once: who, where, and what can be done."""
    app = state.app
    direct = [channel for channel in state.channels.values() if channel.kind == "im"]
    shown = [channel for channel in state.channels.values() if channel.kind != "im"]
    manifest = app.manifest
    return {
        "team": {"id": state.team.id, "name": state.team.name},
        "bot": {"id": app.user_id, "name": manifest.bot_name, "app_name": manifest.app_name},
        "people": [_person(person) for person in state.people.values()],
        "channels": [_channel(channel) for channel in shown],
        "dms": {member: dm.id for dm in direct for member in dm.members if member in state.people},
        "commands": [
            {"command": known.command, "description": known.description, "usage_hint": known.usage_hint}
            for known in manifest.commands
        ],
        "shortcuts": [{"callback_id": known.callback_id, "name": known.name} for known in manifest.shortcuts],
        "has_home": manifest.has_home,
        "notice": notice,
        "connected": state.connected,
    }


def shown_message(state: WorkspaceState, message: Message) -> Json:
    """One message; the same `id` later means the same message, changed."""
    return {
        "id": message.id,
        "ts": message.ts,
        "channel": message.channel,
        "thread_ts": message.thread_ts,
        "user": message.user,
        "is_bot": message.bot_id is not None or message.user == SLACKBOT,
        "subtype": message.subtype,
        "format": message.format,
        "text": message.text,
        "blocks": list(message.blocks),
        "files": [{"name": file["name"], "path": _path(state, file["id"])} for file in message.files],
        "edited": message.edited is not None,
        "streaming": message.streaming_since is not None,
        "ephemeral": message.only_for is not None,
        "reply_count": state.transcript.reply_count(message),
    }


def shown_view(view: View | None) -> Json | None:
    """A view, with the complaints below its inputs; None when there is none."""
    if view is None:
        return None
    texts: Json = {name: view.body[name]["text"] for name in ("title", "submit", "close") if name in view.body}
    return {"id": view.id, **texts, "blocks": view.body["blocks"], "errors": dict(view.errors)}


def _path(state: WorkspaceState, file_id: str) -> str | None:
    """Where the page finds a file; of one that a person posted there is only the name."""
    return f"/files/{file_id}" if file_id in state.uploads else None


def items_of(state: WorkspaceState, change: Change, person: Person) -> list[Json]:
    """What a change means to the page of this person; empty when it is not for them."""
    match change:
        case Posted(message) if _shown(state, message, person):
            return [_item(state, message), *_root(state, message)]
        case Changed(message=message) | Grown(message) if _shown(state, message, person):
            return [_item(state, message)]
        case Deleted(message) if _shown(state, message, person):
            return [{"type": "removed", "channel": message.channel, "id": message.id}, *_root(state, message)]
        case StatusSet(channel, thread_ts, text, stoppable) if _sees(state, channel, person):
            where = {"channel": channel, "thread_ts": thread_ts}
            return [{"type": "status", **where, "text": text, "stoppable": stoppable}]
        case _:
            return _outside_channels(change, person)


def _outside_channels(change: Change, person: Person) -> list[Json]:
    match change:
        case ViewShown(shown_to, kind, view) if shown_to.id == person.id:
            return [{"type": "view", "kind": kind, "view": shown_view(view)}]
        case Connected(connected):
            return [{"type": "connection", "connected": connected}]
        case _:
            return []


def _item(state: WorkspaceState, message: Message) -> Json:
    return {"type": "message", "message": shown_message(state, message)}


def _root(state: WorkspaceState, message: Message) -> list[Json]:
    # A reply that comes or goes changes the count at its root.
    root = state.transcript.find(message.channel, message.thread_ts) if message.thread_ts else None
    return [_item(state, root)] if root and not message.only_for else []


def _shown(state: WorkspaceState, message: Message, person: Person) -> bool:
    return message.only_for in {None, person.id} and _sees(state, message.channel, person)


def _sees(state: WorkspaceState, channel: str, person: Person) -> bool:
    return person.id in state.channels[channel].members


def _person(person: Person) -> Json:
    return {
        "id": person.id,
        "name": person.name,
        "real_name": person.real_name,
        "initials": person.initials,
        "color": f"#{person.color}",
        "title": person.title,
    }


def _channel(channel: Channel) -> Json:
    return {
        "id": channel.id,
        "name": channel.name,
        "kind": "channel" if channel.kind == "channel" else "private",
        "topic": channel.topic,
        "members": sorted(channel.members),
    }
