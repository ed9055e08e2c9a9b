"""Fields of Slack's payloads, above all of the message object.

Rule: pure, and never raises. A malformed field reads as empty. Facts: https://docs.slack.dev/reference/events/message
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.domain.events import Attachment, storable
from bot.slack.identity import BotIdentity
from bot.slack.text.mrkdwn import plain_text

TS = re.compile(r"[0-9]{10}\.[0-9]{6}")


def string_field(payload: dict[str, Any], key: str) -> str:
    """Return the string under the key, without characters that a database refuses; empty if there is none."""
    value = payload.get(key)
    return storable(value) if isinstance(value, str) else ""


def ts_field(payload: dict[str, Any], key: str) -> str:
    """Return the timestamp (`ts`) under the key; empty if there is none. A message's `ts` is its id."""
    value = payload.get(key)
    return value if isinstance(value, str) and TS.fullmatch(value) else ""


def object_field(payload: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the object under the key; empty if there is none."""
    value = payload.get(key)
    return value if isinstance(value, dict) else {}


def datetime_of(ts: str) -> datetime:
    """Convert a `ts` to a time in UTC."""
    seconds, _, micros = ts.partition(".")
    return datetime.fromtimestamp(int(seconds), UTC) + timedelta(microseconds=int(micros))


def mention_pattern(bot: BotIdentity) -> re.Pattern[str]:
    """Return the pattern of a mention of the bot."""
    return re.compile(rf"<@{re.escape(bot.user_id)}(?:\|[^<>]*)?>")


def is_by_this_bot(message: Mapping[str, Any], bot: BotIdentity) -> bool:
    """Return whether this bot wrote the message. The bot's own `bot_id` may be unknown."""
    return message.get("user") == bot.user_id or (bool(bot.bot_id) and message.get("bot_id") == bot.bot_id)


def message_text(message: dict[str, Any], bot: BotIdentity) -> str:
    """Return the `text` of a message as plain text. A mention of the bot reads as its name."""
    return plain_text(mention_pattern(bot).sub(lambda _: f"@{bot.name}", string_field(message, "text"))).strip()


def file_attachments(files: Any) -> tuple[Attachment, ...]:
    """Return the metadata of a message's files. A deleted file, which Slack lists as a tombstone, is left out."""
    listed = [file for file in files if isinstance(file, dict)] if isinstance(files, list) else []
    return tuple(
        Attachment(
            id=string_field(file, "id"),
            name=string_field(file, "name") or string_field(file, "title") or "file",
            mimetype=string_field(file, "mimetype") or "application/octet-stream",
            size_bytes=file["size"] if isinstance(file.get("size"), int) else 0,
        )
        for file in listed
        if string_field(file, "id") and file.get("mode") != "tombstone"
    )
