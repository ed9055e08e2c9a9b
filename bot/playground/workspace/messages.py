"""Messages as the workspace stores them, ephemeral ones included."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Json = dict[str, Any]

SLACKBOT = "USLACKBOT"
TOMBSTONE = "tombstone"  # subtype of the remains of a deleted message that has replies


@dataclass(frozen=True, slots=True)
class Edit:
    """The author and time of a message's last edit: `edited` in Slack's JSON."""

    user: str
    ts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message. `text` is the stored text: mrkdwn is escaped as in Slack, markdown is as it was sent."""

    channel: str
    ts: str  # seconds and microseconds, unique in the workspace, sortable as text
    user: str
    text: str
    thread_ts: str | None = None  # None unless the message is a reply
    subtype: str | None = None
    format: Literal["mrkdwn", "markdown"] = "mrkdwn"
    blocks: tuple[Json, ...] = ()
    files: tuple[Json, ...] = ()
    attachments: tuple[Json, ...] = ()  # forwarded messages, and what other apps attach
    metadata: Json | None = None
    client_msg_id: str | None = None
    bot_id: str | None = None
    username: str | None = None  # of another app's bot, which has no user
    app_id: str | None = None  # of a workflow
    edited: Edit | None = None
    streaming_since: datetime | None = None
    streamed: bool = False  # it streams, or it was streamed
    raw_tables: bool = False  # Slack shows the tables in its Markdown as they were typed
    stopped: bool = False  # a person stopped its stream, but the app has not called chat.stopStream yet
    only_for: str | None = None  # id of the only person who sees it, for an ephemeral message
    unfurls: bool = False  # whether Slack may unfurl its links

    @property
    def id(self) -> str:
        """An id that stays when the message changes. Ephemeral messages have one too."""
        return f"{self.channel}-{self.ts}"

    @property
    def shown_text(self) -> str:
        """The text that a person sees: that of the blocks if there are any."""
        return "\n".join(filter(None, map(_text_of_block, self.blocks))) or self.text

    @property
    def root(self) -> str:
        """The `ts` of the root of its thread, its own unless it is a reply."""
        return self.thread_ts or self.ts


def _text_of_block(block: Json) -> str:
    match block:
        case {"type": "markdown", "text": str(text)} | {"type": "section" | "header", "text": {"text": str(text)}}:
            return text
        case {"type": "context", "elements": list(elements)}:
            return " ".join(str(element.get("text", "")) for element in elements)
        case _:
            return ""
