"""Short ways to build events for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bot.domain.events import (
    Author,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    QuietRequested,
    ResetRequested,
    StopRequested,
    Thread,
)
from bot.turns.caller_places import CallerPlaces

ANA = Author("U-ANA", "T1")
BEN = Author("U-BEN", "T1")
CHI = Author("U-CHI", "T1")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(hours=24)
THREAD = Thread("chat", "T1", "C1", "1.0")
DIRECT = Thread("chat", "T1", "D1", "1.0", direct=True)
PLACES = CallerPlaces(b"a secret of the tests")


def mention(text: str, message_id: str = "1.0", *, by: Author = ANA, in_: Thread = THREAD) -> MessageReceived:
    """Return a message that mentions the bot."""
    return MessageReceived(in_, message_id, by, text, mentions_bot=True)


def reply(text: str, message_id: str, *, by: Author = ANA, in_: Thread = THREAD) -> MessageReceived:
    """Return a message without a mention."""
    return MessageReceived(in_, message_id, by, text)


def reset(message_id: str, *, by: Author = ANA, in_: Thread = THREAD) -> ResetRequested:
    """Return a bare `!reset`."""
    return ResetRequested(in_, message_id, by)


def stop(message_id: str | None = None, *, by: Author = ANA, in_: Thread = THREAD) -> StopRequested:
    """Return a bare `!stop`, or a press of the Stop button if there is no message id."""
    return StopRequested(in_, by, message_id)


def quiet(message_id: str, *, by: Author = ANA, in_: Thread = THREAD) -> QuietRequested:
    """Return a bare `!quiet`."""
    return QuietRequested(in_, message_id, by, quiet=True)


def back(message_id: str, *, by: Author = ANA, in_: Thread = THREAD) -> QuietRequested:
    """Return a bare `!back`."""
    return QuietRequested(in_, message_id, by, quiet=False)


def edit(text: str, message_id: str = "1.0", *, at: int = 1, by: Author = ANA, in_: Thread = THREAD) -> MessageEdited:
    """Return an edit of a message without a mention. The message was sent at noon, the edit so many seconds later."""
    return MessageEdited(reply(text, message_id, by=by, in_=in_), sent_at=NOON, edited_at=NOON + timedelta(seconds=at))


def deletion(message_id: str = "1.0", *, in_: Thread = THREAD, was: MessageReceived | None = None) -> MessageDeleted:
    """Return the deletion of a message."""
    return MessageDeleted(in_, message_id, was)


def thread(number: int) -> Thread:
    """Return one of many threads of a channel."""
    return Thread("chat", "T1", "C1", f"{number:06}.0")
