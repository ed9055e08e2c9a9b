"""Text files of any encoding: Markdown, CSV, JSON, logs, code.

Rule: pure, with the home of the charset-normalizer library.
"""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

MOST_BYTES_OF_CHARACTER = 4
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_SAMPLE = 50_000  # bytes: guessing an encoding takes a while
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")  # of terminals: the colours of logs
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff]")


def decoded(data: bytes) -> str | None:
    """Return the text of these bytes, whose last character may be cut; None when they are no text."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _cleaned(_as(data[len(mark) :], encoding, "replace"))
    try:
        return _cleaned(_as(data, "utf-8", "strict"))
    except UnicodeDecodeError:
        guess = from_bytes(data[:_SAMPLE]).best()
        return _cleaned(_as(data, guess.encoding, "replace")) if guess is not None else None


def _as(data: bytes, encoding: str, errors: str) -> str:
    return codecs.getincrementaldecoder(encoding)(errors).decode(data)  # leaves an unfinished last character out


def _cleaned(text: str) -> str:
    """Return the text with plain line breaks, and without characters that nobody sees."""
    return _UNSEEN.sub("", _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n"))
