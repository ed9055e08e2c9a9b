"""Erasure and export of a person's data: `/attendant forget me` and `/attendant export`."""

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
from bot.domain.language import translated
from bot.domain.personal_data import PersonalDataExport
from bot.domain.preferences import Preferences
from bot.errors import StoreUnavailable
from bot.slack.errors import CLIENT_ERRORS, failure_reason
from bot.slack.identity import PLATFORM, BotIdentity
from bot.slack.inbound.interactions.ephemeral_reply import EphemeralReply
from bot.slack.outbound.ephemeral_messages import EphemeralMessages
from bot.slack.port import PersonalRecords
from bot.slack.views.forget_confirmation import forget_confirmation

log = logging.getLogger(__name__)


class DataRequests:
    """Erases a person's data, or sends it to them as a file."""

    def __init__(
        self,
        personal_data: PersonalRecords,
        bot: BotIdentity,
        client: AsyncWebClient,
        ephemeral: EphemeralMessages,
        clock: Callable[[], datetime],
    ) -> None:
        self._personal_data = personal_data
        self._bot = bot
        self._client = client
        self._ephemeral = ephemeral
        self._clock = clock

    async def erase(self, user: str) -> EphemeralReply:
        """Erase the person's messages, and the answers to them."""
        try:
            erased = await self._personal_data.forget(PLATFORM, self._bot.team_id, Author(user, self._bot.team_id))
        except StoreUnavailable as error:
            log.error("personal_data_not_erased", extra={"error": failure_reason(error)})  # noqa: TRY400 - expected
            return EphemeralReply(translated(texts.SOMETHING_BROKE))
        return EphemeralReply(texts.forgotten(erased))

    async def export(self, command: dict[str, Any]) -> None:
        """Upload a file with the data of the person who gave the command, in their direct messages."""
        user = command["user_id"]
        try:
            exported = await self._personal_data.export(PLATFORM, self._bot.team_id, Author(user, self._bot.team_id))
            preferences = await self._personal_data.preferences(PLATFORM, self._bot.team_id, user)
            # Posting to a user id opens the direct message channel, whose id the upload needs.
            # https://docs.slack.dev/reference/methods/chat.postMessage
            opened = await self._client.chat_postMessage(channel=user, text=translated(texts.EXPORT))
            await self._client.files_upload_v2(
                channel=opened["channel"],
                content=self._document(user, exported, preferences),
                filename=texts.EXPORT_FILE,
            )
        except (*CLIENT_ERRORS, StoreUnavailable) as error:
            log.error("personal_data_not_exported", extra={"error": failure_reason(error)})  # noqa: TRY400 - expected
            await self._ephemeral.follow_up(command, translated(texts.EXPORT_FAILED))

    def _document(self, user: str, exported: PersonalDataExport, preferences: Preferences) -> str:
        document = {
            "about": translated(texts.EXPORT_ABOUT),
            "workspace": self._bot.team_id,
            "person": user,
            "exported_at": self._clock(),
            "preferences": preferences.wishes,
            "complete": exported.complete,
            "messages": [dataclasses.asdict(message) for message in exported.messages],
            "background": [dataclasses.asdict(message) for message in exported.thread_context],
        }
        return json.dumps(document, ensure_ascii=False, indent=2, default=datetime.isoformat)


def confirm_erasure() -> EphemeralReply:
    """Ask the person to confirm the erasure."""
    return EphemeralReply(translated(texts.CONFIRM_FORGET_ME), tuple(forget_confirmation()))
