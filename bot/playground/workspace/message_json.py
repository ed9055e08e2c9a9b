"""Slack's JSON of a message, as in events, Web API responses and interaction payloads. Pure.

From docs.slack.dev/reference/events/message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bot.playground.workspace.messages import Json, Message
from bot.playground.workspace.state import WorkspaceState

_ENTITY = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>|<!(channel|here|everyone)>|<(https?://[^>|]+)(?:\|[^>]*)?>")

_TABLE = re.compile(
    r"^(?P<head>\|[^\n]*\|)[ \t]*\n\|[ :|-]*-[ :|-]*\|[ \t]*\n(?P<body>(?:\|[^\n]*\|[ \t]*(?:\n|$))*)", re.MULTILINE
)


def message_json(state: WorkspaceState, message: Message, *, with_metadata: bool = False) -> Json:
    """Return the message's JSON, without the fields of the event around it."""
    body: Json = {"type": "message", **_author(state, message), "ts": message.ts, "text": message.text}
    body |= _optional(message) | _thread(state, message)
    if with_metadata and message.metadata:
        body["metadata"] = message.metadata
    return body


def with_replies(state: WorkspaceState, message: Message) -> Json:
    """Return the fields that conversations.replies adds to the root of a thread."""
    replies = state.transcript.thread(message.channel, message.ts)[1:]
    if not replies:
        return {}
    return {
        "thread_ts": message.ts,
        "reply_count": len(replies),
        "reply_users_count": len({reply.user for reply in replies}),
        "latest_reply": replies[-1].ts,
    }


def team_of(state: WorkspaceState, user: str) -> str:
    """Return the team of a user. Members of another workspace in a shared channel have another team."""
    person = state.people.get(user)
    return person.team if person else state.team.id


def _author(state: WorkspaceState, message: Message) -> Json:
    if message.bot_id is None:
        return {"user": message.user, "team": team_of(state, message.user)}
    if message.bot_id != state.app.bot_id:  # another app's bot, which has no user
        ids = {"bot_id": message.bot_id, "app_id": message.app_id}
        return {**{name: value for name, value in ids.items() if value}, "username": message.username}
    app = state.app
    profile = {"id": app.bot_id, "app_id": app.id, "name": app.manifest.app_name, "team_id": state.team.id}
    return {
        "user": app.user_id,
        "bot_id": app.bot_id,
        "app_id": app.id,
        "team": state.team.id,
        "bot_profile": {**profile, "deleted": False, "updated": 1_700_000_000, "icons": {}},
    }


def _optional(message: Message) -> Json:
    fields = {
        "subtype": message.subtype,
        "client_msg_id": message.client_msg_id,
        "files": list(message.files),
        "attachments": list(message.attachments),
        "blocks": list(message.blocks) or _rich_text(message),
        "edited": message.edited and {"user": message.edited.user, "ts": message.edited.ts},
    }
    return {name: value for name, value in fields.items() if value}


def _thread(state: WorkspaceState, message: Message) -> Json:
    if message.thread_ts is None:
        return {}
    root = state.transcript.find(message.channel, message.thread_ts)
    return {"thread_ts": message.thread_ts, **({"parent_user_id": root.user} if root else {})}


def _rich_text(message: Message) -> list[Json]:
    # Slack sends typed messages as rich text too. This is the minimum of it.
    if message.format == "markdown" and not message.raw_tables and _TABLE.search(message.text):
        return list(_with_tables(message))
    is_by_bot = message.bot_id and not message.app_id  # a workflow's post is rich text, like a person's
    if not message.text or is_by_bot or message.subtype not in {None, "thread_broadcast", "file_share", "bot_message"}:
        return []
    return [_section(message, message.text)]


def _section(message: Message, text: str) -> Json:
    section = {"type": "rich_text_section", "elements": list(_elements(text))}
    return {"type": "rich_text", "block_id": message.ts[-5:], "elements": [section]}


def _with_tables(message: Message) -> Iterator[Json]:
    """Yield the blocks of Markdown whose tables Slack shows: docs.slack.dev/reference/block-kit/blocks/table-block."""
    end = 0
    for table in _TABLE.finditer(message.text):
        if text := message.text[end : table.start()]:
            yield _section(message, text)
        rows = [table["head"], *table["body"].splitlines()]
        cells = [[{"type": "raw_text", "text": cell.strip()} for cell in row.strip(" |").split("|")] for row in rows]
        yield {"type": "table", "block_id": f"{message.ts[-5:]}-{end}", "rows": cells}
        end = table.end()
    if text := message.text[end:]:
        yield _section(message, text)


def _elements(text: str) -> Iterator[Json]:
    end = 0
    for match in _ENTITY.finditer(text):
        yield from _plain(text[end : match.start()])
        user, group, url = match.groups()
        yield (
            {"type": "user", "user_id": user}
            if user
            else {"type": "broadcast", "range": group}
            if group
            else {"type": "link", "url": _unescaped(url)}
        )
        end = match.end()
    yield from _plain(text[end:])


def _plain(text: str) -> Iterator[Json]:
    if text:
        yield {"type": "text", "text": _unescaped(text)}


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
