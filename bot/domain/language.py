"""The language of the bot's own lines: English in the code, translated for the person who reads the line.

Rule: an adapter sets the reader's language around what it says to them; a line is translated where it is shown. What
the model reads, and what is stored, stays English. The database's threads have no reader: they translate nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from bot.translations import catalogue

ENGLISH = "en"
TRANSLATED = ("de", "fr", "es", "pt", "ja")  # each has a catalogue
LANGUAGES = (ENGLISH, *TRANSLATED)


@dataclass(slots=True)
class Reader:
    """The person who reads the lines. Their language may become known while they are spoken to."""

    language: str = ENGLISH


_reader: ContextVar[Reader | None] = ContextVar("reader", default=None)


@contextmanager
def speaking(language: str) -> Iterator[Reader]:
    """Show the lines of this block in a language. Tasks that the block starts share its reader."""
    token = _reader.set(reader := Reader(language))
    try:
        yield reader
    finally:
        _reader.reset(token)


def speak(language: str) -> None:
    """Show the lines in a language from here on, in this task and in those that it starts."""
    _reader.set(Reader(language))


def current() -> str:
    """Return the reader's language."""
    reader = _reader.get()
    return reader.language if reader is not None else ENGLISH


def translated(line: str) -> str:
    """Return an English line in the reader's language."""
    language = current()
    return line if language == ENGLISH or not line else catalogue.catalogue(language).gettext(line)


def plural(one: str, many: str, count: int, **values: str) -> str:
    """Return the form of an English line for this count, in the reader's language, filled in.

    `many` names `{count}`, and both may name `values`.
    """
    language = current()
    if language == ENGLISH:
        line = one if count == 1 else many
    else:
        line = catalogue.catalogue(language).ngettext(one, many, count)
    return line.format(count=number(count), **values)


def number(count: int) -> str:
    """Return a number as the reader writes it."""
    language = current()
    return f"{count:,}" if language == ENGLISH else catalogue.number(count, language)


def percent(share: float) -> str:
    """Return a share, such as 0.12, as whole per cent, as the reader writes it."""
    language = current()
    return f"{share:.0%}" if language == ENGLISH else catalogue.percent(share, language)
