"""What the listeners need of the work layer: a durable door for events, resets, and what is kept of a person.

bot.inbox.Inbox is it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bot.domain.events import Author, Event, Thread
from bot.domain.preferences import Preferences
from bot.domain.sessions import Kept, OpenSession, ResetOutcome


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

    async def preferences(self, platform: str, workspace: str, user_id: str) -> Preferences:
        """What a person asked us to keep in mind."""

    async def set_preferences(
        self, platform: str, workspace: str, user_id: str, wishes: Mapping[str, object]
    ) -> Preferences:
        """Take in what a person wishes; what they ask for now. Raises PreferencesRefused."""

    async def forget(self, platform: str, workspace: str, author: Author) -> int:
        """Erase what the author wrote in a workspace, with its answers; how many messages."""

    async def export(self, platform: str, workspace: str, author: Author) -> Kept:
        """What is kept of what the author wrote in a workspace."""
