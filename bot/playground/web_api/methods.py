"""A method of the Web API, and the checks that several methods share.

Rule: a check returns the checked value, or raises the SlackError that Slack would respond with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bot.playground.web_api.arguments import Args
from bot.playground.web_api.errors import SlackError
from bot.playground.workspace import block_kit
from bot.playground.workspace.message_json import message_json
from bot.playground.workspace.messages import Json, Message
from bot.playground.workspace.people import Channel
from bot.playground.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method of the Web API. `run` returns the response without `ok: true`, or raises SlackError."""

    run: Callable[[Workspace, Args], Json]
    required: tuple[str, ...] = ()
    scope: str | None = None
    caller: Literal["bot", "app"] = "bot"  # the kind of token that it accepts


def known_channel(workspace: Workspace, channel_id: str) -> Channel:
    """Return a channel that the bot can see: a public one, or one that the bot is in."""
    channel = workspace.channels.get(channel_id)
    if channel is None or (channel.kind != "channel" and workspace.app.user_id not in channel.members):
        raise SlackError("channel_not_found")
    return channel


def joined_channel(workspace: Workspace, channel_id: str) -> Channel:
    """Return a channel in which the bot may post."""
    channel = known_channel(workspace, channel_id)
    if workspace.app.user_id not in channel.members:
        raise SlackError("not_in_channel")
    if channel.archived:
        raise SlackError("is_archived")
    return channel


def known_message(workspace: Workspace, channel: Channel, ts: str) -> Message:
    """Return a message, its stream ended if it has expired. Ephemeral messages cannot be found by `ts`."""
    message = workspace.transcript.find(channel.id, ts)
    if message is None or message.only_for:
        raise SlackError("message_not_found")
    return workspace.end_expired_stream(message)


def checked_root(workspace: Workspace, channel: Channel, thread_ts: str, error: str) -> str | None:
    """Return the `thread_ts` of an existing root, None when it is empty. `error` is for a missing root."""
    if not thread_ts:
        return None
    root = workspace.transcript.find(channel.id, thread_ts)
    if root is None or root.only_for:
        raise SlackError(error)
    if root.thread_ts is not None:
        raise SlackError("cannot_reply_to_message")
    return thread_ts


def returned(workspace: Workspace, message: Message) -> Json:
    """Return the `message` of a response."""
    body = message_json(workspace, message)
    if workspace.variant.responses == "without_text":
        return {**body, "text": "", "blocks": []}
    return body


def checked_blocks(workspace: Workspace, args: Args) -> tuple[Json, ...]:
    """Return the valid `blocks`, with ids."""
    blocks = args.items("blocks")
    length = block_kit.markdown_length(blocks)
    if length and workspace.variant.markdown_blocks != "allowed":
        raise SlackError(workspace.variant.markdown_blocks)
    if length > block_kit.MAX_MARKDOWN:
        raise SlackError("msg_blocks_too_long")
    if problems := block_kit.problems(blocks):
        messages = [f"[ERROR] {problem}" for problem in problems]
        raise SlackError("invalid_blocks", response_metadata={"messages": messages})
    return block_kit.stored(blocks, workspace.new_id)


def checked_metadata(args: Args) -> Json | None:
    """Return the valid `metadata`, None when it is missing.

    It needs an event_type and an event_payload: docs.slack.dev/messaging/message-metadata
    """
    metadata = args.object("metadata")
    if not metadata:
        return None
    if not isinstance(metadata.get("event_type"), str) or not isinstance(metadata.get("event_payload"), dict):
        raise SlackError("invalid_metadata_format")
    return metadata


def checked_markdown(args: Args) -> str:
    """Return the valid `markdown_text`, empty when it is missing."""
    text = args.text("markdown_text")
    if text and ("text" in args or "blocks" in args):
        raise SlackError("markdown_text_conflict")
    if len(text) > block_kit.MAX_MARKDOWN:
        raise SlackError("msg_too_long")
    return text
