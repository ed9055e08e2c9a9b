"""What the bot keeps of a person: erased, or handed over as a file, when the person asks for it."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.domain import texts
from bot.domain.events import Author
from bot.domain.preferences import Preferences
from bot.domain.sessions import Kept
from bot.errors import StoreUnavailable
from bot.slack.errors import CallFailed, error_code
from bot.slack.identity import PLATFORM, BotIdentity
from bot.slack.port import PersonalRecords
from bot.slack.views import blocks
from bot.slack.views.notices import Notices
from bot.slack.views.resets import Notice

log = logging.getLogger(__name__)


class Privacy:
    """Forgets people, and tells them what is kept of them."""

    def __init__(
        self,
        personal_data: PersonalRecords,
        bot: BotIdentity,
        client: AsyncWebClient,
        notices: Notices,
        clock: Callable[[], datetime],
    ) -> None:
        self._personal_data = personal_data
        self._bot = bot
        self._client = client
        self._notices = notices
        self._clock = clock

    async def forget(self, user: str) -> Notice:
        """Erase what is kept of the person."""
        try:
            erased = await self._personal_data.forget(PLATFORM, self._bot.team_id, Author(user, self._bot.team_id))
        except StoreUnavailable as error:
            log.error("a person could not be forgotten: %s", error)  # noqa: TRY400 - expected
            return Notice(texts.SOMETHING_BROKE)
        return Notice(texts.forgotten(erased))

    async def export(self, command: dict[str, Any]) -> None:
        """Send the person who gave the command what is kept of them, as a file in their direct messages."""
        user = command["user_id"]
        try:
            kept = await self._personal_data.export(PLATFORM, self._bot.team_id, Author(user, self._bot.team_id))
            wishes = await self._personal_data.preferences(PLATFORM, self._bot.team_id, user)
            # Posting to a person's id opens their direct messages; a file wants their channel's id.
            # https://docs.slack.dev/reference/methods/chat.postMessage
            opened = await self._client.chat_postMessage(channel=user, text=texts.EXPORT)
            await self._client.files_upload_v2(
                channel=opened["channel"], content=self._document(user, kept, wishes), filename=texts.EXPORT_FILE
            )
        except (*CallFailed, StoreUnavailable) as error:
            log.error("an export was not sent: %s", error_code(error))  # noqa: TRY400 - expected
            await self._notices.answer(command, texts.EXPORT_FAILED)

    def _document(self, user: str, kept: Kept, wishes: Preferences) -> str:
        document = {
            "about": texts.EXPORT_ABOUT,
            "workspace": self._bot.team_id,
            "person": user,
            "exported_at": self._clock(),
            "preferences": wishes.wishes,
            "complete": kept.whole,
            "messages": [dataclasses.asdict(message) for message in kept.messages],
            "background": [dataclasses.asdict(message) for message in kept.background],
        }
        return json.dumps(document, ensure_ascii=False, indent=2, default=datetime.isoformat)


def to_confirm() -> Notice:
    """What a person is asked before they are forgotten."""
    return Notice(texts.CONFIRM_FORGET_ME, tuple(blocks.to_confirm_forgetting()))
