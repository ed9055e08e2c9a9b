"""The content of Slack's messages, wherever it stands: in the text, in blocks, in attachments, in forwarded messages.

Rule: pure, and never raises. Live messages and threads that are read later pass through the same functions.
Facts: https://docs.slack.dev/reference/events/message, .../legacy/legacy-messaging/legacy-secondary-message-attachments
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bot.domain.events import MOST_FORWARDED, Forwarded
from bot.slack.identity import BotIdentity
from bot.slack.message_fields import (
    file_attachments,
    is_by_this_bot,
    message_text,
    object_field,
    string_field,
)
from bot.slack.text.block_text import escaped, words_of_blocks

HUDDLE = "huddle_thread"  # the subtype of the message under which people talk beside a huddle

_LINK = re.compile(r"https://[^\s<>|]{1,250}")
_USER = re.compile(r"[UW][A-Z0-9]{1,63}")
_OWN_EXTRAS = frozenset({"context"})  # blocks of this bot that are no words of its answer
_DEPTH = 3  # of forwarded messages within each other


def words(message: dict[str, Any], bot: BotIdentity) -> str:
    """Return the words of a message's own author as mrkdwn.

    A person's words are in `text`, and in the blocks when an app of theirs sends blocks alone. An app's `text` only
    stands in for its blocks, beside which it may have attachments.
    """
    if message.get("subtype") == HUDDLE:
        return "(A huddle took place here.)"
    text = string_field(message, "text")
    if not is_by_app(message):
        return _first(text, words_of_blocks(message.get("blocks"))) or _attached(message)
    without = _OWN_EXTRAS if is_by_this_bot(message, bot) else frozenset[str]()
    parts = [_first(words_of_blocks(message.get("blocks"), without=without), text), _attached(message)]
    return "\n".join(filter(str.strip, parts))


def forwarded_messages(message: dict[str, Any], bot: BotIdentity) -> tuple[Forwarded, ...]:
    """Return the messages that this one passes on, those within them included."""
    return tuple(_forwarded(message, bot, _DEPTH))[:MOST_FORWARDED]


def is_by_app(message: dict[str, Any]) -> bool:
    """Return whether an app wrote the message, this one or another."""
    return bool(message.get("bot_id") or message.get("bot_profile"))


def is_by_workflow(message: dict[str, Any]) -> bool:
    """Return whether a workflow of people wrote the message.

    Its `bot_profile` says so. Older workflows have neither a profile nor a user, unlike apps that talk by themselves:
    https://github.com/hubot-friends/hubot-slack/issues/35
    """
    if object_field(message, "bot_profile").get("is_workflow_bot") is True:
        return True
    has_author = bool(message.get("user") or message.get("bot_profile"))
    is_named = bool(message.get("bot_id") and message.get("app_id") and message.get("username"))
    return message.get("subtype") == "bot_message" and is_named and not has_author


def _forwarded(message: dict[str, Any], bot: BotIdentity, depth: int) -> Iterator[Forwarded]:
    for attachment in _attachments(message):
        if attachment.get("is_share") is not True:
            continue
        author, source = string_field(attachment, "author_id"), string_field(attachment, "from_url")
        yield Forwarded(
            author_id=author if _USER.fullmatch(author) else "",
            author_name=_first(string_field(attachment, "author_name"), string_field(attachment, "author_subname")),
            text=message_text({"text": _forwarded_words(attachment)}, bot),
            source=source if _LINK.fullmatch(source) else "",
            attachments=file_attachments(attachment.get("files")),
        )
        if depth > 1:
            for inner in (attachment, *_message_blocks(attachment)):
                yield from _forwarded(inner, bot, depth - 1)


def _forwarded_words(attachment: dict[str, Any]) -> str:
    """Return the words of a forwarded message. Those of an app stand in its blocks; its text is shorter."""
    inner = _message_blocks(attachment)
    blocks = [words_of_blocks(message.get("blocks")) for message in inner]
    text = max(string_field(attachment, "text"), "\n".join(filter(str.strip, blocks)), key=len)
    attached = [_attached(message) for message in (attachment, *inner)]
    parts = [text, *attached]
    return "\n".join(filter(str.strip, parts)) or _first(_shown(attachment), string_field(attachment, "fallback"))


def _message_blocks(attachment: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the messages in `message_blocks`: [{"team", "channel", "ts", "message": {"blocks": […]}}]."""
    listed = attachment.get("message_blocks")
    objects = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return [object_field(each, "message") for each in objects]


def _attached(message: dict[str, Any]) -> str:
    """Return the words of a message's attachments. Links that Slack unfurled, and forwarded messages, are left out."""
    own = [each for each in _attachments(message) if not (each.get("is_share") or each.get("from_url"))]
    parts = [_first(_shown(attachment), string_field(attachment, "fallback")) for attachment in own]
    return "\n".join(filter(str.strip, parts))


def _shown(attachment: dict[str, Any]) -> str:
    """Return the words that Slack shows of an attachment: those of its blocks, or of its older fields."""
    if blocks := words_of_blocks(attachment.get("blocks")):
        return "\n".join(filter(str.strip, [string_field(attachment, "pretext"), blocks]))
    title, link = string_field(attachment, "title"), string_field(attachment, "title_link")
    fields = attachment.get("fields")
    listed = [each for each in fields if isinstance(each, dict)] if isinstance(fields, list) else []
    parts = [
        string_field(attachment, "pretext"),
        f"<{link}|{title}>" if title and _LINK.fullmatch(link) else title,
        string_field(attachment, "text"),
        *(_field(each) for each in listed),
    ]
    return "\n".join(filter(str.strip, parts))


def _field(field: dict[str, Any]) -> str:
    value = field.get("value")
    shown = string_field(field, "value") or (escaped(str(value)) if isinstance(value, int | float) else "")
    return ": ".join(filter(str.strip, [string_field(field, "title"), shown]))


def _attachments(message: dict[str, Any]) -> list[dict[str, Any]]:
    listed = message.get("attachments")
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []


def _first(*texts: str) -> str:
    return next((text for text in texts if text.strip()), "")
