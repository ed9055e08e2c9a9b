"""Translation of Events API payloads to the bot's own events.

Rule: pure, and never raises. A malformed payload is ignored. Every event is for this installation, because
`installations` ignores the others. Facts: https://docs.slack.dev/reference/events
"""

from __future__ import annotations

from typing import Any

from bot.domain.events import Author, ChannelGone, ChannelMoved, Event, FileDeleted, StopRequested, Uninstalled
from bot.slack.identity import PLATFORM, BotIdentity
from bot.slack.inbound.event_secrets import without_secrets
from bot.slack.inbound.message_events import read_message_event, thread_of
from bot.slack.message_fields import object_field, string_field, ts_field

CHANNEL_LOST_EVENTS = (  # Slack reports that the bot left by channel_left, group_left or member_left_channel
    "channel_archive",
    "channel_deleted",
    "channel_left",
    "group_archive",
    "group_deleted",
    "group_left",
    "member_left_channel",
)


def read_event(body: dict[str, Any], bot: BotIdentity) -> Event | None:
    """Translate an Events API payload. Return None if the bot ignores it: another bot's message, a join, and so on."""
    event, workspace = without_secrets(body.get("event")), bot.team_id
    translated: Event | None = None
    match event.get("type"):
        case "app_mention" | "message":
            translated = read_message_event(event, bot, workspace)
        case "agent_session_stopped":
            translated = _stop(event, workspace)
        case "channel_id_changed":
            translated = _channel_moved(event, workspace)
        case str(event_type) if event_type in CHANNEL_LOST_EVENTS:
            translated = _channel_lost(event, bot, workspace)
        case "file_deleted":
            translated = _file_deleted(event, workspace)
        case "app_uninstalled" | "tokens_revoked":
            translated = _uninstalled(event, workspace)
    return translated


def _stop(event: dict[str, Any], workspace: str) -> StopRequested | None:
    # https://docs.slack.dev/reference/events/agent_session_stopped
    user, root = string_field(event, "user"), ts_field(event, "thread_ts")
    if not (user and root and string_field(event, "channel")):
        return None
    clicked_at = ts_field(event, "event_ts") or None  # a late delivery must not stop a later answer
    return StopRequested(thread_of(event, workspace, root), Author(user, workspace), asked_at=clicked_at)


def _file_deleted(event: dict[str, Any], workspace: str) -> FileDeleted | None:
    # https://docs.slack.dev/reference/events/file_deleted
    file_id = string_field(event, "file_id")
    return FileDeleted(PLATFORM, workspace, file_id) if file_id else None


def _channel_lost(event: dict[str, Any], bot: BotIdentity, workspace: str) -> ChannelGone | None:
    # https://docs.slack.dev/reference/events/channel_deleted and its kin
    is_of_another_user = event["type"] == "member_left_channel" and event.get("user") != bot.user_id
    channel = string_field(event, "channel")
    return ChannelGone(PLATFORM, workspace, channel) if channel and not is_of_another_user else None


def _channel_moved(event: dict[str, Any], workspace: str) -> ChannelMoved | None:
    # https://docs.slack.dev/reference/events/channel_id_changed
    old, new = string_field(event, "old_channel_id"), string_field(event, "new_channel_id")
    return ChannelMoved(PLATFORM, workspace, old, new) if old and new and old != new else None


def _uninstalled(event: dict[str, Any], workspace: str) -> Uninstalled | None:
    # https://docs.slack.dev/reference/events/tokens_revoked: {"tokens": {"oauth": […], "bot": […]}}
    has_no_token = event["type"] == "app_uninstalled" or bool(object_field(event, "tokens").get("bot"))
    return Uninstalled(PLATFORM, workspace) if has_no_token else None
