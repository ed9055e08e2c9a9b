"""The greeting in a person's DM, when they open it for the first time.

Rule: at most once. A greeting that Slack may have posted is not posted again.
"""

from __future__ import annotations

import logging

from slack_sdk.web.async_client import AsyncWebClient

from bot.domain import texts
from bot.domain.language import translated
from bot.errors import StoreUnavailable
from bot.slack.errors import CLIENT_ERRORS, error_code
from bot.slack.identity import PLATFORM, BotIdentity
from bot.slack.port import PersonalRecords

log = logging.getLogger(__name__)


class Greeting:
    """Greets people."""

    def __init__(self, records: PersonalRecords, client: AsyncWebClient, bot: BotIdentity, command: str) -> None:
        self._records = records
        self._client = client
        self._bot = bot
        self._command = command

    async def greet(self, user: str, channel: str) -> None:
        """Greet the person in their DM, unless that was done before or they have written there already."""
        try:
            if not await self._records.claim_greeting(PLATFORM, self._bot.team_id, user, channel):
                return
            text = translated(texts.GREETING).format(self._bot.name, self._command)
            await self._client.chat_postMessage(channel=channel, text=text, unfurl_links=False)
        except StoreUnavailable as error:
            log.warning("greeting_not_posted", extra={"error": str(error)})  # the next visit tries again
        except CLIENT_ERRORS as error:
            log.warning("greeting_not_posted", extra={"error": error_code(error)})
