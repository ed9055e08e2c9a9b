"""The content of one file: its kind, and the reader for that kind."""

from __future__ import annotations

from typing import BinaryIO

from bot.domain.file_content import FileContent, FileOutcome
from bot.files.file_kinds import HEAD_BYTES, FileKind, kind_of
from bot.files.limits import MOST_HTML_BYTES, FileLimits, TimeUp


def extract(stream: BinaryIO, mimetype: str, name: str, limits: FileLimits) -> FileContent:
    """Return the content of the file. `mimetype` and `name` are its sender's, and may be wrong."""
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    try:
        return _read(stream, kind_of(head, mimetype, name), limits)
    except MemoryError:
        return FileContent(FileOutcome.TOO_LARGE)
    except TimeUp:
        return FileContent(FileOutcome.TOO_SLOW)


def _read(stream: BinaryIO, kind: FileKind, limits: FileLimits) -> FileContent:
    # Each reader is imported where it is used: a process reads one file, and the libraries take a while to load.
    match kind:
        case FileKind.OTHER:
            return FileContent(FileOutcome.OTHER_KIND)
        case FileKind.IMAGE:
            from bot.files.images import read_image  # noqa: PLC0415

            return read_image(stream)
        case FileKind.PDF:
            from bot.files.pdf_text import read_pdf  # noqa: PLC0415

            return read_pdf(stream, limits)
        case FileKind.HTML:
            return _read_html(stream, limits)
        case FileKind.TEXT:
            return _read_text(stream, limits)


def _read_text(stream: BinaryIO, limits: FileLimits) -> FileContent:
    from bot.files.plain_text import MOST_BYTES_OF_CHARACTER, decoded  # noqa: PLC0415

    text = decoded(stream.read(MOST_BYTES_OF_CHARACTER * (limits.characters + 1)))
    return _as_content(text, limits, whole=not stream.read(1))


def _read_html(stream: BinaryIO, limits: FileLimits) -> FileContent:
    from bot.files.html_text import text_of  # noqa: PLC0415
    from bot.files.plain_text import decoded  # noqa: PLC0415

    html = decoded(stream.read(MOST_HTML_BYTES))
    text = None if html is None else text_of(html, limits.characters)
    return _as_content(text, limits, whole=not stream.read(1))


def _as_content(text: str | None, limits: FileLimits, *, whole: bool) -> FileContent:
    if text is None:
        return FileContent(FileOutcome.OTHER_KIND)
    if not text.strip():
        return FileContent(FileOutcome.NO_TEXT)
    is_whole = whole and len(text) <= limits.characters
    return FileContent(FileOutcome.TEXT, text[: limits.characters], whole=is_whole)
