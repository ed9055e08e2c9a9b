"""The files that people share and delete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bot.playground.workspace.changes import FileRemoved
from bot.playground.workspace.messages import Json, Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.shared_files import Upload, file_json
from bot.playground.workspace.workspace import Workspace


def share(
    workspace: Workspace,
    person: Person,
    channel: Channel,
    text: str,
    *,
    files: Mapping[str, bytes],
    thread_ts: str | None = None,
) -> Message:
    """Post files with a comment. `files` are contents by name."""
    shared = tuple(upload(workspace, name, content) for name, content in files.items())
    return workspace.post(person, channel, text, thread_ts, subtype="file_share", files=shared)


def upload(workspace: Workspace, name: str, content: bytes, **fields: Any) -> Json:
    """Store a file of a person, and return its JSON for a message. `fields` take the place of the usual ones."""
    file_id = f"F{workspace.new_id().upper()}"
    workspace.uploads[file_id] = Upload(name, len(content), "", content, by_app=False, fields=fields)
    return file_json(workspace.address, file_id, workspace.uploads[file_id])


def delete_file(workspace: Workspace, file_id: str) -> None:
    """Delete a file, which leaves a tombstone in each message that shows it."""
    del workspace.uploads[file_id]
    for channel in list(workspace.channels.values()):
        for message in list(workspace.transcript.of_channel(channel.id)):
            files = tuple(_without(file, file_id) for file in message.files)
            if files != message.files:
                workspace.change(message, files=files)
    workspace.emit(FileRemoved(file_id, workspace.new_ts()))


def visible_file(workspace: Workspace, person: Person, channel: Channel, file_id: str) -> Upload | None:
    """Return a file that a message in a channel shows this person; None for any other."""
    is_shown = person.id in channel.members and any(
        file["id"] == file_id
        for message in workspace.transcript.of_channel(channel.id)
        if message.only_for in {None, person.id}
        for file in _files_of(message)
    )
    return workspace.uploads.get(file_id) if is_shown else None


def _files_of(message: Message) -> Iterator[Json]:
    """Yield the files of a message, and of the messages that it forwards."""
    yield from message.files
    for attachment in message.attachments:
        yield from attachment.get("files", ())


def _without(file: Json, file_id: str) -> Json:
    return {"id": file_id, "mode": "tombstone"} if file["id"] == file_id else file
