"""A session's life: what opens, continues and closes it (docs/invariants.md).

Rule: pure. The store asks these questions inside its transactions; nobody else decides them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from bot.domain.events import Attachment, MessageEdited, MessageReceived, Thread


class Closed(enum.Enum):
    """Why a session ended."""

    RESET = "reset"
    EXPIRED = "expired"
    UNINSTALLED = "uninstalled"  # the app was removed from the workspace
    CHANNEL_GONE = "channel_gone"  # the channel was deleted or archived, or the bot removed from it
    ERASED = "erased"  # all that was said in it was erased: a person or the operator asked for it


class Opened(enum.Enum):
    """How a request found the session that it names."""

    CREATED = "created"  # it is the first, or the first after a reset
    CONTINUED = "continued"
    EXPIRED = "expired"  # what was said before is forgotten: this is a new one


class ResetOutcome(enum.Enum):
    """What became of a request to reset a thread's session."""

    DONE = "done"
    NOTHING = "nothing"  # no open session there
    NOT_YOURS = "not_yours"  # only people who took part may reset it


class StopOutcome(enum.Enum):
    """What became of a request to stop the answer in a thread."""

    STOPPED = "stopped"  # a running answer ends, which says so itself
    NOT_BEGUN = "not_begun"  # it had not begun: it will not
    NOTHING_RUNS = "nothing_runs"


class StatusReply(enum.Enum):
    """What a message is owed that asked for neither: its line is made when it is said."""

    STATUS = "status"


class EditOutcome(enum.Enum):
    """What became of an edit."""

    NOTHING = "nothing"  # it changes nothing that is remembered
    REPLACED = "replaced"  # the new text is what is remembered, and answered if that is owed
    ANEW = "anew"  # it is being answered: the answer begins again
    ASKED = "asked"  # only now it is a message that wants an answer


class Interrupted(enum.Enum):
    """Why a running turn ends before its answer does."""

    EDITED = "edited"  # what is asked has changed: the answer begins again
    STOPPED = "stopped"  # what was said stays, and is remembered
    RESET = "reset"
    DELETED = "deleted"  # the question was deleted
    ERASED = "erased"  # whoever asked is forgotten, or the channel is gone
    UNINSTALLED = "uninstalled"


def wants_answer(message: MessageReceived, *, engaged: bool) -> bool:
    """Whether the bot should answer: a mention, a direct message, or a reply in a thread it takes part in.

    A message that addresses somebody else is theirs, unless it names the bot or nobody else is there.
    """
    if message.mentions_bot or message.thread.direct:
        return True
    return engaged and not message.addresses_other


def wants_answer_now(edited: MessageEdited, *, engaged: bool, now: datetime, idle_after: timedelta) -> bool:
    """Whether to answer an edited message that is not known: its edit called the bot, or has overtaken the message.

    What is older than the idle limit is not answered because somebody mends it; it may have been answered long ago.
    """
    is_recent = now - edited.sent_at <= idle_after
    return edited.calls_bot or (is_recent and wants_answer(edited.message, engaged=engaged))


def is_idle(last_active_at: datetime, *, now: datetime, idle_after: timedelta) -> bool:
    """Whether a session last active then has expired by `now`, whether or not a sweep has seen it yet."""
    return now - last_active_at > idle_after


@dataclass(frozen=True, slots=True)
class IdleLimits:
    """After how long without a message a session expires."""

    general: timedelta
    by_channel: Mapping[str, timedelta] = field(default_factory=dict)

    def of(self, channel: str) -> timedelta:
        """The limit in this channel."""
        return self.by_channel.get(channel, self.general)


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session as it is listed, to a person who took part in it or to the operator."""

    id: str
    thread: Thread
    opened_at: datetime
    last_active_at: datetime
    turns: int
    opening: str  # the first words of its first message


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of a session: facts about it, none of its words."""

    age: timedelta
    turns: int
    filled: float  # the share, up to 1, that it takes of what the model can be shown
    expires_in: timedelta  # when nobody writes meanwhile
    in_short: bool = False  # the oldest part is not shown any more, but as a summary

    @classmethod
    def of(
        cls, session: OpenSession, filled: float, *, in_short: bool, now: datetime, idle_after: timedelta
    ) -> Self | None:
        """What is remembered of this session; None when it has expired."""
        if is_idle(session.last_active_at, now=now, idle_after=idle_after):
            return None
        expires_in = session.last_active_at + idle_after - now
        return cls(now - session.opened_at, session.turns, filled, expires_in, in_short)


@dataclass(frozen=True, slots=True)
class Expiring:
    """A session whose thread is to be told that it will expire."""

    id: str
    thread: Thread
    warned_at: datetime  # once in this idle time
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class KeptMessage:
    """A message as it is kept of the person who wrote it, to be handed to them."""

    channel: str
    thread: str  # its root
    id: str
    accepted_at: datetime
    edited_at: datetime | None
    text: str  # empty once its session has closed
    attachments: tuple[Attachment, ...]
    answer: str | None  # left out where others asked as well, for it may hold what they said


@dataclass(frozen=True, slots=True)
class KeptEarlier:
    """What a person wrote in a thread before the bot was called into it, as it is kept."""

    channel: str
    thread: str
    id: str
    text: str
    attachments: tuple[Attachment, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """All that is kept of what a person wrote, oldest first."""

    messages: tuple[KeptMessage, ...] = ()
    background: tuple[KeptEarlier, ...] = ()
    whole: bool = True  # if not, there was more than could be handed over, and the newest is here
