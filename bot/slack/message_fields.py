"""The fields of Slack's payloads: what is there, as far as it can be used.

Rule: pure, and never raises: what is malformed is not there. Facts: https://docs.slack.dev/reference/events/message
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


def string(values: dict[str, Any], key: str) -> str:
    """The text there, as it can be stored; empty when there is none."""
    value = values.get(key)
    return storable(value) if isinstance(value, str) else ""


def ts_of(values: dict[str, Any], key: str) -> str:
    """The id of a message, or of what happened, there; empty when there is none."""
    value = values.get(key)
    return value if isinstance(value, str) and TS.fullmatch(value) else ""


def within(values: dict[str, Any], key: str) -> dict[str, Any]:
    """The object there; empty when there is none."""
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def moment(at: str) -> datetime:
    """When something happened that has this `ts`."""
    seconds, _, micros = at.partition(".")
    return datetime.fromtimestamp(int(seconds), UTC) + timedelta(microseconds=int(micros))


def mention_of(bot: BotIdentity) -> re.Pattern[str]:
    """How Slack writes that the bot is mentioned."""
    return re.compile(rf"<@{re.escape(bot.user_id)}(?:\|[^<>]*)?>")


def is_ours(message: Mapping[str, Any], bot: BotIdentity) -> bool:
    """Whether the bot wrote this message; Slack may not tell us the bot's own bot_id."""
    return message.get("user") == bot.user_id or (bool(bot.bot_id) and message.get("bot_id") == bot.bot_id)


def text_of(message: dict[str, Any], bot: BotIdentity) -> str:
    """What a message says, in plain text, with the bot's own name wherever it is mentioned."""
    return plain_text(mention_of(bot).sub(lambda _: f"@{bot.name}", string(message, "text"))).strip()


def words_of(message: dict[str, Any], bot: BotIdentity) -> str:
    """What a message says; one without text of its own, as alerts are, in Slack's older attachments."""
    kept = message.get("attachments")
    cards = [card for card in kept if isinstance(card, dict)] if isinstance(kept, list) else []
    told = [text_of({"text": card.get("fallback")}, bot) for card in cards]
    return text_of(message, bot) or "\n".join(filter(None, told))


def attachments(files: Any) -> tuple[Attachment, ...]:
    """The metadata of a message's files; what is no file is left out."""
    found = [file for file in files if isinstance(file, dict)] if isinstance(files, list) else []
    return tuple(
        Attachment(
            id=string(file, "id"),
            name=string(file, "name") or string(file, "title") or "file",
            mimetype=string(file, "mimetype") or "application/octet-stream",
            size_bytes=file["size"] if isinstance(file.get("size"), int) else 0,
        )
        for file in found
        if string(file, "id") and file.get("mode") != "tombstone"  # one that was deleted
    )
