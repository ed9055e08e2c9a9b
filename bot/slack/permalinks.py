"""Permalinks of Slack messages, read and written: `https://team.slack.com/archives/C…/p…[?thread_ts=…]`."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

from bot.domain.events import Thread
from bot.slack.identity import PLATFORM
from bot.slack.message_fields import TS

_PATH = re.compile(r"/archives/(?P<channel>[A-Z0-9]+)/p(?P<seconds>[0-9]{10})(?P<micros>[0-9]{6})")


def thread_from_permalink(link: str, workspace: str) -> Thread | None:
    """Return the thread of the message that the permalink names, or None if `link` is no permalink."""
    try:
        url = urlsplit(link.strip().strip("<>"))
        thread_ts = parse_qs(url.query).get("thread_ts", [])
    except ValueError:
        return None
    path = _PATH.fullmatch(url.path)
    if url.scheme not in {"https", "http"} or path is None:  # http: the playground has no certificate
        return None
    root = thread_ts[0] if thread_ts else f"{path['seconds']}.{path['micros']}"
    return thread_at(workspace, path["channel"], root) if TS.fullmatch(root) else None


def thread_at(workspace: str, channel: str, root: str) -> Thread:
    """Return the thread under the message `root`. The id of a direct message's channel begins with D."""
    return Thread(PLATFORM, workspace, channel, root, direct=channel.startswith("D"))


def permalink(thread: Thread, team_url: str) -> str:
    """Return the permalink of the thread's first message, or the link of the DM for its rolling conversation.

    https://docs.slack.dev/reference/methods/chat.getPermalink returns the same URL, at the cost of a call.
    """
    if thread.rolling:
        return f"{team_url}archives/{thread.channel}"
    return f"{team_url}archives/{thread.channel}/p{thread.root.replace('.', '')}"
