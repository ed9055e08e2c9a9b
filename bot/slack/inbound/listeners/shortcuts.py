"""The listener for the message shortcut "Start over". Unlike slash commands, shortcuts work in threads."""

from __future__ import annotations

from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot.manifest import START_OVER
from bot.slack.inbound.interactions.ephemeral_reply import within_ack_deadline
from bot.slack.inbound.interactions.resets import Resets
from bot.slack.outbound.ephemeral_messages import EphemeralMessages


def register(app: AsyncApp, resets: Resets, ephemeral: EphemeralMessages) -> None:
    """Reset the thread of the message, and confirm it to the person in that thread."""

    async def start_over(ack: AsyncAck, shortcut: dict[str, Any]) -> None:
        message, channel, user = shortcut["message"], shortcut["channel"]["id"], shortcut["user"]["id"]
        root = message.get("thread_ts") or message["ts"]
        reply = await within_ack_deadline(resets.reset_thread(user, channel, root))
        await ack()
        await ephemeral.post_beside(shortcut, reply.text)

    app.shortcut(START_OVER)(start_over)
