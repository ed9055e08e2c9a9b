"""assistant.threads.setStatus and agents.sessions.setStatus: the status that the app shows in a thread.

A thread status expires after two minutes: docs.slack.dev/reference/methods/assistant.threads.setStatus.
`processing` expires after an hour: docs.slack.dev/reference/methods/agents.sessions.setStatus.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from bot.playground.web_api.arguments import Args
from bot.playground.web_api.errors import SlackError, invalid_arguments
from bot.playground.web_api.methods import Method, checked_root, joined_channel
from bot.playground.workspace.messages import Json
from bot.playground.workspace.workspace import Workspace

_STATUS_LIFETIME, _SESSION_LIFETIME = timedelta(minutes=2), timedelta(hours=1)
_SESSION_STATUSES = {"active", "processing", "suspended", "closed"}
_MAX_LOADING_MESSAGES = 10
_NO_STOP = "missing_agent_session_stopped_event_subscription"


def checked_session_status(args: Args, name: str, default: str = "") -> str:
    """Return the agent session status in this argument."""
    status = args.text(name) or default
    if status not in _SESSION_STATUSES:
        raise invalid_arguments(f"must be a known value: {name}")
    return status


def set_session(workspace: Workspace, channel_id: str, thread_ts: str, status: str) -> None:
    """Show a status while an agent session is processing, and clear it otherwise."""
    if status == "processing" and workspace.app.is_agent:
        workspace.statuses.set(channel_id, thread_ts, "Working…", _SESSION_LIFETIME, session=True)
    else:
        workspace.statuses.set(channel_id, thread_ts, "")


def _thread_status(workspace: Workspace, args: Args) -> Json:
    channel = joined_channel(workspace, args.text("channel_id"))
    thread_ts = checked_root(workspace, channel, args.text("thread_ts"), "invalid_thread_ts") or ""
    if "loading_messages" in args and len(args.texts("loading_messages")) > _MAX_LOADING_MESSAGES:
        raise invalid_arguments("too many items: loading_messages")
    workspace.statuses.set(channel.id, thread_ts, args.text("status"), _STATUS_LIFETIME)
    return {}


def _session_status(workspace: Workspace, args: Args) -> Json:
    if not workspace.app.is_agent:
        raise SlackError("not_authorized")
    channel = joined_channel(workspace, args.text("channel_id"))
    thread_ts = checked_root(workspace, channel, args.text("thread_ts"), "invalid_thread_ts")
    if thread_ts is None:
        raise SlackError("thread_ts_required")
    status = checked_session_status(args, "status")
    set_session(workspace, channel.id, thread_ts, status)
    if status == "processing" and not workspace.statuses.is_stoppable(channel, thread_ts):
        return {"warning": _NO_STOP, "response_metadata": {"warnings": [_NO_STOP]}}
    return {}


METHODS: Mapping[str, Method] = {
    "assistant.threads.setStatus": Method(
        run=_thread_status, required=("channel_id", "thread_ts", "status"), scope="chat:write"
    ),
    "agents.sessions.setStatus": Method(run=_session_status, required=("channel_id", "status"), scope="chat:write"),
}
