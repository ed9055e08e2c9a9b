"""The buttons of what one person is shown; a press replaces it with what became of it."""

from __future__ import annotations

from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot.slack.views.blocks import FORGET_ME, RESET_ALL, RESET_SESSION
from bot.slack.views.notices import Notices
from bot.slack.views.privacy import Privacy
from bot.slack.views.resets import Resets, in_time


def register(app: AsyncApp, resets: Resets, privacy: Privacy, notices: Notices) -> None:
    """Reset the session whose button was pressed, or all of them in that channel; or forget whoever pressed it."""

    async def reset_session(ack: AsyncAck, body: dict[str, Any], action: dict[str, Any]) -> None:
        notice = await in_time(resets.one(body["user"]["id"], action["value"]))
        await ack()
        await notices.replace(body, notice.text)

    async def reset_all(ack: AsyncAck, body: dict[str, Any]) -> None:
        notice = await in_time(resets.all(body["user"]["id"], body["channel"]["id"]))
        await ack()
        await notices.replace(body, notice.text)

    async def forget_me(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()  # it may take longer than Slack waits
        await notices.replace(body, (await privacy.forget(body["user"]["id"])).text)

    app.action(RESET_SESSION)(reset_session)
    app.action(RESET_ALL)(reset_all)
    app.action(FORGET_ME)(forget_me)
