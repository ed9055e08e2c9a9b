"""The kind of a file, by its first bytes. The name and the type that its sender gave it only tell HTML from other text.

Rule: pure.
"""

from __future__ import annotations

import enum
import re

HEAD_BYTES = 4_096

_IMAGES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*")
_WEBP = re.compile(rb"RIFF....WEBP", re.DOTALL)
_HTML = re.compile(rb"\s*(?:<!--.{0,500}?-->\s*)?<(?:!doctype html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_HTML_SUFFIXES = (".html", ".htm", ".xhtml")
_UNICODE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")
# Control characters that no text holds. Logs hold tabs, form feeds and escapes.
_CONTROL = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")


class FileKind(enum.Enum):
    """A kind of file that is read in its own way."""

    TEXT = "text"
    HTML = "html"
    PDF = "pdf"
    IMAGE = "image"
    OTHER = "other"


def kind_of(head: bytes, mimetype: str, name: str) -> FileKind:
    """Return the kind of a file that begins with `head`, its first HEAD_BYTES."""
    if head.lstrip().startswith(b"%PDF-") or (mimetype == "application/pdf" and b"%PDF-" in head[:1_024]):
        return FileKind.PDF
    if head.startswith(_IMAGES) and not (head.startswith(b"BM") and not mimetype.startswith("image/")):
        return FileKind.IMAGE
    if _WEBP.match(head):
        return FileKind.IMAGE
    if not head.startswith(_UNICODE_MARKS) and _CONTROL.search(head):
        return FileKind.OTHER
    is_html = mimetype in {"text/html", "application/xhtml+xml"} or name.lower().endswith(_HTML_SUFFIXES)
    return FileKind.HTML if is_html or _HTML.match(head) else FileKind.TEXT
