"""assistant.threads.setStatus and agents.sessions.setStatus: what the app says it is doing in a thread.

docs.slack.dev/reference/methods/assistant.threads.setStatus: gone after two minutes without a message.
docs.slack.dev/reference/methods/agents.sessions.setStatus: `processing` is gone after an hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from bot.playground.messages import Json
from bot.playground.methods import Args, Method, Refusal, checked_root, invalid_arguments, joined_channel
from bot.playground.workspace import Workspace

_STATUS_LASTS, _SESSION_LASTS = timedelta(minutes=2), timedelta(hours=1)
_SESSION_STATUSES = {"active", "processing", "suspended", "closed"}
_MAX_LOADING_MESSAGES = 10


def show_working(workspace: Workspace, channel_id: str, thread_ts: str) -> None:
    """Show that an agent's session is being worked on."""
    workspace.set_status(channel_id, thread_ts, "Working…", _SESSION_LASTS)


def _thread_status(workspace: Workspace, args: Args) -> Json:
    channel = joined_channel(workspace, args.text("channel_id"))
    thread_ts = checked_root(workspace, channel, args.text("thread_ts"), "invalid_thread_ts") or ""
    if "loading_messages" in args and len(args.texts("loading_messages")) > _MAX_LOADING_MESSAGES:
        raise invalid_arguments("too many items: loading_messages")
    workspace.set_status(channel.id, thread_ts, args.text("status"), _STATUS_LASTS)
    return {}


def _session_status(workspace: Workspace, args: Args) -> Json:
    if not workspace.app.is_agent:
        raise Refusal("not_authorized")
    channel = joined_channel(workspace, args.text("channel_id"))
    thread_ts = checked_root(workspace, channel, args.text("thread_ts"), "invalid_thread_ts")
    if thread_ts is None:
        raise Refusal("thread_ts_required")
    status = args.text("status")
    if status not in _SESSION_STATUSES:
        raise invalid_arguments("must be a known value: status")
    if status == "processing":
        show_working(workspace, channel.id, thread_ts)
    else:
        workspace.set_status(channel.id, thread_ts, "")
    return {}


METHODS: Mapping[str, Method] = {
    "assistant.threads.setStatus": Method(
        run=_thread_status, required=("channel_id", "thread_ts", "status"), scope="chat:write"
    ),
    "agents.sessions.setStatus": Method(run=_session_status, required=("channel_id", "status"), scope="chat:write"),
}
