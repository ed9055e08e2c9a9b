"""Slack's payloads in words of our own: what the events tell us, and what people wrote in plain text.

Rule: pure, and never raises: what is malformed is not for us. Facts: https://docs.slack.dev/reference/events/message
and https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bot.events import (
    Attachment,
    Author,
    Command,
    Event,
    MessageDeleted,
    MessageReceived,
    ResetRequested,
    StopRequested,
    Thread,
    Uninstalled,
    addresses_other,
    read_command,
)
from bot.slack.identity import PLATFORM, BotIdentity

CHANNEL_TYPES = ("channel", "group", "im", "mpim")  # the manifest's message.channels, .groups, .im and .mpim

_SUBTYPES = (None, "file_share", "thread_broadcast", "me_message")
_SLACKBOT = "USLACKBOT"
_TS = re.compile(r"[0-9]{10}\.[0-9]{6}")
_LINK_TS = re.compile(r"/archives/(?P<channel>[A-Z0-9]+)/p(?P<seconds>[0-9]{10})(?P<micros>[0-9]{6})")
_AFTER_A_NAME = re.compile(r"^[\s,:]+")
_TOKEN = re.compile(r"<([^<>]*)>")
_NAMES_SOMEBODY = re.compile(r"<((?:@|!subteam\^|!(?:here|channel|everyone|group)\b)[^<>|\s]*)(?:\|[^<>]*)?>")


def read_event(body: dict[str, Any], bot: BotIdentity) -> Event | None:
    """What an Events API payload tells us, or None: a bot's message, an edit, a join, malformed, and the like."""
    event, workspace = body.get("event"), _installation(body)
    if not isinstance(event, dict) or not workspace:
        return None
    match event.get("type"), event.get("subtype"):
        case "message", "message_deleted" | "message_changed":
            return _deleted(event, bot, workspace)
        case "app_mention" | "message", _:
            return _message(event, bot, workspace)
        case "agent_session_stopped", _:
            return _stopped(event, workspace)
        case ("app_uninstalled" | "tokens_revoked") as parting, _:
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


def plain_text(text: str) -> str:
    """Slack's mrkdwn without its escapes: a link as text, a channel as #name; people stay `<@id>`."""
    pieces = _TOKEN.split(text)  # every other piece is the inside of a token
    return "".join(_unescaped(piece) if at % 2 == 0 else _token(piece) for at, piece in enumerate(pieces))


def _message(event: dict[str, Any], bot: BotIdentity, workspace: str) -> Event | None:
    if _is_of_no_person(event, bot):
        return None
    ts, user, channel = _ts(event, "ts"), _string(event, "user"), _string(event, "channel")
    root = _ts(event, "thread_ts") if event.get("thread_ts") else ts
    if not (ts and root and user and channel):
        return None
    author = Author(user, _string(event, "user_team") or _string(event, "team") or workspace)
    return _said(event, bot, _thread(event, workspace, root), author)


def _deleted(event: dict[str, Any], bot: BotIdentity, workspace: str) -> MessageDeleted | None:
    """A person's message that is gone. One that has replies is changed into a tombstone instead of being deleted."""
    before, after = _object(event, "previous_message"), _object(event, "message")
    if event["subtype"] == "message_changed" and after.get("subtype") != "tombstone":
        return None
    ts = _ts(event, "deleted_ts") or _ts(after, "ts")
    if _is_by_a_bot(before, bot) or not (ts and _string(event, "channel")):
        return None
    return MessageDeleted(_thread(event, workspace, _ts(before, "thread_ts") or ts), ts)


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


def _said(event: dict[str, Any], bot: BotIdentity, thread: Thread, author: Author) -> Event:
    raw, own = _string(event, "text"), re.compile(rf"<@{re.escape(bot.user_id)}(?:\|[^<>]*)?>")
    mentions_bot = event["type"] == "app_mention" or own.search(raw) is not None
    text = plain_text(_unaddressed(raw, list(own.finditer(raw)))).strip()
    match read_command(text, mentions_bot=mentions_bot):
        case Command.RESET:
            return ResetRequested(thread, event["ts"], author, mentions_bot=mentions_bot)
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
        attachments=_attachments(event.get("files")),
        client_id=_string(event, "client_msg_id") or None,
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
            return _storable(team_id)
        case _:
            return _string(body, "team_id")


def _attachments(files: Any) -> tuple[Attachment, ...]:
    found = [file for file in files if isinstance(file, dict)] if isinstance(files, list) else []
    return tuple(
        Attachment(
            id=_string(file, "id"),
            name=_string(file, "name") or _string(file, "title") or "file",
            mimetype=_string(file, "mimetype") or "application/octet-stream",
            size_bytes=file["size"] if isinstance(file.get("size"), int) else 0,
        )
        for file in found
        if _string(file, "id")
    )


def _token(inside: str) -> str:
    target, _, label = inside.partition("|")
    label = _unescaped(label)
    match target[:1]:
        case "@":
            return f"<{target}>"
        case "#":
            return f"#{label or target[1:]}"
        case "!":
            return _special(target[1:], label)
        case _ if ":" in target:
            return _link(_unescaped(target), label)
        case _:
            return f"<{inside}>"


def _special(name: str, label: str) -> str:
    if name.startswith("date^"):
        return label
    return f"@{(label or name.partition('^')[0]).removeprefix('@')}"


def _link(address: str, label: str) -> str:
    shown = address.removeprefix("mailto:").removeprefix("tel:")
    if not label or label in (shown, address, address.partition("://")[2]):
        return shown
    return f"{label} ({shown})"


def _without_dates(raw: str) -> str:
    return re.sub(r"<!date\^[^<>]*>", "", raw)


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


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
