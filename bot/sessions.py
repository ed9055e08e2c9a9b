"""A session's life: what opens, continues and closes it (docs/invariants.md).

Rule: pure. The store asks these questions inside its transactions; nobody else decides them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.events import MessageReceived, Thread


class Closed(enum.Enum):
    """Why a session ended."""

    RESET = "reset"
    EXPIRED = "expired"
    UNINSTALLED = "uninstalled"  # the app was removed from the workspace


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


class Interrupted(enum.Enum):
    """Why a running turn ends before its answer does."""

    STOPPED = "stopped"  # what was said stays, and is remembered
    RESET = "reset"
    DELETED = "deleted"  # the question was deleted
    UNINSTALLED = "uninstalled"


def wants_answer(message: MessageReceived, *, engaged: bool) -> bool:
    """Whether the bot should answer: a mention, a direct message, or a reply in a thread it takes part in.

    A message that addresses somebody else is theirs, unless it names the bot or nobody else is there.
    """
    if message.mentions_bot or message.thread.direct:
        return True
    return engaged and not message.addresses_other


def is_idle(last_active_at: datetime, *, now: datetime, idle_after: timedelta) -> bool:
    """Whether a session last active then has expired by `now`, whether or not a sweep has seen it yet."""
    return now - last_active_at > idle_after


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session as it is listed, to a person who took part in it or to the operator."""

    id: str
    thread: Thread
    opened_at: datetime
    last_active_at: datetime
    turns: int
    opening: str  # the first words of its first message
