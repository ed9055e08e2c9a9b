"""Display and editing of a person's preferences: the Home tab and the modal.

Rule: a trigger id expires after three seconds, so the modal waits no longer than that for the database.
Facts: https://docs.slack.dev/reference/methods/views.open and .../views.publish
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.domain import texts
from bot.domain.language import speak, translated
from bot.domain.preferences import Preferences
from bot.errors import PreferencesRefused, StoreUnavailable
from bot.slack.errors import CLIENT_ERRORS, failure_reason
from bot.slack.identity import PLATFORM, BotIdentity
from bot.slack.inbound.interactions.ephemeral_reply import ACK_DEADLINE_S, EphemeralReply
from bot.slack.port import PersonalRecords
from bot.slack.views.block_elements import View
from bot.slack.views.home_tab import home_tab, home_tab_error
from bot.slack.views.kept_preferences import undone_change
from bot.slack.views.preferences_modal import preferences_modal, submitted_preferences

log = logging.getLogger(__name__)


class PreferencesEditor:
    """Publishes the Home tab, opens the modal, and saves its values."""

    def __init__(
        self, personal_data: PersonalRecords, client: AsyncWebClient, bot: BotIdentity, help_text: Callable[[], str]
    ) -> None:
        """`help_text` returns the help on the Home tab, in mrkdwn and in the reader's language."""
        self._personal_data = personal_data
        self._client = client
        self._bot = bot
        self._help_text = help_text

    async def publish_home_tab(self, user: str) -> None:
        """Publish the person's Home tab. A failure is only logged: the next opening of the tab publishes it again."""
        try:
            speak(await self._personal_data.language(PLATFORM, self._bot.team_id, user))  # it may just have changed
            change = await self._personal_data.last_change(PLATFORM, self._bot.team_id, user)
            view = home_tab(await self._preferences(user), self._help_text(), change, user)
        except StoreUnavailable as error:
            log.error("preferences_not_read", extra={"error": failure_reason(error)})  # noqa: TRY400 - expected
            view = home_tab_error()
        await self._publish(user, view)

    async def open_modal_from_home_tab(self, user: str, trigger_id: str) -> None:
        """Open the modal. If that fails, the Home tab shows an apology."""
        if await self.open_modal(user, trigger_id) is not None:
            await self._publish(user, home_tab_error())

    async def open_modal(self, user: str, trigger_id: str) -> EphemeralReply | None:
        """Open the modal. Return an apology if that fails."""
        try:
            async with asyncio.timeout(ACK_DEADLINE_S):
                view = preferences_modal(await self._preferences(user))
                await self._client.views_open(trigger_id=trigger_id, view=view)
        except (StoreUnavailable, *CLIENT_ERRORS) as error:
            log.error("preferences_modal_not_opened", extra={"error": failure_reason(error)})  # noqa: TRY400 - expected
            return EphemeralReply(translated(texts.SOMETHING_BROKE))
        return None

    async def save(self, user: str, view: Any) -> dict[str, str]:
        """Save the values of a submitted modal, all or none. Return the errors to show, by block_id."""
        values = submitted_preferences(view)
        try:
            async with asyncio.timeout(ACK_DEADLINE_S):
                await self._personal_data.set_preferences(PLATFORM, self._bot.team_id, user, values)
        except PreferencesRefused as refused:
            return dict(refused.problems)
        except (StoreUnavailable, TimeoutError) as error:
            log.error("preferences_not_saved", extra={"error": failure_reason(error)})  # noqa: TRY400 - expected
            return dict.fromkeys(list(values)[:1], translated(texts.SOMETHING_BROKE))
        return {}

    async def undo(self, user: str, value: str) -> EphemeralReply:
        """Undo the model's change that a pressed button names, if it is the last one of this person's preferences."""
        owner, turn_id = undone_change(value)
        if user != owner:
            return EphemeralReply(translated(texts.UNDO_NOT_YOURS))
        undone = await self._personal_data.undo_change(PLATFORM, self._bot.team_id, user, turn_id)
        return EphemeralReply(translated(texts.UNDONE if undone else texts.UNDO_TOO_LATE), is_over=True)

    async def _preferences(self, user: str) -> Preferences:
        return await self._personal_data.preferences(PLATFORM, self._bot.team_id, user)

    async def _publish(self, user: str, view: View) -> None:
        try:
            await self._client.views_publish(user_id=user, view=view)
        except CLIENT_ERRORS as error:
            log.warning("home_tab_not_published", extra={"error": failure_reason(error)})
