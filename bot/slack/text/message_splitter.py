"""Splitting of a long Markdown text into messages that fit Slack's limits.

Rule: pure. A split loses no text. Apart from the code fence marks and the table head that a split inserts, the pieces
joined are the text. Limits are in bytes of UTF-8: a text never has more characters than bytes.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import takewhile

# Slack's reference allows 12,000 characters (https://docs.slack.dev/reference/block-kit/blocks/markdown-block).
# Measured against Slack, a streamed message holds 10,600 to 11,300 bytes, and Slack cuts the rest in silence.
MESSAGE_BYTES = 9_000

_MAX_MARK = 10  # backticks or tildes; a longer run is read as text
_CLOSING_BYTES = _MAX_MARK + 1
_MAX_BYTES_OF_CHARACTER = 4
_CONTINUATION_BYTES = range(0x80, 0xC0)  # of a character of UTF-8, after its first byte
_FENCE = re.compile(rf"[ \t]*(?P<mark>`{{3,{_MAX_MARK}}}|~{{3,{_MAX_MARK}}})(?P<info>[^`~\n]*)")
_BOUNDARIES = (re.compile(r"\n[ \t]*\n+"), re.compile(r"\n"), re.compile(r"[ \t]+"))  # the best first
_MAX_INFO = 40
_LONG_WORD = 200  # characters; a longer run without a space may be divided
_TABLE_DELIMITER = re.compile(r"(?=[^|]*\|)(?=[^-]*-)[|: \t-]+")  # the second line of a table: |---|:--|
_SKIN_TONES = "🏻🏼🏽🏾🏿"
_ZERO_WIDTH_JOINER = "\u200d"


def fits(text: str, limit: int = MESSAGE_BYTES) -> bool:
    """Return whether the text needs no split."""
    return len(text) * _MAX_BYTES_OF_CHARACTER <= limit or (len(text) <= limit and len(_utf8(text)) <= limit)


def stable_length(limit: int = MESSAGE_BYTES) -> int:
    """Return how many bytes at the start of a growing text will stay in its first piece."""
    return limit - limit // 5


def stable_start(text: str, limit: int = MESSAGE_BYTES) -> str:
    """Return the start of a growing text that will stay in its first piece, up to the end of a word if one is near."""
    end = _characters(text, stable_length(limit))
    if end == len(text):
        return text
    after_word = max(text.rfind(" ", 0, end), text.rfind("\n", 0, end)) + 1
    return text[: after_word if end - after_word < _LONG_WORD else end]


def split_once(text: str, limit: int = MESSAGE_BYTES) -> tuple[str, str]:
    """Split the longest good piece off the start of a text that exceeds `limit`. Return the piece and the rest.

    The piece ends after a paragraph, else after a line, else after a word, else between two displayed characters
    (except flags, which are pairs of letters). It has at least `stable_length(limit)` bytes. A split code fence is
    closed in the piece, and opened again with its language in the rest. A table that is split between two rows has its
    head in the rest as well.
    """
    longest = _characters(text, limit - _CLOSING_BYTES)
    return _split_at(text, _end(text, longest, _characters(text, stable_length(limit))), limit)


def rest_after(text: str, end: int, limit: int = MESSAGE_BYTES) -> str:
    """Return the text after its first `end` characters, which stand in a message that can take no more."""
    return _split_at(text, end, limit)[1]


def divides(text: str, at: int) -> bool:
    """Return whether a split before the character at `at` would divide a word, a row of a table or a fence's line."""
    if not 0 < at < len(text):
        return False
    if not text[at - 1].isspace() and not text[at].isspace():
        return True
    line = text[:at].rpartition("\n")[2] + text[at:].partition("\n")[0]
    return text[at - 1] != "\n" and ("|" in line or _FENCE.fullmatch(line) is not None)


def _split_at(text: str, end: int, limit: int) -> tuple[str, str]:
    piece, rest = text[:end], text[end:]
    if (fence := _open_fence(piece)) is None:
        return piece, _table_head(piece, rest, limit // 4) + rest
    mark, info = fence
    line_end = "" if piece.endswith("\n") else "\n"
    return f"{piece}{line_end}{mark}", f"{mark}{info}\n{rest}"


def _characters(text: str, limit: int) -> int:
    """Return how many characters at the start of the text have at most `limit` bytes."""
    start = _utf8(text[:limit])
    end = min(limit, len(start))
    while 0 < end < len(start) and start[end] in _CONTINUATION_BYTES:
        end -= 1
    return len(start[:end].decode(errors="surrogatepass"))


def _utf8(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


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


def _table_head(piece: str, rest: str, max_bytes: int) -> str:
    """Return the two head lines of the table that continues in the rest; empty if there is none, or a longer one."""
    if not piece.endswith("\n") or "|" not in rest.partition("\n")[0]:
        return ""
    rows = list(takewhile(lambda row: "|" in row, reversed(piece[:-1].split("\n"))))
    head = "".join(f"{row}\n" for row in reversed(rows[-2:]))
    is_head = len(rows) > 1 and _TABLE_DELIMITER.fullmatch(rows[-2]) is not None
    return head if is_head and len(_utf8(head)) <= max_bytes else ""


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
