"""The listener for the view submission of the preferences modal."""

from __future__ import annotations

from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot.slack.inbound.interactions.preferences_editor import PreferencesEditor
from bot.slack.views.preferences_modal import PREFERENCES_MODAL


def register(app: AsyncApp, preferences: PreferencesEditor) -> None:
    """Save the submitted values. Show errors in the modal, or close it and update the Home tab."""

    async def preferences_submitted(ack: AsyncAck, body: dict[str, Any]) -> None:
        user = body["user"]["id"]
        if errors := await preferences.save(user, body["view"]):
            await ack(response_action="errors", errors=errors)
        else:
            await ack()
            await preferences.publish_home_tab(user)

    app.view(PREFERENCES_MODAL)(preferences_submitted)
