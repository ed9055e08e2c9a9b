"""Whom a posted text would ping and which links it would unfurl, read as Slack reads it. Pure.

Rule: when in doubt it is a ping. A token split over two streamed pieces counts, so ask about the whole text.
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
    """The tokens in `text` that notify somebody. With `link_names`, Slack also looks for bare names like @here."""
    found = [token for token in _TOKEN.findall(text) if _PINGING.match(token)]
    return found + (_BARE.findall(text) if link_names else [])


def message_pings(message: Message) -> list[str]:
    """Everything in a message that notifies somebody: its text and the formatted texts of its blocks."""
    return [token for text in _formatted_texts(message) for token in pings(text)]


def unfurled(message: Message) -> list[str]:
    """The links in a message that Slack would fetch and show."""
    return _LINK.findall(message.text) if message.unfurls else []


def _formatted_texts(message: Message) -> Iterator[str]:
    yield message.text
    yield from _texts_in(list(message.blocks))


def _texts_in(node: Any) -> Iterator[str]:
    # plain_text objects are shown as they are, so nothing in them pings.
    match node:
        case {"type": "mrkdwn" | "markdown", "text": str(text)}:
            yield text
        case dict():
            for value in node.values():
                yield from _texts_in(value)
        case list() | tuple():
            for value in node:
                yield from _texts_in(value)
