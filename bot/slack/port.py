"""The port to the work layer: the calls that the Slack edge makes. bot.turns.inbox.Inbox implements it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bot.domain.events import Author, Event, Thread
from bot.domain.preferences import Preferences
from bot.domain.sessions import Kept, OpenSession, ResetOutcome


class Intake(Protocol):
    """Accepts events, resets sessions, and keeps personal data. Each method may raise StoreUnavailable."""

    async def accept(self, event: Event) -> bool:
        """Accept an event. It is durable when this returns."""

    def refused(self) -> None:
        """Count a delivery that was not accepted."""

    async def reset(self, thread: Thread, author: Author) -> ResetOutcome:
        """Reset the session of this thread."""

    async def reset_session(self, session_id: str, author: Author) -> ResetOutcome:
        """Reset this session."""

    async def reset_all(self, platform: str, workspace: str, channel: str, author: Author) -> int:
        """Reset the author's sessions in a channel. Return their number."""

    async def count_open(self, platform: str, workspace: str, channel: str, author: Author) -> int:
        """Return the number of open sessions in a channel in which the author took part."""

    async def open_sessions(self, platform: str, workspace: str, channel: str, author: Author) -> list[OpenSession]:
        """Return those sessions, the most recently active first. The list may be cut."""

    async def preferences(self, platform: str, workspace: str, user_id: str) -> Preferences:
        """Return a person's preferences."""

    async def set_preferences(
        self, platform: str, workspace: str, user_id: str, wishes: Mapping[str, object]
    ) -> Preferences:
        """Change a person's preferences, and return the new ones. Raise PreferencesRefused if a value is invalid."""

    async def forget(self, platform: str, workspace: str, author: Author) -> int:
        """Erase the author's messages in a workspace, with the answers to them. Return the number of messages."""

    async def export(self, platform: str, workspace: str, author: Author) -> Kept:
        """Return the stored messages of the author in a workspace."""
