"""Slack's limits, and where to cut a text that exceeds one.

Rule: pure. Nothing is lost by a cut: the piece and the rest, without the fence marks or the table's head put in
between, are the text.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import takewhile

# https://docs.slack.dev/reference/methods/chat.postMessage: markdown_text takes 12,000 characters, and so do
# chat.update, chat.startStream, chat.appendStream and chat.stopStream. What fits in the whole payload is a little less.
MESSAGE_CHARACTERS = 11_000

# https://docs.slack.dev/reference/block-kit/blocks: a message has at most 50 blocks; nobody reads as many
LISTED_SESSIONS = 20

_LONGEST_MARK = 10  # backticks or tildes; a longer run is taken for text
_CLOSING_CHARACTERS = _LONGEST_MARK + 1
_FENCE = re.compile(rf"[ \t]*(?P<mark>`{{3,{_LONGEST_MARK}}}|~{{3,{_LONGEST_MARK}}})(?P<info>[^`~\n]*)")
_BOUNDARIES = (re.compile(r"\n[ \t]*\n+"), re.compile(r"\n"), re.compile(r"[ \t]+"))  # the best first
_LONGEST_INFO = 40
_UNDER_HEAD = re.compile(r"(?=[^|]*\|)(?=[^-]*-)[|: \t-]+")  # the second line of a table: |---|:--|
_SKIN_TONES = "🏻🏼🏽🏾🏿"
_ZERO_WIDTH_JOINER = "\u200d"


def split(text: str, limit: int = MESSAGE_CHARACTERS) -> list[str]:
    """The text in pieces of at most `limit` characters (200 or more), each a message of its own."""
    pieces = []
    while len(text) > limit:
        piece, text = cut(text, limit)
        pieces.append(piece)
    return [*pieces, text]


def uncut(limit: int = MESSAGE_CHARACTERS) -> int:
    """How many characters of a growing message are in it for certain, wherever it will be cut."""
    return limit - limit // 5


def cut(text: str, limit: int = MESSAGE_CHARACTERS) -> tuple[str, str]:
    """The longest good beginning of a text that exceeds `limit`, and the rest.

    It ends at a paragraph, else at a line, else at a word, else between what is seen as two characters (flags, which
    are pairs of letters, aside), and is no shorter than `uncut(limit)`. A code fence that is cut is closed, and opened
    again, with its language, where the rest begins; a table that is cut between two rows has its head again there.
    """
    end = _end(text, limit - _CLOSING_CHARACTERS, uncut(limit))
    piece, rest = text[:end], text[end:]
    if (fence := _open_fence(piece)) is None:
        return piece, _table_head(piece, rest, limit // 4) + rest
    mark, info = fence
    line_end = "" if piece.endswith("\n") else "\n"
    return f"{piece}{line_end}{mark}", f"{mark}{info}\n{rest}"


def _end(text: str, most: int, least: int) -> int:
    for boundary in _BOUNDARIES:
        ends = [found.end() for found in boundary.finditer(text, least, most)]
        if ends:
            return ends[-1]
    inside_mark = len(text[:most].rstrip("`~"))
    if least < inside_mark < most:
        return inside_mark
    return next((end for end in range(most, least, -1) if not _are_one(text[end - 1], text[end])), most)


def _are_one(before: str, after: str) -> bool:
    """Whether these are seen as one character: an emoji and its skin tone, a letter and its accent, joined emoji."""
    is_mark = unicodedata.category(after) in ("Mn", "Me") or after in _SKIN_TONES
    return is_mark or _ZERO_WIDTH_JOINER in (before, after)


def _table_head(piece: str, rest: str, most: int) -> str:
    """The two lines at the head of the table that goes on in the rest; nothing when they are longer than `most`."""
    if not piece.endswith("\n") or "|" not in rest.partition("\n")[0]:
        return ""
    rows = list(takewhile(lambda line: "|" in line, reversed(piece[:-1].split("\n"))))
    head = "".join(f"{line}\n" for line in reversed(rows[-2:]))
    return head if len(rows) > 1 and _UNDER_HEAD.fullmatch(rows[-2]) and len(head) <= most else ""


def _open_fence(text: str) -> tuple[str, str] | None:
    """The mark and the language of the code fence that is open at the end of the text."""
    mark, info = "", ""
    for line in text.split("\n"):
        fence = _FENCE.fullmatch(line)
        if fence is None:
            continue
        if not mark:
            mark, info = fence["mark"], fence["info"].strip()[:_LONGEST_INFO]
        elif fence["mark"].startswith(mark) and not fence["info"].strip():
            mark = ""
    return (mark, info) if mark else None
