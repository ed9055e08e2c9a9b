"""Ephemeral messages after a slash command, a button or a shortcut. Only one person sees them.

There are two ways: the response URL of the payload, and chat.postEphemeral. If one fails, the other is tried.
Rule: the response URL is a secret, so it is never logged.
Facts: https://docs.slack.dev/interactivity/handling-user-interaction and .../reference/methods/chat.postEphemeral
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.slack.errors import CLIENT_ERRORS, error_code
from bot.slack.log_redaction import redacting_logger

log = logging.getLogger(__name__)


class EphemeralMessages:
    """Sends ephemeral messages. Bolt's `respond` is not used, because it heeds the environment's proxy."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client

    async def replace_original(self, payload: dict[str, Any], text: str) -> None:
        """Replace the ephemeral message whose button was pressed. If that fails, post another one."""
        if not await self._respond(payload, {"text": text, "replace_original": True}):
            await self._post_ephemeral(payload, text)

    async def follow_up(self, command: dict[str, Any], text: str) -> None:
        """Send a further message after the response to a slash command."""
        await self._respond(command, {"text": text, "response_type": "ephemeral"})

    async def post_beside(self, shortcut: dict[str, Any], text: str) -> None:
        """Send a message next to the one on which a message shortcut was used.

        Only chat.postEphemeral can post into a thread, if it has replies. Only a response URL can post into a channel
        that the bot is not in.
        """
        in_thread = bool(shortcut["message"].get("thread_ts"))
        if in_thread and await self._post_ephemeral(shortcut, text):
            return
        if not await self._respond(shortcut, {"text": text, "replace_original": False}) and not in_thread:
            await self._post_ephemeral(shortcut, text)

    async def _respond(self, payload: dict[str, Any], response: dict[str, Any]) -> bool:
        try:
            status = await self._post_to_response_url(payload["response_url"], response)
        except (*CLIENT_ERRORS, KeyError) as error:
            log.warning("response_url_failed", extra={"error": type(error).__name__})
            return False
        if status != HTTPStatus.OK:  # a response URL expires after 30 minutes or five responses
            log.warning("response_url_refused", extra={"status": status})
        return status == HTTPStatus.OK

    async def _post_to_response_url(self, url: str, response: dict[str, Any]) -> int:
        webhook = AsyncWebhookClient(
            url, session=self._client.session, logger=redacting_logger("slack_sdk"), retry_handlers=[]
        )
        webhook.proxy = self._client.proxy  # instead of the environment's
        return (await webhook.send_dict(response)).status_code

    async def _post_ephemeral(self, payload: dict[str, Any], text: str) -> bool:
        channel, user = payload["channel"]["id"], payload["user"]["id"]
        thread_ts = payload.get("message", {}).get("thread_ts")
        try:
            await self._client.chat_postEphemeral(channel=channel, user=user, text=text, thread_ts=thread_ts)
        except CLIENT_ERRORS as error:
            log.warning("ephemeral_message_failed", extra={"error": error_code(error)})
            return False
        return True
