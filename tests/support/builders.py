"""Events as tests say them: who wrote what, where."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bot.domain.events import (
    Author,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    ResetRequested,
    StopRequested,
    Thread,
)

ANA = Author("U-ANA", "T1")
BEN = Author("U-BEN", "T1")
CHI = Author("U-CHI", "T1")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(hours=24)
THREAD = Thread("desk", "T1", "C1", "1.0")
DIRECT = Thread("desk", "T1", "D1", "1.0", direct=True)


def mention(text: str, message_id: str = "1.0", *, by: Author = ANA, in_: Thread = THREAD) -> MessageReceived:
    """A message that names the bot."""
    return MessageReceived(in_, message_id, by, text, mentions_bot=True)


def reply(text: str, message_id: str, *, by: Author = ANA, in_: Thread = THREAD) -> MessageReceived:
    """A message that names nobody."""
    return MessageReceived(in_, message_id, by, text)


def reset(message_id: str, *, by: Author = ANA, in_: Thread = THREAD) -> ResetRequested:
    """A bare `!reset`."""
    return ResetRequested(in_, message_id, by)


def stop(message_id: str | None = None, *, by: Author = BEN, in_: Thread = THREAD) -> StopRequested:
    """A bare `!stop`; without a message's id, the button."""
    return StopRequested(in_, by, message_id)


def edit(text: str, message_id: str = "1.0", *, at: int = 1, by: Author = ANA, in_: Thread = THREAD) -> MessageEdited:
    """A message that was sent at noon, and did not mention the bot, has this text since so many seconds later."""
    return MessageEdited(reply(text, message_id, by=by, in_=in_), sent_at=NOON, edited_at=NOON + timedelta(seconds=at))


def deletion(message_id: str = "1.0", *, in_: Thread = THREAD, was: MessageReceived | None = None) -> MessageDeleted:
    """A message was deleted."""
    return MessageDeleted(in_, message_id, was)


def thread(number: int) -> Thread:
    """One of many threads in a channel."""
    return Thread("desk", "T1", "C1", f"{number:06}.0")
