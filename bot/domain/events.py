"""Events: the reports of adapters, in terms that all platforms share.

Rule: nothing here knows Slack. In `text`, a mention of a person is written `<@id>`; everything else is plain text.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot.domain.file_content import FileContent

ROLLING = ""  # in place of a root: the conversation at the top level of a direct message


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread in which people talk to the bot. Outside of its adapter, the parts are opaque."""

    platform: str
    workspace: str
    channel: str
    root: str  # platform id of the thread's first message
    direct: bool = False  # in a direct message with the bot

    @property
    def rolling(self) -> bool:
        """Whether it is no thread, but all that is written at the top level of a direct message."""
        return self.direct and self.root == ROLLING

    def __str__(self) -> str:
        return f"{self.platform}:{self.workspace}:{self.channel}:{self.root}"


@dataclass(frozen=True, slots=True)
class Author:
    """The author of a message. In a shared channel, `workspace` may differ from the thread's."""

    id: str
    workspace: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that was sent with a message: its metadata and, once it was read, its content."""

    id: str
    name: str
    mimetype: str
    size_bytes: int
    content: FileContent | None = field(default=None, kw_only=True)  # stored in a row of its own


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A message that somebody passes on within their own. Its words are its author's, who may not know of it."""

    author_id: str  # of a person; empty when the platform names none
    author_name: str  # as the platform gives it, for an author whose name cannot be looked up
    text: str
    source: str = ""  # the link to the original
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A person wrote a message, or their workflow. `sessions.wants_answer` decides whether the bot answers."""

    thread: Thread
    message_id: str  # unique in its channel; sorts as text by sending time
    author: Author
    text: str
    mentions_bot: bool = False
    addresses_other: bool = False  # it begins with a mention of another person
    attachments: tuple[Attachment, ...] = ()
    client_id: str | None = None  # the sending client's own id of the message, where the platform has one
    forwarded: tuple[Forwarded, ...] = ()
    by_workflow: bool = False  # an automation of people wrote it: only a mention is answered, and not without end


@dataclass(frozen=True, slots=True)
class ResetRequested:
    """A person wrote `!reset` in the thread."""

    thread: Thread
    message_id: str
    author: Author
    mentions_bot: bool = False


@dataclass(frozen=True, slots=True)
class StatusRequested:
    """A person wrote `!status` in the thread."""

    thread: Thread
    message_id: str
    author: Author
    mentions_bot: bool = False


@dataclass(frozen=True, slots=True)
class QuietRequested:
    """A person wrote `!quiet` in the thread, or `!back`, which ends it."""

    thread: Thread
    message_id: str
    author: Author
    quiet: bool  # False: `!back`
    mentions_bot: bool = False


@dataclass(frozen=True, slots=True)
class StopRequested:
    """A person stopped the running answer in the thread: by `!stop`, or by a button (without a message id)."""

    thread: Thread
    author: Author
    message_id: str | None = None
    mentions_bot: bool = False
    asked_at: str | None = None  # when the button was pressed, comparable with message ids


@dataclass(frozen=True, slots=True)
class MessageEdited:
    """An author changed a message. An edit is never a command: `!stop` is then the message's new text."""

    message: MessageReceived  # with the new text, but `mentions_bot` of the old one
    sent_at: datetime
    edited_at: datetime  # edits may be delivered in any order: the latest one wins
    calls_bot: bool = False  # the edit added a mention of the bot
    by_bot: bool = False  # another bot's message: never answered, but it may be part of a thread context


@dataclass(frozen=True, slots=True)
class MessageDeleted:
    """A message was deleted, perhaps one of the bot's own. A running answer to it ends."""

    thread: Thread
    message_id: str
    message: MessageReceived | None = None  # the deleted message, if the platform sends it and it is no command
    file_ids: tuple[str, ...] = ()  # of the bot's own files that it showed


@dataclass(frozen=True, slots=True)
class FileDeleted:
    """A file was deleted, wherever it was shared."""

    platform: str
    workspace: str
    file_id: str


@dataclass(frozen=True, slots=True)
class ChannelGone:
    """A channel was deleted or archived, or the bot was removed from it."""

    platform: str
    workspace: str
    channel: str


@dataclass(frozen=True, slots=True)
class ChannelMoved:
    """A channel has a new id. Slack gives one to a channel that becomes shared with another organisation."""

    platform: str
    workspace: str
    channel: str
    new_channel: str


@dataclass(frozen=True, slots=True)
class Uninstalled:
    """The app was removed from a workspace."""

    platform: str
    workspace: str


Event = (
    MessageReceived
    | MessageEdited
    | MessageDeleted
    | FileDeleted
    | ResetRequested
    | StatusRequested
    | QuietRequested
    | StopRequested
    | ChannelGone
    | ChannelMoved
    | Uninstalled
)


class Command(enum.Enum):
    """A command that people write in a thread: `@bot reset`, or a bare `!reset`."""

    RESET = "reset"
    STATUS = "status"
    STOP = "stop"
    QUIET = "quiet"
    BACK = "back"


LONGEST_TEXT = 100_000  # characters; Slack cuts its messages at 40,000
MOST_FILES, LONGEST_FILE_FIELD = 20, 255
MOST_FORWARDED, LONGEST_FORWARDED = 10, 40_000  # messages; characters of each


def stored_content(text: str, attachments: Sequence[Attachment], forwarded: Sequence[Forwarded] = ()) -> dict[str, Any]:
    """Return a message's content as it is stored: cut where it is longer than any platform allows."""
    passed_on = [
        {
            "author_id": each.author_id,
            "author_name": storable(each.author_name)[:LONGEST_FILE_FIELD],
            "text": _cut(each.text, LONGEST_FORWARDED),
            "source": storable(each.source)[:LONGEST_FILE_FIELD],
            "attachments": _stored_files(each.attachments),
        }
        for each in forwarded[:MOST_FORWARDED]
    ]
    return {
        "text": _cut(text, LONGEST_TEXT),
        "attachments": _stored_files(attachments),
        "forwarded": passed_on or None,
    }


def read_forwarded(stored: Sequence[Mapping[str, Any]] | None) -> tuple[Forwarded, ...]:
    """Return the forwarded messages that `stored_content` has stored."""
    return tuple(
        Forwarded(**{**each, "attachments": tuple(Attachment(**file) for file in each["attachments"])})
        for each in stored or ()
    )


def _stored_files(attachments: Sequence[Attachment]) -> list[dict[str, Any]]:
    """Return the metadata of files as it is stored. What was read of them is in rows of its own."""
    return [
        {
            "id": file.id[:LONGEST_FILE_FIELD],
            "name": file.name[:LONGEST_FILE_FIELD],
            "mimetype": file.mimetype[:LONGEST_FILE_FIELD],
            "size_bytes": file.size_bytes,
        }
        for file in attachments[:MOST_FILES]
    ]


def _cut(text: str, longest: int) -> str:
    text = storable(text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def storable(text: str) -> str:
    """Remove characters that a database refuses: NUL (PostgreSQL) and lone surrogates (UTF-8)."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def addresses_other(text: str) -> bool:
    """Return whether the message begins with a mention, after a greeting at most: it is meant for that person."""
    return _BEGINS_WITH_MENTION.match(text) is not None


def read_command(text: str, *, mentions_bot: bool) -> Command | None:
    """Return the command in `text`, from which the bot's mention is removed already; None for a message.

    The whole text must be the command, so that "reset my password" reaches the model.
    """
    word = text.strip().casefold().rstrip(".! ")
    if word.startswith("!"):
        word = word[1:]
    elif mentions_bot:
        word = word.removeprefix("/")  # after a mention Slack does not treat it as a slash command
    else:
        return None
    return next((command for command in Command if command.value == word), None)


_GREETING = r"(?:(?:hey|hi|hello|hallo|dear|thanks|thank you|ok|okay|cc)[\s,]+)?"
_BEGINS_WITH_MENTION = re.compile(rf"\s*{_GREETING}<[@!][^>\s]+>", re.IGNORECASE)
