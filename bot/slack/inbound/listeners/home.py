"""The Home tab, its button, and the modal that the button opens.

Facts: https://docs.slack.dev/reference/events/app_home_opened
"""

from __future__ import annotations

from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot.slack.views.personal_views import PersonalViews
from bot.slack.views.preference_blocks import EDIT_PREFERENCES, PREFERENCES_MODAL

OPENED = "app_home_opened"


def register(app: AsyncApp, views: PersonalViews) -> None:
    """Show the Home tab when it is opened, the modal when the button is pressed, and keep what is submitted."""

    async def opened(event: dict[str, Any]) -> None:
        if event.get("tab") == "home":  # "messages" is the conversation with the bot
            await views.publish(event["user"])

    async def edit(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await views.edit(body["user"]["id"], body["trigger_id"])

    async def submitted(ack: AsyncAck, body: dict[str, Any]) -> None:
        user = body["user"]["id"]
        if problems := await views.submit(user, body["view"]):
            await ack(response_action="errors", errors=problems)
        else:
            await ack()
            await views.publish(user)

    app.event(OPENED)(opened)
    app.action(EDIT_PREFERENCES)(edit)
    app.view(PREFERENCES_MODAL)(submitted)
