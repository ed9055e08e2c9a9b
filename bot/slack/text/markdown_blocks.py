"""Markdown in a message's blocks, and the plain text beside it for notifications and for clients that show no blocks.

Rule: pure. Slack parses the plain text as mrkdwn, so it contains no token of Slack's: no mention, no link.
Facts: https://docs.slack.dev/reference/block-kit/blocks/markdown-block and .../reference/methods/chat.update
"""

from __future__ import annotations

import re
from typing import Any

from bot.slack.text.markdown_sanitizer import JOINER

MAX_FALLBACK_BYTES = 4_000  # of UTF-8; chat.update refuses a longer `text`

_CUT = "…"
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_CUT_ESCAPE = re.compile(r"&[a-z]*$")
_MARKUP = (
    (re.compile(r"^[ \t]*(?:`{3,}|~{3,})[^`~\n]*$", re.MULTILINE), ""),  # the marks of a code block
    (re.compile(r"^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t:-]*)+$", re.MULTILINE), ""),  # the line below a table's head
    (re.compile(r"^[ \t]{0,3}#{1,6}[ \t]+", re.MULTILINE), ""),
    (re.compile(r"!?\[([^\[\]\n]*)\]\([^()\s]*\)"), r"\1"),
    (re.compile(r"[*_~`|]+"), " "),
    (re.compile(r"@(?=\w)"), f"@{JOINER}"),  # chat.update looks for names: its `parse` is `client` unless it is set
    (re.compile(r"://"), f":{JOINER}//"),
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r"\s*\n\s*"), "\n"),
)


def markdown_blocks(markdown: str) -> list[dict[str, str]]:
    """Return the blocks that show this Markdown."""
    return [{"type": "markdown", "text": markdown}]


def fallback_text(markdown: str) -> str:
    """Return the words of the Markdown as plain text of at most MAX_FALLBACK_BYTES, with the rest cut off."""
    text = markdown[:MAX_FALLBACK_BYTES]
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    escaped = text.strip().translate(_ESCAPES)
    if len(markdown) <= MAX_FALLBACK_BYTES and len(_utf8(escaped)) <= MAX_FALLBACK_BYTES:
        return escaped or _CUT
    return _cut(escaped)


def markdown_of(blocks: Any) -> str:
    """Return the Markdown in the `blocks` of a message, empty if there is none. Malformed blocks are left out."""
    listed = [block for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []
    texts = [block.get("text") for block in listed if block.get("type") == "markdown"]
    return "\n".join(text for text in texts if isinstance(text, str))


def _cut(escaped: str) -> str:
    """Return the longest beginning that fits, after a whole word if there is one."""
    room = MAX_FALLBACK_BYTES - len(_utf8(_CUT))
    beginning = _CUT_ESCAPE.sub("", _utf8(escaped)[:room].decode(errors="ignore"))
    words, space, _ = beginning.rpartition(" ")
    return (words if space else beginning) + _CUT


def _utf8(text: str) -> bytes:
    return text.encode(errors="surrogatepass")
