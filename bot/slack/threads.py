"""A Slack thread by its ids, or by the link to one of its messages."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

from bot.domain.events import Thread
from bot.slack.identity import PLATFORM
from bot.slack.message_fields import TS

_LINK_TS = re.compile(r"/archives/(?P<channel>[A-Z0-9]+)/p(?P<seconds>[0-9]{10})(?P<micros>[0-9]{6})")


def thread_of_link(link: str, workspace: str) -> Thread | None:
    """The thread that a message's link leads to: `https://team.slack.com/archives/C…/p…[?thread_ts=…]`."""
    try:
        parts = urlsplit(link.strip().strip("<>"))
        given = parse_qs(parts.query).get("thread_ts", [])
    except ValueError:
        return None
    found = _LINK_TS.fullmatch(parts.path)
    if parts.scheme not in {"https", "http"} or found is None:  # http: a playground has no certificate
        return None
    root = given[0] if given else f"{found['seconds']}.{found['micros']}"
    return thread_at(workspace, found["channel"], root) if TS.fullmatch(root) else None


def thread_at(workspace: str, channel: str, root: str) -> Thread:
    """The thread under this message. A direct message's channel begins with D."""
    return Thread(PLATFORM, workspace, channel, root, direct=channel.startswith("D"))
