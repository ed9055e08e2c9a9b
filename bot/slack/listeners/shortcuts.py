"""The message shortcut that starts a thread over; unlike commands, it works inside threads."""

from __future__ import annotations

import logging
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient

from bot.manifest import START_OVER
from bot.slack.failures import CallFailed, error_code
from bot.slack.resets import Resets, in_time

log = logging.getLogger(__name__)


def register(app: AsyncApp, resets: Resets) -> None:
    """Reset the thread of the message, and say so to the person, where they are."""

    async def start_over(ack: AsyncAck, shortcut: dict[str, Any], client: AsyncWebClient) -> None:
        message, channel, user = shortcut["message"], shortcut["channel"]["id"], shortcut["user"]["id"]
        thread_ts = message.get("thread_ts")
        notice = await in_time(resets.thread(user, channel, thread_ts or message["ts"]))
        await ack()
        try:
            # https://docs.slack.dev/reference/methods/chat.postEphemeral: in a thread only where there are replies
            await client.chat_postEphemeral(channel=channel, user=user, text=notice.text, thread_ts=thread_ts)
        except CallFailed as error:
            log.warning("the outcome of a shortcut could not be shown: %s", error_code(error))

    app.shortcut(START_OVER)(start_over)
