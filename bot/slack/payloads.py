"""Slack's payloads in words of our own: what the events tell us.

Rule: pure, and never raises: what is malformed is not for us. Facts: https://docs.slack.dev/reference/events/message
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bot.events import (
    Attachment,
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
)
from bot.slack.identity import PLATFORM, BotIdentity
from bot.slack.mrkdwn import plain_text

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
_TS = re.compile(r"[0-9]{10}\.[0-9]{6}")
_LINK_TS = re.compile(r"/archives/(?P<channel>[A-Z0-9]+)/p(?P<seconds>[0-9]{10})(?P<micros>[0-9]{6})")
_AFTER_A_NAME = re.compile(r"^[\s,:]+")
_NAMES_SOMEBODY = re.compile(r"<((?:@|!subteam\^|!(?:here|channel|everyone|group)\b)[^<>|\s]*)(?:\|[^<>]*)?>")


def read_event(body: dict[str, Any], bot: BotIdentity) -> Event | None:
    """What an Events API payload tells us, or None: a bot's message, a join, malformed, and the like."""
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


def thread_of_link(link: str, workspace: str) -> Thread | None:
    """The thread that a message's link leads to: `https://team.slack.com/archives/C…/p…[?thread_ts=…]`."""
    try:
        parts = urlsplit(link.strip().strip("<>"))
        given = parse_qs(parts.query).get("thread_ts", [])
    except ValueError:
        return None
    found = _LINK_TS.fullmatch(parts.path)
    if parts.scheme not in {"https", "http"} or found is None:  # http: a playground has no certificate
        return None
    root = given[0] if given else f"{found['seconds']}.{found['micros']}"
    return thread_at(workspace, found["channel"], root) if _TS.fullmatch(root) else None


def thread_at(workspace: str, channel: str, root: str) -> Thread:
    """The thread under this message. A direct message's channel begins with D."""
    return Thread(PLATFORM, workspace, channel, root, direct=channel.startswith("D"))


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


def text_of(message: dict[str, Any], bot: BotIdentity) -> str:
    """What a message says, in plain text, with the bot's own name wherever it is mentioned."""
    return plain_text(_own(bot).sub(lambda _: f"@{bot.name}", _string(message, "text"))).strip()


def attachments(files: Any) -> tuple[Attachment, ...]:
    """The metadata of a message's files; what is no file is left out."""
    found = [file for file in files if isinstance(file, dict)] if isinstance(files, list) else []
    return tuple(
        Attachment(
            id=_string(file, "id"),
            name=_string(file, "name") or _string(file, "title") or "file",
            mimetype=_string(file, "mimetype") or "application/octet-stream",
            size_bytes=file["size"] if isinstance(file.get("size"), int) else 0,
        )
        for file in found
        if _string(file, "id") and file.get("mode") != "tombstone"  # one that was deleted
    )


def _message(event: dict[str, Any], bot: BotIdentity, workspace: str, *, commands: bool = True) -> Event | None:
    if _is_of_no_person(event, bot):
        return None
    ts, user, channel = _ts(event, "ts"), _string(event, "user"), _string(event, "channel")
    root = _ts(event, "thread_ts") if event.get("thread_ts") else ts
    if not (ts and root and user and channel):
        return None
    author = Author(user, _string(event, "user_team") or _string(event, "team") or workspace)
    return _said(event, bot, _thread(event, workspace, root), author, commands=commands)


def _is_tombstone(event: dict[str, Any]) -> bool:
    """Whether a message that has replies was deleted: it is changed into a tombstone instead."""
    return _object(event, "message").get("subtype") == "tombstone"


def _deleted(event: dict[str, Any], bot: BotIdentity, workspace: str) -> MessageDeleted | None:
    before = _object(event, "previous_message")
    ts = _ts(event, "deleted_ts") or _ts(_object(event, "message"), "ts")
    if _is_by_a_bot(before, bot) or not (ts and _string(event, "channel")):
        return None
    was = _message(_nested(event, "previous_message"), bot, workspace)
    message = was if isinstance(was, MessageReceived) else None
    return MessageDeleted(_thread(event, workspace, _ts(before, "thread_ts") or ts), ts, message)


def _edited(event: dict[str, Any], bot: BotIdentity, workspace: str) -> MessageEdited | None:
    """A person's message that says something else now. Slack changes messages of itself, too: to unfurl a link."""
    before, after = _object(event, "previous_message"), _nested(event, "message")
    edited_at = _ts(event, "event_ts") or _ts(event, "ts")
    is_same = bool(before) and all(before.get(part) == after.get(part) for part in ("text", "files"))
    now = _message(after, bot, workspace, commands=False)
    if is_same or not edited_at or not isinstance(now, MessageReceived):
        return None
    was = _message(_nested(event, "previous_message"), bot, workspace, commands=False)
    called = was.mentions_bot if isinstance(was, MessageReceived) else now.mentions_bot
    is_command = not isinstance(_message(after, bot, workspace), MessageReceived)
    return MessageEdited(
        dataclasses.replace(now, mentions_bot=called),
        sent_at=_moment(now.message_id),
        edited_at=_moment(edited_at),
        calls_bot=now.mentions_bot and not called and not is_command,
    )


def _nested(event: dict[str, Any], key: str) -> dict[str, Any]:
    """A message inside an event about it, as if it was an event by itself."""
    place = {"channel": event.get("channel"), "channel_type": event.get("channel_type")}
    return {**_object(event, key), "type": "message", **place}


def _gone(event: dict[str, Any], bot: BotIdentity, workspace: str) -> ChannelGone | None:
    # https://docs.slack.dev/reference/events/channel_deleted and its kin
    somebody_left = event["type"] == "member_left_channel" and event.get("user") != bot.user_id
    channel = _string(event, "channel")
    return ChannelGone(PLATFORM, workspace, channel) if channel and not somebody_left else None


def _stopped(event: dict[str, Any], workspace: str) -> StopRequested | None:
    # https://docs.slack.dev/reference/events/agent_session_stopped
    user, root = _string(event, "user"), _ts(event, "thread_ts")
    if not (user and root and _string(event, "channel")):
        return None
    pressed_at = _ts(event, "event_ts") or None  # it may be delivered again, when a later answer runs
    return StopRequested(_thread(event, workspace, root), Author(user, workspace), asked_at=pressed_at)


def _thread(event: dict[str, Any], workspace: str, root: str) -> Thread:
    channel = _string(event, "channel")
    kind = event.get("channel_type") or ("im" if channel.startswith("D") else "channel")
    return Thread(PLATFORM, workspace, channel, root, direct=kind == "im")


def _names_bot_tokens(event: dict[str, Any]) -> bool:
    # https://docs.slack.dev/reference/events/tokens_revoked: {"tokens": {"oauth": […], "bot": […]}}
    return bool(_object(event, "tokens").get("bot"))


def _said(event: dict[str, Any], bot: BotIdentity, thread: Thread, author: Author, *, commands: bool) -> Event:
    raw, own = _string(event, "text"), _own(bot)
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
        client_id=_string(event, "client_msg_id") or None,
    )


def _own(bot: BotIdentity) -> re.Pattern[str]:
    return re.compile(rf"<@{re.escape(bot.user_id)}(?:\|[^<>]*)?>")


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
            return _storable(team_id)
        case _:
            return _string(body, "team_id")


def _without_dates(raw: str) -> str:
    return re.sub(r"<!date\^[^<>]*>", "", raw)


def _moment(ts: str) -> datetime:
    seconds, _, micros = ts.partition(".")
    return datetime.fromtimestamp(int(seconds), UTC) + timedelta(microseconds=int(micros))


def _ts(values: dict[str, Any], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) and _TS.fullmatch(value) else ""


def _object(values: dict[str, Any], key: str) -> dict[str, Any]:
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def _string(values: dict[str, Any], key: str) -> str:
    value = values.get(key)
    return _storable(value) if isinstance(value, str) else ""


def _storable(text: str) -> str:
    # JSON can carry what no database stores: NUL characters and halves of surrogate pairs.
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
