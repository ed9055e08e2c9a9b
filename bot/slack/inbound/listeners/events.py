"""Events: whatever tells us something is taken in before it is acknowledged.

Rule: it happens in a global middleware, because Bolt acknowledges an event before its listener runs. When it fails
Slack gets no acknowledgement, and delivers again: https://docs.slack.dev/apis/events-api/#retries
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncApp

from bot.slack.identity import BotIdentity
from bot.slack.inbound.payloads import CHANNEL_PARTINGS, read_event
from bot.slack.port import Intake

EVENTS = (
    "agent_session_stopped",
    "app_mention",
    "app_uninstalled",
    "message",
    "tokens_revoked",
    *CHANNEL_PARTINGS,
)


def register(app: AsyncApp, intake: Intake, bot: BotIdentity) -> None:
    """Take events in; acknowledge every event of a type that the manifest subscribes to."""

    async def take_in(body: dict[str, Any], next_: Callable[[], Awaitable[None]]) -> None:
        if (event := read_event(body, bot)) is not None:
            await intake.accept(event)
        await next_()

    app.middleware(take_in)
    app.event(re.compile(f"^({'|'.join(EVENTS)})$"))(_acknowledged)  # one listener: Bolt tries them one by one


async def _acknowledged() -> None:
    """Nothing is left to do: Bolt has acknowledged, and the middleware did the work."""
