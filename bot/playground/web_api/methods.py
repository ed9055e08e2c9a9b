"""What a method of the Web API is here: its scope, its required arguments, and how it refuses.

Rule: refusals have Slack's own error names (docs.slack.dev/reference/methods).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bot.playground.workspace import block_kit
from bot.playground.workspace.messages import Json, Message
from bot.playground.workspace.people import Channel
from bot.playground.workspace.workspace import Workspace

HISTORY_SCOPE = {"channel": "channels:history", "group": "groups:history", "im": "im:history", "mpim": "mpim:history"}
READ_SCOPE = {"channel": "channels:read", "group": "groups:read", "im": "im:read", "mpim": "mpim:read"}


class SlackError(Exception):
    """The method says no: `ok: false` with this error."""

    def __init__(self, error: str, **details: Any) -> None:
        super().__init__(error)
        self.error = error
        self.details = details


class MissingScopeError(SlackError):
    """The token lacks a scope."""

    def __init__(self, workspace: Workspace, needed: str) -> None:
        super().__init__("missing_scope", needed=needed, provided=",".join(sorted(workspace.app.scopes)))


def invalid_arguments(*messages: str) -> SlackError:
    """How Slack says what is wrong with a call's arguments."""
    return SlackError("invalid_arguments", response_metadata={"messages": [f"[ERROR] {what}" for what in messages]})


class Args:
    """A call's arguments: of a JSON body as they are, of a form or a query as text."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: value for name, value in values.items() if value is not None}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str:
        """A text argument, empty when it is not given."""
        value = self._values.get(name, "")
        if not isinstance(value, str):
            raise invalid_arguments(f"must be a string: {name}")
        return value

    def flag(self, name: str) -> bool | None:
        """A yes-or-no argument; None when it is not given."""
        value = self._values.get(name)
        return None if value is None else str(value).lower() in {"1", "true"}

    def number(self, name: str, default: int) -> int:
        """A whole number."""
        value = str(self._values.get(name, default))
        if not value.isascii() or not value.isdigit():
            raise invalid_arguments(f"must be a whole number: {name}")
        return int(value)

    def texts(self, name: str) -> list[str]:
        """A list of texts, as JSON text or as it is; empty when it is not given."""
        made = self._parsed(name, [])
        if not isinstance(made, list) or not all(isinstance(item, str) for item in made):
            raise invalid_arguments(f"must be a list of strings: {name}")
        return made

    def items(self, name: str) -> list[Json]:
        """A list of objects, as JSON text or as it is; empty when it is not given."""
        made = self._parsed(name, [])
        if not isinstance(made, list) or not all(isinstance(item, dict) for item in made):
            raise SlackError(f"invalid_{name}")
        return made

    def object(self, name: str) -> Json | None:
        """An object, as JSON text or as it is; None when it is not given."""
        made = self._parsed(name, None)
        if made is not None and not isinstance(made, dict):
            raise SlackError(f"invalid_{name}_format")
        return made

    def _parsed(self, name: str, default: Any) -> Any:
        value = self._values.get(name, default)
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError:
            raise SlackError(f"invalid_{name}_format") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method of the Web API. `run` returns what stands beside `ok: true`, or raises Refusal."""

    run: Callable[[Workspace, Args], Json]
    required: tuple[str, ...] = ()
    scope: str | None = None
    caller: Literal["bot", "app"] = "bot"  # whose token it takes


def known_channel(workspace: Workspace, channel_id: str) -> Channel:
    """The channel, if the bot may know of it: a private one only from inside."""
    channel = workspace.channels.get(channel_id)
    if channel is None or (channel.kind != "channel" and workspace.app.user_id not in channel.members):
        raise SlackError("channel_not_found")
    return channel


def joined_channel(workspace: Workspace, channel_id: str) -> Channel:
    """The channel, if the bot may write in it."""
    channel = known_channel(workspace, channel_id)
    if workspace.app.user_id not in channel.members:
        raise SlackError("not_in_channel")
    if channel.archived:
        raise SlackError("is_archived")
    return channel


def known_message(workspace: Workspace, channel: Channel, ts: str) -> Message:
    """The message, its stream ended if that is too old. Ephemerals cannot be named."""
    message = workspace.transcript.find(channel.id, ts)
    if message is None or message.only_for:
        raise SlackError("message_not_found")
    return workspace.settled(message)


def checked_root(workspace: Workspace, channel: Channel, thread_ts: str, error: str) -> str | None:
    """The thread's root: it must be there and be no reply itself. None when none is given."""
    if not thread_ts:
        return None
    root = workspace.transcript.find(channel.id, thread_ts)
    if root is None or root.only_for:
        raise SlackError(error)
    if root.thread_ts is not None:
        raise SlackError("cannot_reply_to_message")
    return thread_ts


def checked_blocks(workspace: Workspace, args: Args) -> tuple[Json, ...]:
    """The blocks given, with ids."""
    blocks = args.items("blocks")
    if found := block_kit.problems(blocks):
        raise SlackError("invalid_blocks", response_metadata={"messages": [f"[ERROR] {what}" for what in found]})
    return block_kit.stored(blocks, workspace.new_id)


def checked_metadata(args: Args) -> Json | None:
    """The metadata given, None when there is none.

    docs.slack.dev/messaging/message-metadata: a type and a payload, both needed.
    """
    metadata = args.object("metadata")
    if not metadata:
        return None
    if not isinstance(metadata.get("event_type"), str) or not isinstance(metadata.get("event_payload"), dict):
        raise SlackError("invalid_metadata_format")
    return metadata


def checked_markdown(args: Args) -> str:
    """The markdown_text given, empty when there is none."""
    text = args.text("markdown_text")
    if text and ("text" in args or "blocks" in args):
        raise SlackError("markdown_text_conflict")
    if len(text) > block_kit.MAX_MARKDOWN:
        raise SlackError("msg_too_long")
    return text
