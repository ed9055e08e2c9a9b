"""What a platform tells us, in words of our own.

Rule: nothing here knows Slack. In `text`, a mention of a person stands as `<@id>`; everything else is plain.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Thread:
    """A place where people and the bot talk. Outside its adapter, a thread's parts are opaque."""

    platform: str
    workspace: str
    channel: str
    root: str  # platform id of the thread's first message
    direct: bool = False  # one person alone with the bot

    def __str__(self) -> str:
        return f"{self.platform}:{self.workspace}:{self.channel}:{self.root}"


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote a message. `workspace` is the author's own, which in shared channels may not be the thread's."""

    id: str
    workspace: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file sent with a message: its metadata, never its content."""

    id: str
    name: str
    mimetype: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A person wrote something that may want an answer (sessions.wants_answer decides)."""

    thread: Thread
    message_id: str  # unique in its channel and sortable as text in the order of sending
    author: Author
    text: str
    mentions_bot: bool = False
    addresses_other: bool = False  # it opens by naming somebody else
    attachments: tuple[Attachment, ...] = ()
    client_id: str | None = None  # the sender's own id of the gesture, where the platform has one


@dataclass(frozen=True, slots=True)
class ResetRequested:
    """A person wrote, in the thread itself, that the session there should start over."""

    thread: Thread
    message_id: str
    author: Author
    mentions_bot: bool = False


@dataclass(frozen=True, slots=True)
class StatusRequested:
    """A person wants to know, in the thread itself, what is remembered of the session there."""

    thread: Thread
    message_id: str
    author: Author
    mentions_bot: bool = False


@dataclass(frozen=True, slots=True)
class StopRequested:
    """A person wants the running answer in this thread to end: by text, or (without a message) by a button."""

    thread: Thread
    author: Author
    message_id: str | None = None
    mentions_bot: bool = False
    asked_at: str | None = None  # of a button: when it was pressed, comparable with the ids of messages


@dataclass(frozen=True, slots=True)
class MessageEdited:
    """A message was changed by its author. Nothing is commanded so: `!stop` written over a question is its text."""

    message: MessageReceived  # as it reads now; its mentions_bot tells how it read before
    sent_at: datetime
    edited_at: datetime  # edits may arrive in any order: the latest counts
    calls_bot: bool = False  # it is the edit that mentions the bot
    by_bot: bool = False  # another bot's: nobody is owed an answer, but what was read of it is to be replaced


@dataclass(frozen=True, slots=True)
class MessageDeleted:
    """A message was deleted, perhaps the bot's own; if it is being answered, the answer ends."""

    thread: Thread
    message_id: str
    message: MessageReceived | None = None  # as it was, where the platform tells; a command is none


@dataclass(frozen=True, slots=True)
class ChannelGone:
    """A channel was deleted or archived, or the bot was removed from it: nothing there is to be answered any more."""

    platform: str
    workspace: str
    channel: str


@dataclass(frozen=True, slots=True)
class Uninstalled:
    """The app was removed from a workspace: nothing there is to be answered any more."""

    platform: str
    workspace: str


Event = (
    MessageReceived
    | MessageEdited
    | MessageDeleted
    | ResetRequested
    | StatusRequested
    | StopRequested
    | ChannelGone
    | Uninstalled
)


class Command(enum.Enum):
    """What can be asked for in a thread by text: `@bot reset`, or a bare `!reset`."""

    RESET = "reset"
    STATUS = "status"
    STOP = "stop"


def storable(text: str) -> str:
    """The text without what no database takes: NUL (PostgreSQL) and halves of surrogate pairs (UTF-8)."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def addresses_other(text: str) -> bool:
    """Whether the message opens by naming somebody, after at most a word of greeting: it is meant for them."""
    return _OPENS_WITH_A_NAME.match(text) is not None


def read_command(text: str, *, mentions_bot: bool) -> Command | None:
    """The command that `text` (the bot's own mention already removed) is, or None when it is a message.

    Only an exact command counts, so that "reset my password" reaches the model.
    """
    word = text.strip().casefold().rstrip(".! ")
    if word.startswith("!"):
        word = word[1:]
    elif mentions_bot:
        word = word.removeprefix("/")  # after a mention Slack takes it for text
    else:
        return None
    return next((command for command in Command if command.value == word), None)


_GREETING = r"(?:(?:hey|hi|hello|hallo|dear|thanks|thank you|ok|okay|cc)[\s,]+)?"
_OPENS_WITH_A_NAME = re.compile(rf"\s*{_GREETING}<[@!][^>\s]+>", re.IGNORECASE)
