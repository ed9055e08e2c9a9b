"""A person's preferences in Slack: shown in the Home tab, changed in a modal.

Rule: a modal opens while its trigger lives, three seconds, so that it waits for the store no longer than that.
Facts: https://docs.slack.dev/reference/methods/views.open and .../views.publish
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.domain import texts
from bot.domain.preferences import Preferences
from bot.errors import PreferencesRefused, StoreUnavailable
from bot.slack.errors import CallFailed, error_code
from bot.slack.identity import PLATFORM, BotIdentity
from bot.slack.port import PersonalRecords
from bot.slack.views import preference_blocks
from bot.slack.views.resets import WORK_S, Notice

log = logging.getLogger(__name__)


class PersonalViews:
    """Shows people what is kept in mind for them, and takes in what they change."""

    def __init__(
        self, personal_data: PersonalRecords, client: AsyncWebClient, bot: BotIdentity, help_text: str
    ) -> None:
        """`help_text` says how the bot is used, in mrkdwn."""
        self._personal_data = personal_data
        self._client = client
        self._bot = bot
        self._help_text = help_text

    async def publish(self, user: str) -> None:
        """Show the person's Home tab as it is now. Best effort: it is shown anew whenever it is opened."""
        try:
            view = preference_blocks.home(await self._kept(user), self._help_text)
        except StoreUnavailable as error:
            log.error("preferences could not be read: %s", error)  # noqa: TRY400 - expected
            view = preference_blocks.apology()
        await self._publish(user, view)

    async def edit(self, user: str, trigger_id: str) -> None:
        """Open the modal from the Home tab; where it cannot be opened, that tab says so."""
        if (await self.open(user, trigger_id)).text:
            await self._publish(user, preference_blocks.apology())

    async def open(self, user: str, trigger_id: str) -> Notice:
        """Open the modal for the person whose gesture gave this trigger; without a text, there is nothing to tell."""
        try:
            async with asyncio.timeout(WORK_S):
                view = preference_blocks.modal(await self._kept(user))
                await self._client.views_open(trigger_id=trigger_id, view=view)
        except (StoreUnavailable, *CallFailed) as error:
            log.error("the preferences were not opened: %s", _code(error))  # noqa: TRY400 - expected
            return Notice(texts.SOMETHING_BROKE)
        return Notice("")

    async def submit(self, user: str, view: Any) -> dict[str, str]:
        """Keep what was written in the modal; where that is not possible nothing is kept, and why is told by field."""
        wishes = preference_blocks.wishes_in(view)
        try:
            async with asyncio.timeout(WORK_S):
                await self._personal_data.set_preferences(PLATFORM, self._bot.team_id, user, wishes)
        except PreferencesRefused as refused:
            return dict(refused.problems)
        except (StoreUnavailable, TimeoutError) as error:
            log.error("preferences were not kept: %s", type(error).__name__)  # noqa: TRY400 - expected
            return dict.fromkeys(list(wishes)[:1], texts.SOMETHING_BROKE)
        return {}

    async def _kept(self, user: str) -> Preferences:
        return await self._personal_data.preferences(PLATFORM, self._bot.team_id, user)

    async def _publish(self, user: str, view: preference_blocks.View) -> None:
        try:
            await self._client.views_publish(user_id=user, view=view)
        except CallFailed as error:
            log.warning("a Home tab could not be shown: %s", error_code(error))


def _code(error: BaseException) -> str:
    return str(error) if isinstance(error, StoreUnavailable) else error_code(error)
