"""A person's export: all stored text that the person wrote."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file of a person's message, in their export."""

    id: str
    name: str
    mimetype: str
    size_bytes: int
    text: str | None = None  # what the bot keeps of it; None: nothing, or only a small image


@dataclass(frozen=True, slots=True)
class ExportedForward:
    """A message that a person's message passes on, in their export."""

    author_id: str
    author_name: str
    text: str
    source: str = ""
    attachments: tuple[ExportedFile, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportedMessage:
    """A person's message to the bot, in their export."""

    channel: str
    thread: str  # the root's id
    id: str
    accepted_at: datetime
    edited_at: datetime | None
    text: str  # empty once its session has closed
    attachments: tuple[ExportedFile, ...]
    forwarded: tuple[ExportedForward, ...]  # messages that it passes on
    answer: str | None  # None if other people asked as well, because it may quote them


@dataclass(frozen=True, slots=True)
class ExportedContextMessage:
    """A person's message in a thread before the bot was called into it, in their export."""

    channel: str
    thread: str
    id: str
    text: str
    attachments: tuple[ExportedFile, ...]
    forwarded: tuple[ExportedForward, ...]


@dataclass(frozen=True, slots=True)
class PersonalDataExport:
    """All stored messages of a person, oldest first."""

    messages: tuple[ExportedMessage, ...] = ()
    thread_context: tuple[ExportedContextMessage, ...] = ()
    complete: bool = True  # False: there is more than the export's limit, and this is the newest part
