"""chat.startStream, chat.appendStream, chat.stopStream (docs.slack.dev/reference/methods/chat.startStream).

Slack's servers are stricter than their reference about thread_ts, the recipient and the lifetime. So is this.
A stream that a person stopped refuses more text but can still be ended: docs.slack.dev/ai/agent-sessions.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.playground.web_api.arguments import Args
from bot.playground.web_api.errors import SlackError
from bot.playground.web_api.methods import (
    Method,
    checked_blocks,
    checked_metadata,
    checked_root,
    joined_channel,
    known_message,
    returned,
)
from bot.playground.web_api.statuses import checked_session_status, set_session
from bot.playground.workspace import block_kit
from bot.playground.workspace.messages import Json, Message
from bot.playground.workspace.people import Channel
from bot.playground.workspace.workspace import Workspace


def _start(workspace: Workspace, args: Args) -> Json:
    channel = joined_channel(workspace, args.text("channel"))
    thread_ts = checked_root(workspace, channel, args.text("thread_ts"), "invalid_thread_ts")
    if thread_ts is None:
        raise SlackError("invalid_thread_ts")
    if channel.kind != "im":
        _require_recipient(workspace, args)
    message = workspace.add(
        Message(
            channel=channel.id,
            ts=workspace.new_ts(),
            user=workspace.app.user_id,
            bot_id=workspace.app.bot_id,
            thread_ts=thread_ts,
            text=_held(workspace, _text_of(args)),
            format="markdown",
            streamed=True,
            streaming_since=workspace.clock(),
        )
    )
    if workspace.app.is_agent:  # an agent that starts a stream starts a session
        set_session(workspace, channel.id, thread_ts, "processing")
    return {"channel": channel.id, "ts": message.ts}


def _append(workspace: Workspace, args: Args) -> Json:
    channel, message = _own_message(workspace, args)
    if message.stopped:
        raise SlackError("stopped_by_user")
    _require_streaming(message)
    text = _text_of(args)
    if not text and "chunks" not in args:
        raise SlackError("no_text")
    workspace.append_to(message, _held(workspace, message.text + text)[len(message.text) :])
    return {"channel": channel.id, "ts": message.ts}


def _stop(workspace: Workspace, args: Args) -> Json:
    channel, message = _own_message(workspace, args)
    if not message.stopped:
        _require_streaming(message)
    if workspace.variant.stops != "allowed":
        raise SlackError(workspace.variant.stops)
    status = checked_session_status(args, "session_status", "active")
    text = _held(workspace, message.text + _text_of(args))
    blocks = checked_blocks(workspace, args)
    if not text and not blocks:
        raise SlackError("no_text")
    if blocks:  # Slack shows blocks below the text, so the text becomes the first block
        blocks = ({"type": "markdown", "block_id": workspace.new_id(), "text": text}, *blocks)
    metadata = checked_metadata(args) or message.metadata
    ended = workspace.change(message, text=text, blocks=blocks, metadata=metadata, streaming_since=None, stopped=False)
    set_session(workspace, channel.id, message.root, status)
    return {"channel": channel.id, "ts": ended.ts, "message": returned(workspace, ended)}


def _require_recipient(workspace: Workspace, args: Args) -> None:
    for name in ("recipient_user_id", "recipient_team_id"):
        if not args.text(name):
            raise SlackError(f"missing_{name}")
    person = workspace.people.get(args.text("recipient_user_id"))
    if person is None or person.team != args.text("recipient_team_id"):
        raise SlackError("user_not_found")


def _own_message(workspace: Workspace, args: Args) -> tuple[Channel, Message]:
    channel = joined_channel(workspace, args.text("channel"))
    message = known_message(workspace, channel, args.text("ts"))
    if message.bot_id != workspace.app.bot_id:
        raise SlackError("message_not_owned_by_app")
    return channel, message


def _require_streaming(message: Message) -> None:
    if message.streaming_since is None:
        raise SlackError("message_not_in_streaming_state")


def _held(workspace: Workspace, text: str) -> str:
    """Return as much of a stream's text as Slack keeps. Raises msg_too_long where Slack does not cut it in silence."""
    variant = workspace.variant
    if variant.long_stream == "allowed" or len(text.encode()) <= variant.stream_bytes:
        return text
    if variant.long_stream == "refused":
        raise SlackError("msg_too_long")
    return text.encode()[: variant.stream_bytes].decode(errors="ignore")


def _text_of(args: Args) -> str:
    chunks = args.items("chunks")
    types = {"markdown_text", "task_update", "plan_update", "blocks"}
    if any(chunk.get("type") not in types for chunk in chunks):
        raise SlackError("invalid_chunks")
    pieces = [args.text("markdown_text"), *(c.get("text") for c in chunks if c["type"] == "markdown_text")]
    if not all(isinstance(piece, str) for piece in pieces):
        raise SlackError("invalid_chunks")
    text = "".join(map(str, pieces))
    if len(text) > block_kit.MAX_MARKDOWN:
        raise SlackError("msg_too_long")
    return text


METHODS: Mapping[str, Method] = {
    "chat.startStream": Method(run=_start, required=("channel",), scope="chat:write"),
    "chat.appendStream": Method(run=_append, required=("channel", "ts"), scope="chat:write"),
    "chat.stopStream": Method(run=_stop, required=("channel", "ts"), scope="chat:write"),
}
