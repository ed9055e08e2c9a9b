"""Listeners for block actions: the buttons of ephemeral messages and of the Home tab."""

from __future__ import annotations

from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from bot.slack.inbound.interactions.data_requests import DataRequests
from bot.slack.inbound.interactions.ephemeral_reply import within_ack_deadline
from bot.slack.inbound.interactions.preferences_editor import PreferencesEditor
from bot.slack.inbound.interactions.resets import Resets
from bot.slack.outbound.ephemeral_messages import EphemeralMessages
from bot.slack.views.forget_confirmation import FORGET_ME
from bot.slack.views.home_tab import EDIT_PREFERENCES
from bot.slack.views.kept_preferences import UNDO_PREFERENCES
from bot.slack.views.session_picker import RESET_ALL, RESET_SESSION


def register(
    app: AsyncApp,
    resets: Resets,
    preferences: PreferencesEditor,
    data_requests: DataRequests,
    ephemeral: EphemeralMessages,
) -> None:
    """Run the action of the button. The outcome replaces the ephemeral message that holds the button."""

    async def reset_session(ack: AsyncAck, body: dict[str, Any], action: dict[str, Any]) -> None:
        reply = await within_ack_deadline(resets.reset_session(body["user"]["id"], action["value"]))
        await ack()
        await ephemeral.replace_original(body, reply.text)

    async def reset_all(ack: AsyncAck, body: dict[str, Any]) -> None:
        reply = await within_ack_deadline(resets.reset_all(body["user"]["id"], body["channel"]["id"]))
        await ack()
        await ephemeral.replace_original(body, reply.text)

    async def forget_me(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()  # the erasure may take longer than Slack waits
        await ephemeral.replace_original(body, (await data_requests.erase(body["user"]["id"])).text)

    async def edit_preferences(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await preferences.open_modal_from_home_tab(body["user"]["id"], body["trigger_id"])

    async def undo_preferences(ack: AsyncAck, body: dict[str, Any], action: dict[str, Any]) -> None:
        user = body["user"]["id"]
        reply = await within_ack_deadline(preferences.undo(user, action["value"]))
        await ack()
        if "view" not in body:  # the Home tab shows the outcome itself
            await (ephemeral.replace_original if reply.is_over else ephemeral.follow_up)(body, reply.text)
        await preferences.publish_home_tab(user)

    app.action(UNDO_PREFERENCES)(undo_preferences)
    app.action(RESET_SESSION)(reset_session)
    app.action(RESET_ALL)(reset_all)
    app.action(FORGET_ME)(forget_me)
    app.action(EDIT_PREFERENCES)(edit_preferences)
