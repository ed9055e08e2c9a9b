"""A message as the workspace keeps it, ephemeral ones included."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Json = dict[str, Any]

SLACKBOT = "USLACKBOT"
TOMBSTONE = "tombstone"  # what is left of a deleted message that has replies


@dataclass(frozen=True, slots=True)
class Edit:
    """Who changed a message, and when: `edited` in Slack's JSON."""

    user: str
    ts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message. `text` is what was stored: mrkdwn is escaped as Slack does it, markdown is as it was sent."""

    channel: str
    ts: str  # seconds and microseconds, unique in the workspace, sortable as text
    user: str
    text: str
    thread_ts: str | None = None  # None for a message that is no reply
    subtype: str | None = None
    format: Literal["mrkdwn", "markdown"] = "mrkdwn"
    blocks: tuple[Json, ...] = ()
    files: tuple[Json, ...] = ()
    metadata: Json | None = None
    client_msg_id: str | None = None
    bot_id: str | None = None
    username: str | None = None  # of another bot that has no user
    edited: Edit | None = None
    streaming_since: datetime | None = None
    stopped: bool = False  # a person stopped its stream, and the app has not ended it yet
    only_for: str | None = None  # an ephemeral message's one reader
    unfurls: bool = False  # Slack may unfurl the links in it

    @property
    def id(self) -> str:
        """A key that stays, also for ephemerals."""
        return f"{self.channel}-{self.ts}"

    @property
    def root(self) -> str:
        """The `ts` of its thread's first message: its own, when it is no reply."""
        return self.thread_ts or self.ts
