"""The rules by which a session opens, continues and closes (docs/invariants.md).

Rule: pure. The store asks these functions inside its transactions; nothing else decides it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from bot.domain.events import MessageEdited, MessageReceived, Thread


class Closed(enum.Enum):
    """Why a session was closed."""

    RESET = "reset"
    EXPIRED = "expired"
    UNINSTALLED = "uninstalled"  # the app was removed from the workspace
    CHANNEL_GONE = "channel_gone"  # the channel was deleted or archived, or the bot removed from it
    ERASED = "erased"  # all its messages were erased by a person or an operator


class Opened(enum.Enum):
    """Whether an API request continued its session or opened one."""

    CREATED = "created"  # the first session, or the first after a reset
    CONTINUED = "continued"
    EXPIRED = "expired"  # a new session, because the one before it expired


class ResetOutcome(enum.Enum):
    """The outcome of a reset."""

    DONE = "done"
    NOTHING = "nothing"  # the thread has no open session
    NOT_YOURS = "not_yours"  # the person did not take part in the session


class StopOutcome(enum.Enum):
    """The outcome of a stop."""

    STOPPED = "stopped"  # the running answer ends with a sentence about the stop
    NOT_BEGUN = "not_begun"  # the waiting messages will not be answered
    NOTHING_RUNS = "nothing_runs"
    NOT_YOURS = "not_yours_to_stop"  # the person did not take part in the session


class StatusReply(enum.Enum):
    """A reply to a command whose text is composed when the reply is posted."""

    STATUS = "status"
    UNKNOWN = "unknown"  # a command that this version does not know


class EditOutcome(enum.Enum):
    """The outcome of an edit."""

    NOTHING = "nothing"  # no stored text changed
    REPLACED = "replaced"  # the stored text was replaced
    ANEW = "anew"  # the message was being answered: the answer restarts
    ASKED = "asked"  # the edit made the message one that wants an answer


class Interrupted(enum.Enum):
    """Why a running turn must end before its answer is complete."""

    EDITED = "edited"  # a question has changed: the answer restarts
    STOPPED = "stopped"  # the answer so far stays, and is remembered
    RESET = "reset"
    DELETED = "deleted"  # the question was deleted
    ERASED = "erased"  # the person was forgotten, or the channel is gone
    UNINSTALLED = "uninstalled"


def wants_answer(message: MessageReceived, *, engaged: bool) -> bool:
    """Return whether the bot answers: a mention, a direct message, or a reply in a thread in which it takes part.

    The bot does not answer a reply that addresses another person and does not mention the bot. Of a workflow it answers
    nothing but a mention.
    """
    if message.mentions_bot or (message.thread.direct and not message.by_workflow):
        return True
    return engaged and not message.by_workflow and not message.addresses_other


def wants_answer_now(edited: MessageEdited, *, engaged: bool, now: datetime, idle_after: timedelta) -> bool:
    """Return whether the bot answers an edited message that is not stored.

    It does if the edit added a mention, or if it was delivered before a message that wants an answer. A message that is
    older than the idle limit is not answered, because its row may have been purged after an answer.
    """
    is_recent = now - edited.sent_at <= idle_after
    return edited.calls_bot or (is_recent and wants_answer(edited.message, engaged=engaged))


def is_idle(last_active_at: datetime, *, now: datetime, idle_after: timedelta) -> bool:
    """Return whether a session has expired, even if no sweep has closed it yet."""
    return now - last_active_at > idle_after


@dataclass(frozen=True, slots=True)
class IdleLimits:
    """The time without a message after which a session expires."""

    general: timedelta
    by_channel: Mapping[str, timedelta] = field(default_factory=dict)

    def of(self, channel: str) -> timedelta:
        """Return the limit in this channel."""
        return self.by_channel.get(channel, self.general)


@dataclass(frozen=True, slots=True)
class OpenSession:
    """An open session in a list, for a person who took part in it or for the operator."""

    id: str
    thread: Thread
    opened_at: datetime
    last_active_at: datetime
    turns: int
    opening: str  # the beginning of its first message


@dataclass(frozen=True, slots=True)
class Memory:
    """Figures about the bot's memory of a session, without any text."""

    age: timedelta
    turns: int
    filled: float  # the share of the prompt's room that it takes, up to 1
    expires_in: timedelta  # if no message arrives until then
    summarized: bool = False  # the model reads a summary of the oldest part

    @classmethod
    def of(
        cls, session: OpenSession, filled: float, *, summarized: bool, now: datetime, idle_after: timedelta
    ) -> Self | None:
        """Return the figures of this session; None when it has expired."""
        if is_idle(session.last_active_at, now=now, idle_after=idle_after):
            return None
        expires_in = session.last_active_at + idle_after - now
        return cls(now - session.opened_at, session.turns, filled, expires_in, summarized)


@dataclass(frozen=True, slots=True)
class ExpiringSession:
    """A session that will expire soon, and whose thread is to be warned."""

    id: str
    thread: Thread
    warned_at: datetime  # identifies this warning, which a new message makes obsolete
    expires_at: datetime
