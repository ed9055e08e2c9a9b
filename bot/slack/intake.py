"""What the listeners need of the work layer: a durable door for events, and resets. bot.inbox.Inbox is it."""

from __future__ import annotations

from typing import Protocol

from bot.events import Author, Event, Thread
from bot.sessions import OpenSession, ResetOutcome


class Intake(Protocol):
    """Where everything goes that Slack tells us. Each method may raise StoreUnavailable."""

    async def accept(self, event: Event) -> bool:
        """Take an event in; it is durable when this returns."""

    def refused(self) -> None:
        """Count a delivery that was not taken in."""

    async def reset(self, thread: Thread, author: Author) -> ResetOutcome:
        """Reset this thread's session."""

    async def reset_session(self, session_id: str, author: Author) -> ResetOutcome:
        """Reset this session."""

    async def reset_all(self, platform: str, workspace: str, channel: str, author: Author) -> int:
        """Reset the author's sessions in a channel; how many."""

    async def count_open(self, platform: str, workspace: str, channel: str, author: Author) -> int:
        """How many sessions in a channel the author took part in."""

    async def open_sessions(self, platform: str, workspace: str, channel: str, author: Author) -> list[OpenSession]:
        """Those sessions, newest activity first; of many, only the first."""
