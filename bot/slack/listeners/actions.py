"""The buttons of the list of conversations; a press replaces the list with what became of it."""

from __future__ import annotations

from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot.slack.notices import Notices
from bot.slack.resets import Resets, in_time
from bot.slack.views import RESET_ALL, RESET_SESSION


def register(app: AsyncApp, resets: Resets, notices: Notices) -> None:
    """Reset the session whose button was pressed, or all of them in that channel."""

    async def reset_session(ack: AsyncAck, body: dict[str, Any], action: dict[str, Any]) -> None:
        notice = await in_time(resets.one(body["user"]["id"], action["value"]))
        await ack()
        await notices.replace(body, notice.text)

    async def reset_all(ack: AsyncAck, body: dict[str, Any]) -> None:
        notice = await in_time(resets.all(body["user"]["id"], body["channel"]["id"]))
        await ack()
        await notices.replace(body, notice.text)

    app.action(RESET_SESSION)(reset_session)
    app.action(RESET_ALL)(reset_all)
