"""The text of a PDF, page by page.

Rule: the home of the pypdf library. A damaged page is left out, and time that is up ends the text where it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from bot.domain.file_content import FileContent, FileOutcome
from bot.files.limits import MOST_PAGES, FileLimits, TimeUp

# The library raises these for a damaged file.
_FAULTS = (PyPdfError, ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)


def read_pdf(stream: BinaryIO, limits: FileLimits) -> FileContent:
    """Return the text of the first pages, as much as the limits allow."""
    try:
        reader = PdfReader(stream)
        if reader.is_encrypted and not _opens_without_password(reader):
            return FileContent(FileOutcome.PROTECTED)
        count = len(reader.pages)
    except _FAULTS:
        return FileContent(FileOutcome.DAMAGED)
    pages = _Pages(reader, min(count, MOST_PAGES))
    with suppress(TimeUp):
        pages.read(limits.characters)
    text = "\n\n".join(pages.texts)
    if not text:
        return FileContent(pages.outcome_without_text)
    is_whole = pages.read_count == count and not pages.faults and len(text) <= limits.characters
    return FileContent(FileOutcome.TEXT, text[: limits.characters], whole=is_whole)


class _Pages:
    """The texts of the pages so far."""

    def __init__(self, reader: PdfReader, count: int) -> None:
        self._reader = reader
        self._count = count
        self.texts: list[str] = []
        self.faults = 0
        self.read_count = 0

    def read(self, most: int) -> None:
        """Read pages until there are more than `most` characters."""
        for text in self._each():
            if text:
                self.texts.append(text)
                most -= len(text) + 2
            if most < 0:
                return

    @property
    def outcome_without_text(self) -> FileOutcome:
        """Why no page has a text."""
        if self.read_count < self._count:
            return FileOutcome.TOO_SLOW
        return FileOutcome.DAMAGED if self.faults == self.read_count and self.faults else FileOutcome.NO_TEXT

    def _each(self) -> Iterator[str]:
        for number in range(self._count):
            text = ""
            try:
                text = self._reader.pages[number].extract_text().strip()
            except _FAULTS:
                self.faults += 1
            self.read_count += 1
            yield text


def _opens_without_password(reader: PdfReader) -> bool:
    """Return whether only printing or copying is restricted, so that the empty password opens the file."""
    try:
        return bool(reader.decrypt(""))
    except _FAULTS:  # also where the library has no such cipher
        return False
