"""Listeners for the Events API.

Rule: a global middleware accepts an event before Bolt acknowledges it, because Bolt acknowledges an event before its
listener runs. If the middleware fails, Slack gets no ack and delivers the event again:
https://docs.slack.dev/apis/events-api/#retries
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncApp

from bot.domain.direct_messages import rolled
from bot.slack.identity import BotIdentity
from bot.slack.inbound.events_api import CHANNEL_LOST_EVENTS, read_event
from bot.slack.inbound.interactions.greeting import Greeting
from bot.slack.inbound.interactions.preferences_editor import PreferencesEditor
from bot.slack.message_fields import string_field
from bot.slack.port import Intake

APP_HOME_OPENED = "app_home_opened"  # https://docs.slack.dev/reference/events/app_home_opened
ACCEPTED_EVENTS = (
    "agent_session_stopped",
    "app_mention",
    "app_uninstalled",
    "channel_id_changed",
    "file_deleted",
    "message",
    "tokens_revoked",
    *CHANNEL_LOST_EVENTS,
)


def register(
    app: AsyncApp,
    intake: Intake,
    bot: BotIdentity,
    preferences: PreferencesEditor,
    greeting: Greeting,
    *,
    rolling: bool,
) -> None:
    """Accept and acknowledge every event of a type that the manifest subscribes to. Publish the Home tab, and greet."""

    async def accept(body: dict[str, Any], next_: Callable[[], Awaitable[None]]) -> None:
        if (event := read_event(body, bot)) is not None:
            await intake.accept(rolled(event) if rolling else event)
        await next_()

    async def app_home_opened(event: dict[str, Any]) -> None:
        user, channel = string_field(event, "user"), string_field(event, "channel")
        if user and event.get("tab") == "home":
            await preferences.publish_home_tab(user)
        elif user and channel and event.get("tab") == "messages":
            await greeting.greet(user, channel)

    app.middleware(accept)
    app.event(re.compile(f"^({'|'.join(ACCEPTED_EVENTS)})$"))(_acknowledge)  # Bolt tries all listeners in turn: use one
    app.event(APP_HOME_OPENED)(app_home_opened)


async def _acknowledge() -> None:
    """Do nothing. Bolt acknowledges an event only if it has a listener."""
