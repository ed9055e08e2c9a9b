"""The message shortcut that starts a thread over; unlike commands, it works inside threads."""

from __future__ import annotations

from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot.manifest import START_OVER
from bot.slack.views.notices import Notices
from bot.slack.views.resets import Resets, in_time


def register(app: AsyncApp, resets: Resets, notices: Notices) -> None:
    """Reset the thread of the message, and say so to the person, where they are."""

    async def start_over(ack: AsyncAck, shortcut: dict[str, Any]) -> None:
        message, channel, user = shortcut["message"], shortcut["channel"]["id"], shortcut["user"]["id"]
        notice = await in_time(resets.thread(user, channel, message.get("thread_ts") or message["ts"]))
        await ack()
        await notices.tell(shortcut, notice.text)

    app.shortcut(START_OVER)(start_over)
