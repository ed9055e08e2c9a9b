"""The JSON that the page reads. Pure. static/state.js is its reader."""

from __future__ import annotations

from collections.abc import Iterable

from bot.playground.workspace.changes import (
    Change,
    ConnectionChanged,
    MessageChanged,
    MessagePosted,
    MessageRemoved,
    StatusSet,
    StreamAppended,
)
from bot.playground.workspace.messages import SLACKBOT, Json, Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.shared_files import is_image
from bot.playground.workspace.state import WorkspaceState
from bot.playground.workspace.surfaces import View, ViewShown


def state_json(state: WorkspaceState, notice: str | None) -> Json:
    """Return the JSON that the page reads at its start: team, bot, people, channels, commands and shortcuts."""
    app = state.app
    direct = [channel for channel in state.channels.values() if channel.kind == "im"]
    others = [channel for channel in state.channels.values() if channel.kind != "im"]
    manifest = app.manifest
    return {
        "team": {"id": state.team.id, "name": state.team.name},
        "bot": {"id": app.user_id, "name": manifest.bot_name, "app_name": manifest.app_name},
        "people": [_person(person) for person in state.people.values()],
        "channels": [_channel(channel) for channel in others],
        "dms": {member: dm.id for dm in direct for member in dm.members if member in state.people},
        "commands": [
            {"command": known.command, "description": known.description, "usage_hint": known.usage_hint}
            for known in manifest.commands
        ],
        "shortcuts": [{"callback_id": known.callback_id, "name": known.name} for known in manifest.shortcuts],
        "has_home": manifest.has_home,
        "notice": notice,
        "connected": state.connected,
        "began_at": state.began_at.isoformat(),
    }


def shown_message(state: WorkspaceState, message: Message) -> Json:
    """Return one message. Its `id` stays when the message changes."""
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
        "raw_tables": message.raw_tables,
        "blocks": list(message.blocks),
        "attachments": [_attachment(state, attachment) for attachment in message.attachments],
        "files": _files(state, message.files),
        "edited": message.edited is not None,
        "streaming": message.streaming_since is not None,
        "ephemeral": message.only_for is not None,
        "reply_count": state.transcript.reply_count(message),
    }


def _attachment(state: WorkspaceState, attachment: Json) -> Json:
    """Return an attachment: a forwarded message, or one of another app."""
    texts = ("author_name", "pretext", "title", "text", "footer")
    fields = [
        {"title": field.get("title", ""), "value": field.get("value", "")} for field in attachment.get("fields", [])
    ]
    shown = {name: attachment.get(name, "") for name in texts}
    files = _files(state, attachment.get("files", []))
    return {**shown, "fields": fields, "files": files, "blocks": attachment.get("blocks", [])}


def shown_view(view: View | None) -> Json | None:
    """Return a view with the errors below its inputs, None for no view."""
    if view is None:
        return None
    texts: Json = {name: view.body[name]["text"] for name in ("title", "submit", "close") if name in view.body}
    return {"id": view.id, **texts, "blocks": view.body["blocks"], "errors": dict(view.errors)}


def _files(state: WorkspaceState, files: Iterable[Json]) -> list[Json]:
    return [_file(state, file) for file in files if file.get("mode") != "tombstone"]


def _file(state: WorkspaceState, file: Json) -> Json:
    """Return a file of a message. Its path is None when it has no content."""
    upload = state.uploads.get(file["id"])
    path = f"/page/files/{file['id']}" if upload is not None else None
    name = upload.name if upload is not None else file["name"]
    return {"name": name, "path": path, "is_image": upload is not None and is_image(upload)}


def updates_of(state: WorkspaceState, change: Change, person: Person) -> list[Json]:
    """Return the updates for this person's page, empty when the person cannot see the change."""
    match change:
        case MessagePosted(message) if _sees_message(state, message, person):
            return [_message_update(state, message), *_root_update(state, message)]
        case MessageChanged(message=message) | StreamAppended(message) if _sees_message(state, message, person):
            return [_message_update(state, message)]
        case MessageRemoved(message) if _sees_message(state, message, person):
            return [{"type": "removed", "channel": message.channel, "id": message.id}, *_root_update(state, message)]
        case StatusSet(channel, thread_ts, text, stoppable) if _sees_channel(state, channel, person):
            where = {"channel": channel, "thread_ts": thread_ts}
            return [{"type": "status", **where, "text": text, "stoppable": stoppable}]
        case _:
            return _updates_outside_channels(change, person)


def _updates_outside_channels(change: Change, person: Person) -> list[Json]:
    match change:
        case ViewShown(viewer, kind, view) if viewer.id == person.id:
            return [{"type": "view", "kind": kind, "view": shown_view(view)}]
        case ConnectionChanged(connected):
            return [{"type": "connection", "connected": connected}]
        case _:
            return []


def _message_update(state: WorkspaceState, message: Message) -> Json:
    return {"type": "message", "message": shown_message(state, message)}


def _root_update(state: WorkspaceState, message: Message) -> list[Json]:
    # A new or deleted reply changes the reply count of its root.
    root = state.transcript.find(message.channel, message.thread_ts) if message.thread_ts else None
    return [_message_update(state, root)] if root and not message.only_for else []


def _sees_message(state: WorkspaceState, message: Message, person: Person) -> bool:
    return message.only_for in {None, person.id} and _sees_channel(state, message.channel, person)


def _sees_channel(state: WorkspaceState, channel: str, person: Person) -> bool:
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
