"""Splitting of a long Markdown text into messages that fit Slack's limit.

Rule: pure. A split loses no text. Apart from the code fence marks and the table head that a split inserts, the pieces
joined are the text.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import takewhile

# https://docs.slack.dev/reference/methods/chat.postMessage: markdown_text takes 12,000 characters, and so do
# chat.update, chat.startStream, chat.appendStream and chat.stopStream. The margin is for the rest of the payload.
MESSAGE_CHARACTERS = 11_000

_MAX_MARK = 10  # backticks or tildes; a longer run is read as text
_CLOSING_CHARACTERS = _MAX_MARK + 1
_FENCE = re.compile(rf"[ \t]*(?P<mark>`{{3,{_MAX_MARK}}}|~{{3,{_MAX_MARK}}})(?P<info>[^`~\n]*)")
_BOUNDARIES = (re.compile(r"\n[ \t]*\n+"), re.compile(r"\n"), re.compile(r"[ \t]+"))  # the best first
_MAX_INFO = 40
_TABLE_DELIMITER = re.compile(r"(?=[^|]*\|)(?=[^-]*-)[|: \t-]+")  # the second line of a table: |---|:--|
_SKIN_TONES = "🏻🏼🏽🏾🏿"
_ZERO_WIDTH_JOINER = "\u200d"


def stable_length(limit: int = MESSAGE_CHARACTERS) -> int:
    """Return how many characters at the start of a growing text will stay in its first piece."""
    return limit - limit // 5


def split_once(text: str, limit: int = MESSAGE_CHARACTERS) -> tuple[str, str]:
    """Split the longest good piece off the start of a text that exceeds `limit`. Return the piece and the rest.

    The piece ends after a paragraph, else after a line, else after a word, else between two displayed characters
    (except flags, which are pairs of letters). It has at least `stable_length(limit)` characters. A split code fence is
    closed in the piece, and opened again with its language in the rest. A table that is split between two rows has its
    head in the rest as well.
    """
    end = _end(text, limit - _CLOSING_CHARACTERS, stable_length(limit))
    piece, rest = text[:end], text[end:]
    if (fence := _open_fence(piece)) is None:
        return piece, _table_head(piece, rest, limit // 4) + rest
    mark, info = fence
    line_end = "" if piece.endswith("\n") else "\n"
    return f"{piece}{line_end}{mark}", f"{mark}{info}\n{rest}"


def _end(text: str, longest: int, shortest: int) -> int:
    for boundary in _BOUNDARIES:
        ends = [match.end() for match in boundary.finditer(text, shortest, longest)]
        if ends:
            return ends[-1]
    before_mark = len(text[:longest].rstrip("`~"))
    if shortest < before_mark < longest:
        return before_mark
    return next((end for end in range(longest, shortest, -1) if not _are_joined(text[end - 1], text[end])), longest)


def _are_joined(before: str, after: str) -> bool:
    """Return whether both are displayed as one, such as an emoji and its skin tone, or a letter and its accent."""
    is_mark = unicodedata.category(after) in ("Mn", "Me") or after in _SKIN_TONES
    return is_mark or _ZERO_WIDTH_JOINER in (before, after)


def _table_head(piece: str, rest: str, max_length: int) -> str:
    """Return the two head lines of the table that continues in the rest; empty if there is none, or a longer one."""
    if not piece.endswith("\n") or "|" not in rest.partition("\n")[0]:
        return ""
    rows = list(takewhile(lambda row: "|" in row, reversed(piece[:-1].split("\n"))))
    head = "".join(f"{row}\n" for row in reversed(rows[-2:]))
    return head if len(rows) > 1 and _TABLE_DELIMITER.fullmatch(rows[-2]) and len(head) <= max_length else ""


def _open_fence(text: str) -> tuple[str, str] | None:
    """Return the mark and the language of the code fence that is open at the end of the text."""
    mark, info = "", ""
    for line in text.split("\n"):
        fence = _FENCE.fullmatch(line)
        if fence is None:
            continue
        if not mark:
            mark, info = fence["mark"], fence["info"].strip()[:_MAX_INFO]
        elif fence["mark"].startswith(mark) and not fence["info"].strip():
            mark = ""
    return (mark, info) if mark else None
