"""Slack's payloads in words of our own: what the events tell us.

Rule: pure, and never raises: what is malformed is not for us. Facts: https://docs.slack.dev/reference/events/message
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from bot.domain.events import (
    Author,
    ChannelGone,
    Command,
    Event,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    ResetRequested,
    StatusRequested,
    StopRequested,
    Thread,
    Uninstalled,
    addresses_other,
    read_command,
    storable,
)
from bot.slack.identity import PLATFORM, BotIdentity
from bot.slack.message_fields import (
    attachments,
    is_ours,
    mention_of,
    moment,
    string,
    text_of,
    ts_of,
    within,
    words_of,
)

CHANNEL_PARTINGS = (  # the bot's from a channel; that it left is told in one way or the other
    "channel_archive",
    "channel_deleted",
    "channel_left",
    "group_archive",
    "group_deleted",
    "group_left",
    "member_left_channel",
)
CHANNEL_TYPES = ("channel", "group", "im", "mpim")  # the manifest's message.channels, .groups, .im and .mpim

_SUBTYPES = (None, "file_share", "thread_broadcast", "me_message")
_SLACKBOT = "USLACKBOT"
_AFTER_A_NAME = re.compile(r"^[\s,:]+")
_NAMES_SOMEBODY = re.compile(r"<((?:@|!subteam\^|!(?:here|channel|everyone|group)\b)[^<>|\s]*)(?:\|[^<>]*)?>")


def read_event(body: dict[str, Any], bot: BotIdentity) -> Event | None:
    """What an Events API payload tells us, or None: a bot's new message, a join, malformed, and the like."""
    event, workspace = body.get("event"), _installation(body)
    if not isinstance(event, dict) or not workspace:
        return None
    match event.get("type"):
        case "app_mention" | "message":
            return _about_message(event, bot, workspace)
        case "agent_session_stopped":
            return _stopped(event, workspace)
        case str(parting) if parting in CHANNEL_PARTINGS:
            return _gone(event, bot, workspace)
        case ("app_uninstalled" | "tokens_revoked") as parting:
            gone = parting == "app_uninstalled" or _names_bot_tokens(event)
            return Uninstalled(PLATFORM, workspace) if gone else None
        case _:
            return None


def _about_message(event: dict[str, Any], bot: BotIdentity, workspace: str) -> Event | None:
    match event["type"], event.get("subtype"):
        case "message", "message_deleted":
            return _deleted(event, bot, workspace)
        case "message", "message_changed":
            return _deleted(event, bot, workspace) if _is_tombstone(event) else _edited(event, bot, workspace)
        case "app_mention", _ if event.get("edited"):
            return None  # message_changed tells it as well, and what it was before
        case _:
            return _message(event, bot, workspace)


def _message(event: dict[str, Any], bot: BotIdentity, workspace: str, *, commands: bool = True) -> Event | None:
    if _is_of_no_person(event, bot):
        return None
    ts, user, channel = ts_of(event, "ts"), string(event, "user"), string(event, "channel")
    root = ts_of(event, "thread_ts") if event.get("thread_ts") else ts
    if not (ts and root and user and channel):
        return None
    author = Author(user, string(event, "user_team") or string(event, "team") or workspace)
    return _said(event, bot, _thread(event, workspace, root), author, commands=commands)


def _is_tombstone(event: dict[str, Any]) -> bool:
    """Whether a message that has replies was deleted: it is changed into a tombstone instead."""
    return within(event, "message").get("subtype") == "tombstone"


def _deleted(event: dict[str, Any], bot: BotIdentity, workspace: str) -> MessageDeleted | None:
    before = within(event, "previous_message")
    ts = ts_of(event, "deleted_ts") or ts_of(within(event, "message"), "ts")
    if not (ts and string(event, "channel")):
        return None
    was = _message(_nested(event, "previous_message"), bot, workspace)
    message = was if isinstance(was, MessageReceived) else None
    return MessageDeleted(_thread(event, workspace, ts_of(before, "thread_ts") or ts), ts, message)


def _edited(event: dict[str, Any], bot: BotIdentity, workspace: str) -> MessageEdited | None:
    """A message that says something else now. Slack changes messages of itself, too: to unfurl a link."""
    before, after = within(event, "previous_message"), _nested(event, "message")
    if _is_by_a_bot(after, bot):
        return None if is_ours(after, bot) else _edited_by_bot(event, bot, workspace)
    edited_at = ts_of(event, "event_ts") or ts_of(event, "ts")
    is_same = bool(before) and all(before.get(part) == after.get(part) for part in ("text", "files"))
    now = _message(after, bot, workspace, commands=False)
    if is_same or not edited_at or not isinstance(now, MessageReceived):
        return None
    was = _message(_nested(event, "previous_message"), bot, workspace, commands=False)
    called = was.mentions_bot if isinstance(was, MessageReceived) else now.mentions_bot
    is_command = not isinstance(_message(after, bot, workspace), MessageReceived)
    return MessageEdited(
        dataclasses.replace(now, mentions_bot=called),
        sent_at=moment(now.message_id),
        edited_at=moment(edited_at),
        calls_bot=now.mentions_bot and not called and not is_command,
    )


def _edited_by_bot(event: dict[str, Any], bot: BotIdentity, workspace: str) -> MessageEdited | None:
    before, after = within(event, "previous_message"), _nested(event, "message")
    ts, edited_at = ts_of(after, "ts"), ts_of(event, "event_ts") or ts_of(event, "ts")
    text, files = words_of(after, bot), attachments(after.get("files"))
    is_same = bool(before) and (words_of(before, bot), attachments(before.get("files"))) == (text, files)
    if is_same or not (ts and edited_at and string(event, "channel")):
        return None
    author = Author(string(after, "user") or string(after, "bot_id"), workspace)
    place = _thread(after, workspace, ts_of(after, "thread_ts") or ts)
    now = MessageReceived(place, ts, author, text, attachments=files)
    return MessageEdited(now, sent_at=moment(ts), edited_at=moment(edited_at), by_bot=True)


def _nested(event: dict[str, Any], key: str) -> dict[str, Any]:
    """A message inside an event about it, as if it was an event by itself."""
    place = {"channel": event.get("channel"), "channel_type": event.get("channel_type")}
    return {**within(event, key), "type": "message", **place}


def _gone(event: dict[str, Any], bot: BotIdentity, workspace: str) -> ChannelGone | None:
    # https://docs.slack.dev/reference/events/channel_deleted and its kin
    somebody_left = event["type"] == "member_left_channel" and event.get("user") != bot.user_id
    channel = string(event, "channel")
    return ChannelGone(PLATFORM, workspace, channel) if channel and not somebody_left else None


def _stopped(event: dict[str, Any], workspace: str) -> StopRequested | None:
    # https://docs.slack.dev/reference/events/agent_session_stopped
    user, root = string(event, "user"), ts_of(event, "thread_ts")
    if not (user and root and string(event, "channel")):
        return None
    pressed_at = ts_of(event, "event_ts") or None  # it may be delivered again, when a later answer runs
    return StopRequested(_thread(event, workspace, root), Author(user, workspace), asked_at=pressed_at)


def _thread(event: dict[str, Any], workspace: str, root: str) -> Thread:
    channel = string(event, "channel")
    kind = event.get("channel_type") or ("im" if channel.startswith("D") else "channel")
    return Thread(PLATFORM, workspace, channel, root, direct=kind == "im")


def _names_bot_tokens(event: dict[str, Any]) -> bool:
    # https://docs.slack.dev/reference/events/tokens_revoked: {"tokens": {"oauth": […], "bot": […]}}
    return bool(within(event, "tokens").get("bot"))


def _said(event: dict[str, Any], bot: BotIdentity, thread: Thread, author: Author, *, commands: bool) -> Event:
    raw, own = string(event, "text"), mention_of(bot)
    mentions_bot = event["type"] == "app_mention" or own.search(raw) is not None
    text = text_of({"text": _unaddressed(raw, list(own.finditer(raw)))}, bot)
    match read_command(text, mentions_bot=mentions_bot) if commands else None:
        case Command.RESET:
            return ResetRequested(thread, event["ts"], author, mentions_bot=mentions_bot)
        case Command.STATUS:
            return StatusRequested(thread, event["ts"], author, mentions_bot=mentions_bot)
        case Command.STOP:
            return StopRequested(thread, author, event["ts"], mentions_bot=mentions_bot)
        case None:
            pass
    return MessageReceived(
        thread,
        event["ts"],
        author,
        text,
        mentions_bot=mentions_bot,
        addresses_other=addresses_other(_NAMES_SOMEBODY.sub(r"<\1>", _without_dates(own.sub("", raw)))),
        attachments=attachments(event.get("files")),
        client_id=string(event, "client_msg_id") or None,
    )


def _unaddressed(raw: str, own: Sequence[re.Match[str]]) -> str:
    """The text without the bot's own mentions that stand before and after it, in a time linear in its length."""
    start, end = 0, len(raw)
    for mention in own:
        if raw[start : mention.start()].strip():
            break
        start = mention.end()
    for mention in reversed(own):
        if mention.start() < start or raw[mention.end() : end].strip():
            break
        end = mention.start()
    return _AFTER_A_NAME.sub("", raw[start:end]) if start else raw[start:end]


def _is_of_no_person(event: dict[str, Any], bot: BotIdentity) -> bool:
    is_message = event.get("subtype") in _SUBTYPES and not event.get("hidden")
    is_ours = event.get("channel_type") in (None, *CHANNEL_TYPES)  # app_mention may come without one
    return _is_by_a_bot(event, bot) or not (is_message and is_ours)


def _is_by_a_bot(message: dict[str, Any], bot: BotIdentity) -> bool:
    is_a_bots = bool(message.get("bot_id") or message.get("bot_profile"))
    return is_a_bots or message.get("user") in (_SLACKBOT, bot.user_id)


def _installation(body: dict[str, Any]) -> str:
    # In channels shared with another workspace the outer team_id may be theirs; the authorization is always ours:
    # https://docs.slack.dev/apis/events-api/#authorizations
    match body.get("authorizations"):
        case [{"team_id": str(team_id)}, *_] if team_id:
            return storable(team_id)
        case _:
            return string(body, "team_id")


def _without_dates(raw: str) -> str:
    return re.sub(r"<!date\^[^<>]*>", "", raw)
