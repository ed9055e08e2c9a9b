"""The channel of a measurement: its kind, and a person in it to whom a stream can be addressed."""

from __future__ import annotations

from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.behaviour import CHANNEL, DIRECT, GROUP_DIRECT, SHARED
from bot.slack.errors import CLIENT_ERRORS, error_code
from bot.slack.identity import BotIdentity

_MOST_LOOKED_UP = 5


async def kind_of(client: AsyncWebClient, channel: str) -> str:
    """Return the kind of conversation. The bot may not look up direct messages: it has no scope for that."""
    if channel.startswith("D"):
        return DIRECT
    try:
        found = (await client.conversations_info(channel=channel)).get("channel") or {}
    except CLIENT_ERRORS as error:
        return GROUP_DIRECT if error_code(error) == "missing_scope" else CHANNEL
    if found.get("is_im"):
        return DIRECT
    if found.get("is_mpim"):
        return GROUP_DIRECT
    return SHARED if found.get("is_ext_shared") or found.get("is_shared") else CHANNEL


async def recipient_in(client: AsyncWebClient, bot: BotIdentity, channel: str) -> dict[str, str]:
    """Return the recipient that chat.startStream requires in channels, empty if Slack shows the bot no person."""
    try:
        members = (await client.conversations_members(channel=channel, limit=50)).get("members") or []
        others = [each for each in members if each != bot.user_id]
        for user in others[:_MOST_LOOKED_UP]:
            person: dict[str, Any] = (await client.users_info(user=user)).get("user") or {}
            if not person.get("is_bot") and not person.get("deleted"):
                return {"recipient_user_id": user, "recipient_team_id": str(person.get("team_id") or bot.team_id)}
    except CLIENT_ERRORS:
        pass  # the refusal of the stream will name the missing recipient
    return {}
