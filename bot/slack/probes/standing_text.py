"""The text that stands in a message, as conversations.replies returns it, compared with the text that was sent.

Rule: pure, and never raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
from typing import Any

from bot.slack.text import read_back

TABLE = "| probe | table |\n|---|---|\n| one | two |\n"

_NUMBER = re.compile(r"(\d{4})\b")
_TABLES = frozenset({"table", "data_table"})


def numbered(word: str, size: int) -> str:
    """Return numbered words of almost `size` bytes of UTF-8, so that the place of a cut can be read."""
    count = size // len(f"{word}0000 ".encode())
    return " ".join(f"{word}{number:04}" for number in range(count))


def standing_bytes(message: dict[str, Any] | None, sent: str) -> int:
    """Return how many bytes at the start of numbered words stand in the message. It may be off by one word."""
    return max((_beginning(held, sent) for held in _texts(message)), default=0)


def shows(message: dict[str, Any] | None, sent: str) -> bool:
    """Return whether the message stands and shows all of this text."""
    return message is not None and read_back.holds(message, sent)


def table_form(message: dict[str, Any] | None) -> str | None:
    """Return whether a message's table is `rendered` or shown as `raw` pipes; None if that cannot be told."""
    blocks = [block for block in (message or {}).get("blocks") or [] if isinstance(block, dict)]
    kinds = {block.get("type") for block in blocks}
    if kinds & _TABLES or "markdown" in kinds:  # Slack shows the tables of a markdown block
        return "rendered"
    return "raw" if any("|" in text for text in _texts(message)) else None


def attached_parts(message: dict[str, Any]) -> list[list[str]]:
    """Return for each message that this one passes on the names of the fields in which its content stands."""
    listed = message.get("attachments")
    shares = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    names = ("text", "message_blocks", "blocks", "files", "author_id", "from_url", "fallback")
    return [[name for name in names if each.get(name)] for each in shares if _is_passed_on(each)]


def _is_passed_on(attachment: dict[str, Any]) -> bool:
    return attachment.get("is_share") is True or attachment.get("is_msg_unfurl") is True


def _beginning(held: str, sent: str) -> int:
    equal = takewhile(lambda pair: pair[0] == pair[1], zip(held, sent, strict=False))
    exact = len("".join(character for character, _ in equal).encode())
    numbers = _NUMBER.findall(held)
    count = next((at for at, number in enumerate(numbers) if int(number) != at), len(numbers))
    words = len(" ".join(sent.split(" ")[:count]).encode())  # also where Slack writes something before them
    return max(exact, words)


def _texts(message: dict[str, Any] | None) -> Iterator[str]:
    for part in ("text", "blocks"):
        yield " ".join(_strings((message or {}).get(part)))


def _strings(part: Any) -> Iterator[str]:
    """Yield the texts of a message's part, in their order."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, list):
        for each in part:
            yield from _strings(each)
    elif isinstance(part, dict):
        for name, value in part.items():
            if name in ("text", "elements", "rows", "fields"):
                yield from _strings(value)
