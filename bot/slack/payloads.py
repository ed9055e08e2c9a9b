"""Slack's payloads in words of our own: which events are messages to us, and what people wrote in plain text.

Rule: pure, and never raises: what is malformed is not for us. Facts: https://docs.slack.dev/reference/events/message
and https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bot.events import Attachment, Author, Event, MessageReceived, ResetRequested, Thread, addresses_other, read_command
from bot.slack.identity import PLATFORM, BotIdentity

CHANNEL_TYPES = ("channel", "group", "im", "mpim")  # the manifest's message.channels, .groups, .im and .mpim

_SUBTYPES = (None, "file_share", "thread_broadcast", "me_message")
_SLACKBOT = "USLACKBOT"
_TS = re.compile(r"[0-9]{10}\.[0-9]{6}")
_LINK_TS = re.compile(r"/archives/(?P<channel>[A-Z0-9]+)/p(?P<seconds>[0-9]{10})(?P<micros>[0-9]{6})")
_TOKEN = re.compile(r"<([^<>]*)>")
_NAMES_SOMEBODY = re.compile(r"<((?:@|!subteam\^|!(?:here|channel|everyone|group)\b)[^<>|\s]*)(?:\|[^<>]*)?>")


def read_event(body: dict[str, Any], bot: BotIdentity) -> Event | None:
    """The message to us that an Events API payload is, or None: of a bot, an edit, a join, malformed, and the like."""
    event = body.get("event")
    if not isinstance(event, dict) or event.get("type") not in ("app_mention", "message"):
        return None
    if _is_of_no_person(event, bot):
        return None
    ts, user, channel = _ts(event, "ts"), _string(event, "user"), _string(event, "channel")
    root = _ts(event, "thread_ts") if event.get("thread_ts") else ts
    workspace = _installation(body)
    if not (ts and root and user and channel and workspace):
        return None
    author = Author(user, _string(event, "user_team") or _string(event, "team") or workspace)
    kind = event.get("channel_type") or ("im" if channel.startswith("D") else "channel")
    thread = Thread(PLATFORM, workspace, channel, root, direct=kind == "im")
    return _said(event, bot, thread, author)


def thread_of_link(link: str, workspace: str) -> Thread | None:
    """The thread that a message's link leads to: `https://team.slack.com/archives/C…/p…[?thread_ts=…]`."""
    try:
        parts = urlsplit(link.strip().strip("<>"))
        given = parse_qs(parts.query).get("thread_ts", [])
    except ValueError:
        return None
    found = _LINK_TS.fullmatch(parts.path)
    if parts.scheme != "https" or found is None:
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


def _said(event: dict[str, Any], bot: BotIdentity, thread: Thread, author: Author) -> Event:
    raw, own = _string(event, "text"), re.compile(rf"<@{re.escape(bot.user_id)}(?:\|[^<>]*)?>")
    mentions_bot = event["type"] == "app_mention" or own.search(raw) is not None
    text = plain_text(re.sub(rf"^(?:\s*{own.pattern})+[\s,:]*|(?:\s*{own.pattern})+\s*$", "", raw)).strip()
    if read_command(text, mentions_bot=mentions_bot):
        return ResetRequested(thread, event["ts"], author, mentions_bot=mentions_bot)
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


def _is_of_no_person(event: dict[str, Any], bot: BotIdentity) -> bool:
    is_message = event.get("subtype") in _SUBTYPES and not event.get("hidden")
    is_ours = event.get("channel_type") in (None, *CHANNEL_TYPES)  # app_mention may come without one
    by_a_bot = bool(event.get("bot_id") or event.get("bot_profile")) or event.get("user") in (_SLACKBOT, bot.user_id)
    return by_a_bot or not (is_message and is_ours)


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


def _string(values: dict[str, Any], key: str) -> str:
    value = values.get(key)
    return _storable(value) if isinstance(value, str) else ""


def _storable(text: str) -> str:
    # JSON can carry what no database stores: NUL characters and halves of surrogate pairs.
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
