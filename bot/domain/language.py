"""The language of the bot's own lines: English in the code, translated for the person who reads the line.

Rule: an adapter sets the reader's language around what it says to them; a line is translated where it is shown. What
the model reads, and what is stored, stays English.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

ENGLISH = "en"

_current: ContextVar[str] = ContextVar("language", default=ENGLISH)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Show the lines of this block in a language; its tasks inherit it."""
    token = _current.set(language)
    try:
        yield
    finally:
        _current.reset(token)


def translated(line: str) -> str:
    """Return an English line in the reader's language."""
    return line


def plural(one: str, many: str, count: int) -> str:
    """Return the form of an English line for this count, in the reader's language. `many` names `{count}`."""
    return (one if count == 1 else many).format(count=count)
