"""Conversion of Slack's mrkdwn to plain text.

Rule: pure, and never raises. Facts: https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re

_SOME_CHANNEL = "some-channel"  # a channel's name would need another scope

# Links to places in Slack whose addresses tell people nothing
_PLACE = re.compile(r"https://[a-z0-9.-]+\.slack\.com/(?:(?P<kind>huddle)|docs)/T")
_TOKEN = re.compile(r"<([^<>]*)>")


def plain_text(text: str) -> str:
    """Convert mrkdwn to plain text: a link reads as text, a channel as #name. A mention of a person stays `<@id>`."""
    pieces = _TOKEN.split(text)  # every second piece is the inside of a token
    return "".join(_unescaped(piece) if at % 2 == 0 else _token(piece) for at, piece in enumerate(pieces))


def _token(inside: str) -> str:
    target, _, label = inside.partition("|")
    label = _unescaped(label)
    match target[:1]:
        case "@":
            return f"<{target}>"
        case "#":
            return f"#{label or _SOME_CHANNEL}"
        case "!":
            return _special_mention(target[1:], label)
        case _ if ":" in target:
            return _link(_unescaped(target), label)
        case _:
            return f"<{inside}>"


def _special_mention(name: str, label: str) -> str:
    if name.startswith("date^"):
        return label
    return f"@{(label or name.partition('^')[0]).removeprefix('@')}"


def _link(url: str, label: str) -> str:
    shown = url.removeprefix("mailto:").removeprefix("tel:")
    if not label or label in (shown, url, url.partition("://")[2]):
        return f"a {place['kind'] or 'canvas'} ({shown})" if (place := _PLACE.match(url)) else shown
    return f"{label} ({shown})"


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
