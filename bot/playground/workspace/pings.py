"""The people that a message would notify, and the links that it would unfurl, as Slack reads them. Pure.

Rule: a doubtful token counts as a ping. Pass whole texts, since a token may be split over two streamed pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bot.playground.workspace.messages import Message

_TOKEN = re.compile(r"<(?:![a-z]+(?:\^[^>|]*)?|@[UW][A-Z0-9]+)(?:\|[^>]*)?>", re.IGNORECASE)
_PINGING = re.compile(r"<(?:!(?:channel|here|everyone|group|subteam\b)|@)", re.IGNORECASE)
_BARE = re.compile(r"(?<!\w)@(?:channel|here|everyone)\b", re.IGNORECASE)
_LINK = re.compile(r"https?://[^\s<>|)\]]+")


def pings(text: str, *, link_names: bool = False) -> list[str]:
    """Return the tokens in `text` that notify people. With `link_names`, bare names such as @here count too."""
    tokens = [token for token in _TOKEN.findall(text) if _PINGING.match(token)]
    return tokens + (_BARE.findall(text) if link_names else [])


def message_pings(message: Message) -> list[str]:
    """Return the tokens that notify people in a message's text and in the formatted texts of its blocks."""
    return [token for text in _formatted_texts(message) for token in pings(text)]


def unfurled(message: Message) -> list[str]:
    """Return the links in a message that Slack would unfurl."""
    return _LINK.findall(message.shown_text) if message.unfurls else []


def _formatted_texts(message: Message) -> Iterator[str]:
    yield message.text
    yield from _texts_in(list(message.blocks))


def _texts_in(node: Any) -> Iterator[str]:
    # Slack shows plain_text objects as they are, so they notify nobody.
    match node:
        case {"type": "mrkdwn" | "markdown", "text": str(text)}:
            yield text
        case dict():
            for value in node.values():
                yield from _texts_in(value)
        case list() | tuple():
            for value in node:
                yield from _texts_in(value)
