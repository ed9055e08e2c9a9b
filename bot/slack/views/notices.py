"""Shows a notice to one person after a gesture of theirs: a button pressed, a message's shortcut chosen.

Rule: one way failing, the other is tried; both failing is logged, without the response URL, which is a secret.
Facts: https://docs.slack.dev/interactivity/handling-user-interaction and .../reference/methods/chat.postEphemeral
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.slack.client import quiet_logger
from bot.slack.errors import CallFailed, error_code

log = logging.getLogger(__name__)


class Notices:
    """Shows notices by our own client. Bolt's `respond` and its copies of the client heed the environment's proxy."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client

    async def replace(self, payload: dict[str, Any], text: str) -> None:
        """Show the text instead of the message whose button was pressed; beside it, when that is not possible."""
        if not await self._respond(payload, {"text": text, "replace_original": True}):
            await self._post(payload, text)

    async def answer(self, command: dict[str, Any], text: str) -> None:
        """Show the text after what a slash command has said already."""
        await self._respond(command, {"text": text, "response_type": "ephemeral"})

    async def tell(self, payload: dict[str, Any], text: str) -> None:
        """Show the text beside the message whose shortcut was chosen.

        Only chat.postEphemeral reaches into a thread, where there are replies; only a response URL reaches channels
        that the bot is not in.
        """
        in_thread, answer = bool(payload["message"].get("thread_ts")), {"text": text, "replace_original": False}
        if in_thread and await self._post(payload, text):
            return
        if not await self._respond(payload, answer) and not in_thread:
            await self._post(payload, text)

    async def _respond(self, payload: dict[str, Any], answer: dict[str, Any]) -> bool:
        try:
            status = await self._send(payload["response_url"], answer)
        except (*CallFailed, KeyError) as error:
            log.warning("a response URL could not be used: %s", type(error).__name__)
            return False
        if status != HTTPStatus.OK:  # worn out after half an hour or five answers
            log.warning("a response URL was refused: http_%s", status)
        return status == HTTPStatus.OK

    async def _send(self, url: str, answer: dict[str, Any]) -> int:
        webhook = AsyncWebhookClient(
            url, session=self._client.session, logger=quiet_logger("slack_sdk"), retry_handlers=[]
        )
        webhook.proxy = self._client.proxy  # it has taken the environment's
        return (await webhook.send_dict(answer)).status_code

    async def _post(self, payload: dict[str, Any], text: str) -> bool:
        channel, user = payload["channel"]["id"], payload["user"]["id"]
        thread_ts = payload.get("message", {}).get("thread_ts")
        try:
            await self._client.chat_postEphemeral(channel=channel, user=user, text=text, thread_ts=thread_ts)
        except CallFailed as error:
            log.warning("a notice could not be posted: %s", error_code(error))
            return False
        return True
