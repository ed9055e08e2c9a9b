"""The services of the work layer that Slack's listeners and views call.

Their implementations are turns/inbox, turns/open_sessions and turns/personal_data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bot.domain.events import Author, Event, Thread
from bot.domain.personal_data import PersonalDataExport
from bot.domain.preferences import ModelsChange, Preferences
from bot.domain.sessions import OpenSession, ResetOutcome


class Intake(Protocol):
    """Accepts the events that Slack delivers. Each method may raise StoreUnavailable."""

    async def accept(self, event: Event) -> bool:
        """Store an event; it is durable when this returns."""

    def count_failed_delivery(self) -> None:
        """Count a delivery that was not stored."""


class SessionResets(Protocol):
    """Lists and resets a person's open sessions. Each method may raise StoreUnavailable."""

    async def reset(self, thread: Thread, author: Author) -> ResetOutcome:
        """Reset this thread's session."""

    async def reset_session(self, session_id: str, author: Author) -> ResetOutcome:
        """Reset this session."""

    async def reset_all(self, platform: str, workspace: str, channel: str, author: Author) -> int:
        """Reset the author's sessions in a channel; return how many."""

    async def count_open(self, platform: str, workspace: str, channel: str, author: Author) -> int:
        """Return how many sessions in a channel the author took part in."""

    async def open_sessions(self, platform: str, workspace: str, channel: str, author: Author) -> list[OpenSession]:
        """Return those sessions, newest activity first; of many, only the first."""


class PersonalRecords(Protocol):
    """Shows, changes, exports and erases a person's data. Each method may raise StoreUnavailable."""

    async def preferences(self, platform: str, workspace: str, user_id: str) -> Preferences:
        """Return the person's preferences."""

    async def language(self, platform: str, workspace: str, user_id: str) -> str:
        """Return the language in which to speak to the person. It takes less than half a second, and never raises."""

    async def set_preferences(
        self, platform: str, workspace: str, user_id: str, wishes: Mapping[str, object]
    ) -> Preferences:
        """Change the person's preferences, and return the new ones. Raises PreferencesRefused."""

    async def claim_greeting(self, platform: str, workspace: str, user_id: str, channel: str) -> bool:
        """Note that the person is greeted in this DM. Return whether to greet them."""

    async def claim_access_notice(self, platform: str, workspace: str, user_id: str) -> bool:
        """Return whether to tell the person now that they are not answered, and note it. At most once a day."""

    async def last_change(self, platform: str, workspace: str, user_id: str) -> ModelsChange | None:
        """Return the last change of the person's preferences, if the model made it and it can be undone."""

    async def undo_change(self, platform: str, workspace: str, user_id: str, turn_id: int) -> bool:
        """Restore what stood before the model's change in this turn. Return False if another change followed."""

    async def forget(self, platform: str, workspace: str, author: Author) -> int:
        """Erase the author's messages in a workspace, and the answers to them; return how many messages."""

    async def export(self, platform: str, workspace: str, author: Author) -> PersonalDataExport:
        """Return the author's messages in a workspace."""


class WorkLayer(Protocol):
    """The work layer, as an object with its services."""

    @property
    def inbox(self) -> Intake:
        """Accepts events."""

    @property
    def sessions(self) -> SessionResets:
        """Lists and resets sessions."""

    @property
    def personal_data(self) -> PersonalRecords:
        """Serves people's requests about their own data."""
