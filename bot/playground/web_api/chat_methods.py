"""chat.postMessage, chat.update, chat.delete, chat.postEphemeral (docs.slack.dev/reference/methods)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.playground.web_api.arguments import Args
from bot.playground.web_api.errors import SlackError
from bot.playground.web_api.methods import (
    Method,
    checked_blocks,
    checked_markdown,
    checked_metadata,
    checked_root,
    joined_channel,
    known_message,
    returned,
)
from bot.playground.workspace.messages import TOMBSTONE, Edit, Json, Message
from bot.playground.workspace.workspace import Workspace

_MAX_TEXT = 40_000  # characters; Slack truncates a longer text
_MAX_UPDATE = 4_000  # bytes of `text` in chat.update


def _post(workspace: Workspace, args: Args) -> Json:
    person = workspace.people.get(args.text("channel"))  # a user id stands for the direct messages with that user
    channel = joined_channel(workspace, workspace.dm(person).id if person else args.text("channel"))
    thread_ts = checked_root(workspace, channel, args.text("thread_ts"), "thread_not_found")
    broadcast = thread_ts is not None and args.flag("reply_broadcast")
    message = workspace.add(
        Message(
            channel=channel.id,
            ts=workspace.new_ts(),
            user=workspace.app.user_id,
            bot_id=workspace.app.bot_id,
            thread_ts=thread_ts,
            subtype="thread_broadcast" if broadcast else None,
            metadata=checked_metadata(args),
            unfurls=args.flag("unfurl_links") is not False or args.flag("unfurl_media") is not False,
            **_content(workspace, args),
        )
    )
    return {"channel": channel.id, "ts": message.ts, "message": returned(workspace, message)}


def _update(workspace: Workspace, args: Args) -> Json:
    channel = joined_channel(workspace, args.text("channel"))
    message = known_message(workspace, channel, args.text("ts"))
    if message.bot_id != workspace.app.bot_id or message.subtype == TOMBSTONE:
        raise SlackError("cant_update_message")
    if message.streaming_since:
        raise SlackError("streaming_state_conflict")
    if workspace.variant.edits != "allowed":
        raise SlackError(workspace.variant.edits)
    if len(args.text("text").encode()) > _MAX_UPDATE:
        raise SlackError("msg_too_long")
    changes = _content(workspace, args)
    if message.streamed and "markdown_text" in args and workspace.variant.streamed_update == "emptied":
        changes["text"] = ""
    if "blocks" not in args and "markdown_text" not in args:
        del changes["blocks"]  # without new content, the old blocks stay
    if "metadata" in args:
        changes["metadata"] = checked_metadata(args)
    if not args.items("blocks"):  # an update with blocks shows no "(edited)"
        changes["edited"] = Edit(workspace.app.user_id, workspace.new_ts())
    changed = workspace.change(message, **changes)
    return {
        "channel": channel.id,
        "ts": changed.ts,
        "text": changed.text,
        "message": returned(workspace, changed),
    }


def _delete(workspace: Workspace, args: Args) -> Json:
    channel = joined_channel(workspace, args.text("channel"))
    message = known_message(workspace, channel, args.text("ts"))
    if message.bot_id != workspace.app.bot_id or message.subtype == TOMBSTONE:
        raise SlackError("cant_delete_message")
    if message.streaming_since:  # Slack does not document this case, so the app must not rely on it
        raise SlackError("cant_delete_message")
    if workspace.variant.deletions != "allowed":
        raise SlackError(workspace.variant.deletions)
    workspace.remove(message)
    return {"channel": channel.id, "ts": message.ts}


def _post_ephemeral(workspace: Workspace, args: Args) -> Json:
    channel = joined_channel(workspace, args.text("channel"))
    person = workspace.people.get(args.text("user"))
    if person is None or person.id not in channel.members:
        raise SlackError("user_not_in_channel")
    thread_ts = checked_root(workspace, channel, args.text("thread_ts"), "thread_not_found")
    content = _content(workspace, args)
    if thread_ts and len(workspace.thread(channel, thread_ts)) == 1:
        return {"message_ts": workspace.new_ts()}  # not shown: "only shown if there is already an active thread"
    message = workspace.show_ephemeral(person, channel, by_app=True, thread_ts=thread_ts, **content)
    return {"message_ts": message.ts}


def _content(workspace: Workspace, args: Args) -> dict[str, Any]:
    markdown, blocks, text = checked_markdown(args), checked_blocks(workspace, args), args.text("text")
    if not markdown and not blocks and not text.strip() and not args.items("attachments"):
        raise SlackError("no_text")
    if markdown:
        raw = workspace.variant.markdown_text_tables == "raw"
        return {"text": markdown, "blocks": (), "format": "markdown", "raw_tables": raw}
    return {"text": text[:_MAX_TEXT], "blocks": blocks, "format": "mrkdwn", "raw_tables": False}


METHODS: Mapping[str, Method] = {
    "chat.postMessage": Method(run=_post, required=("channel",), scope="chat:write"),
    "chat.update": Method(run=_update, required=("channel", "ts"), scope="chat:write"),
    "chat.delete": Method(run=_delete, required=("channel", "ts"), scope="chat:write"),
    "chat.postEphemeral": Method(run=_post_ephemeral, required=("channel", "user"), scope="chat:write"),
}
