"""Translation of `message` and `app_mention` events: new, edited and deleted messages, and commands by text.

Rule: pure, and never raises. A malformed event is ignored. Facts: https://docs.slack.dev/reference/events/message
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from bot.domain.events import (
    Attachment,
    Author,
    Command,
    Event,
    Forwarded,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    QuietRequested,
    ResetRequested,
    StatusRequested,
    StopRequested,
    Thread,
    addresses_other,
    read_command,
)
from bot.slack.identity import PLATFORM, BotIdentity
from bot.slack.message_content import forwarded_messages, is_by_app, is_by_workflow, words
from bot.slack.message_fields import (
    datetime_of,
    file_attachments,
    is_by_this_bot,
    mention_pattern,
    message_text,
    object_field,
    string_field,
    ts_field,
)

CHANNEL_TYPES = ("channel", "group", "im", "mpim")  # the manifest's message.channels, .groups, .im and .mpim

_SUBTYPES = (None, "file_share", "thread_broadcast", "me_message")
_SLACKBOT = "USLACKBOT"
_AFTER_A_NAME = re.compile(r"^[\s,:]+")
_MENTION = re.compile(r"<((?:@|!subteam\^|!(?:here|channel|everyone|group)\b)[^<>|\s]*)(?:\|[^<>]*)?>")
_DATE = re.compile(r"<!date\^[^<>]*>")


def read_message_event(event: dict[str, Any], bot: BotIdentity, workspace: str) -> Event | None:
    """Translate the event. Return None if the bot ignores it."""
    match event["type"], event.get("subtype"):
        case "message", "message_deleted":
            return _deleted(event, bot, workspace)
        case "message", "message_changed":
            return _deleted(event, bot, workspace) if _is_tombstone(event) else _edited(event, bot, workspace)
        case "app_mention", _ if event.get("edited"):
            return None  # message_changed reports the edit as well, with the previous message
        case _:
            return _new(event, bot, workspace)


def thread_of(event: dict[str, Any], workspace: str, root: str) -> Thread:
    """Return the thread under the message `root`, in the channel of the event."""
    channel = string_field(event, "channel")
    channel_type = event.get("channel_type") or ("im" if channel.startswith("D") else "channel")
    return Thread(PLATFORM, workspace, channel, root, direct=channel_type == "im")


def _new(event: dict[str, Any], bot: BotIdentity, workspace: str, *, commands: bool = True) -> Event | None:
    by_workflow = _is_by_workflow(event, bot)
    if not (by_workflow or _is_by_a_person(event, bot)):
        return None
    ts, channel = ts_field(event, "ts"), string_field(event, "channel")
    user = string_field(event, "user") or (string_field(event, "bot_id") if by_workflow else "")
    root = ts_field(event, "thread_ts") if event.get("thread_ts") else ts
    if not (ts and root and user and channel):
        return None
    author = Author(user, string_field(event, "user_team") or string_field(event, "team") or workspace)
    thread, commands = thread_of(event, workspace, root), commands and not by_workflow
    found = _message_or_command(event, bot, thread, author, commands=commands)
    if by_workflow and isinstance(found, MessageReceived):
        return dataclasses.replace(found, by_workflow=True) if found.mentions_bot else None
    return found


def _message_or_command(
    event: dict[str, Any], bot: BotIdentity, thread: Thread, author: Author, *, commands: bool
) -> Event:
    raw, mention = words(event, bot), mention_pattern(bot)
    mentions_bot = event["type"] == "app_mention" or mention.search(raw) is not None
    text = message_text({"text": _without_outer_mentions(raw, list(mention.finditer(raw)))}, bot)
    match read_command(text, mentions_bot=mentions_bot) if commands else None:
        case Command.RESET:
            return ResetRequested(thread, event["ts"], author, mentions_bot=mentions_bot)
        case Command.STATUS:
            return StatusRequested(thread, event["ts"], author, mentions_bot=mentions_bot)
        case Command.STOP:
            return StopRequested(thread, author, event["ts"], mentions_bot=mentions_bot)
        case (Command.QUIET | Command.BACK) as command:
            return QuietRequested(thread, event["ts"], author, command is Command.QUIET, mentions_bot=mentions_bot)
        case None:
            pass
    return MessageReceived(
        thread,
        event["ts"],
        author,
        text,
        mentions_bot=mentions_bot,
        addresses_other=addresses_other(_MENTION.sub(r"<\1>", _DATE.sub("", mention.sub("", raw)))),
        attachments=file_attachments(event.get("files")),
        client_id=string_field(event, "client_msg_id") or None,
        forwarded=forwarded_messages(event, bot),
    )


def _without_outer_mentions(raw: str, mentions: Sequence[re.Match[str]]) -> str:
    """Return the text without the bot's mentions at its start and end. It takes linear time."""
    start, end = 0, len(raw)
    for mention in mentions:
        if raw[start : mention.start()].strip():
            break
        start = mention.end()
    for mention in reversed(mentions):
        if mention.start() < start or raw[mention.end() : end].strip():
            break
        end = mention.start()
    return _AFTER_A_NAME.sub("", raw[start:end]) if start else raw[start:end]


def _deleted(event: dict[str, Any], bot: BotIdentity, workspace: str) -> MessageDeleted | None:
    previous = object_field(event, "previous_message")
    ts = ts_field(event, "deleted_ts") or ts_field(object_field(event, "message"), "ts")
    if not (ts and string_field(event, "channel")):
        return None
    was = _new(_nested_message(event, "previous_message"), bot, workspace)
    message = was if isinstance(was, MessageReceived) else None
    own = file_attachments(previous.get("files")) if is_by_this_bot(previous, bot) else ()
    thread = thread_of(event, workspace, ts_field(previous, "thread_ts") or ts)
    return MessageDeleted(thread, ts, message, tuple(file.id for file in own))


def _is_tombstone(event: dict[str, Any]) -> bool:
    """Return whether a message with replies was deleted. Slack changes it into a tombstone instead."""
    return object_field(event, "message").get("subtype") == "tombstone"


def _edited(event: dict[str, Any], bot: BotIdentity, workspace: str) -> MessageEdited | None:
    """Translate an edit of the words or the files. Slack also sends message_changed after it unfurls a link."""
    previous, after = object_field(event, "previous_message"), _nested_message(event, "message")
    if _is_by_a_bot(after, bot):
        return None if is_by_this_bot(after, bot) else _edited_by_bot(event, bot, workspace)
    edited_at = ts_field(event, "event_ts") or ts_field(event, "ts")
    is_same = bool(previous) and _content(previous, bot) == _content(after, bot)
    now = _new(after, bot, workspace, commands=False)
    if is_same or not edited_at or not isinstance(now, MessageReceived):
        return None
    was = _new(_nested_message(event, "previous_message"), bot, workspace, commands=False)
    mentioned_bot = was.mentions_bot if isinstance(was, MessageReceived) else now.mentions_bot
    is_command = not isinstance(_new(after, bot, workspace), MessageReceived)
    return MessageEdited(
        dataclasses.replace(now, mentions_bot=mentioned_bot),
        sent_at=datetime_of(now.message_id),
        edited_at=datetime_of(edited_at),
        calls_bot=now.mentions_bot and not mentioned_bot and not is_command,
    )


def _edited_by_bot(event: dict[str, Any], bot: BotIdentity, workspace: str) -> MessageEdited | None:
    """Translate another bot's edit, because the bot may have read the message as thread context."""
    previous, after = object_field(event, "previous_message"), _nested_message(event, "message")
    ts, edited_at = ts_field(after, "ts"), ts_field(event, "event_ts") or ts_field(event, "ts")
    is_same = bool(previous) and _content(previous, bot) == _content(after, bot)
    if is_same or not (ts and edited_at and string_field(event, "channel")):
        return None
    author = Author(string_field(after, "user") or string_field(after, "bot_id"), workspace)
    thread = thread_of(after, workspace, ts_field(after, "thread_ts") or ts)
    text, files, forwarded = _content(after, bot)
    now = MessageReceived(thread, ts, author, text, attachments=files, forwarded=forwarded)
    return MessageEdited(now, sent_at=datetime_of(ts), edited_at=datetime_of(edited_at), by_bot=True)


def _content(message: dict[str, Any], bot: BotIdentity) -> tuple[str, tuple[Attachment, ...], tuple[Forwarded, ...]]:
    """Return the parts of a message that an edit may change."""
    text = message_text({"text": words(message, bot)}, bot)
    return text, file_attachments(message.get("files")), forwarded_messages(message, bot)


def _nested_message(event: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the message inside an event about it, in the shape of a message event."""
    place = {"channel": event.get("channel"), "channel_type": event.get("channel_type")}
    return {**object_field(event, key), "type": "message", **place}


def _is_by_a_person(event: dict[str, Any], bot: BotIdentity) -> bool:
    return event.get("subtype") in _SUBTYPES and _is_visible(event) and not _is_by_a_bot(event, bot)


def _is_by_workflow(event: dict[str, Any], bot: BotIdentity) -> bool:
    is_message = event.get("subtype") in (*_SUBTYPES, "bot_message") and _is_visible(event)
    return is_message and is_by_workflow(event) and not is_by_this_bot(event, bot)


def _is_visible(event: dict[str, Any]) -> bool:
    is_subscribed = event.get("channel_type") in (None, *CHANNEL_TYPES)  # app_mention may lack the channel type
    return is_subscribed and not event.get("hidden")


def _is_by_a_bot(message: dict[str, Any], bot: BotIdentity) -> bool:
    return is_by_app(message) or message.get("user") in (_SLACKBOT, bot.user_id)
