"""The limits of one file's content."""

from __future__ import annotations

from dataclasses import dataclass

MOST_PAGES = 300  # of a PDF
MOST_PIXELS = 50_000_000  # of an image before it is scaled: four bytes each while it is decoded
MOST_HTML_BYTES = 4_000_000
MOST_IMAGE_BYTES = 400_000  # of an image as it is kept, and sent with each request that shows it
LONG_EDGE = 1_568  # pixels: larger images cost more tokens and show the models no more


class TimeUp(BaseException):
    """The time for one file is over. No library may catch it, so it is no Exception."""


@dataclass(frozen=True, slots=True)
class FileLimits:
    """How much of a file is read."""

    characters: int = 50_000
    seconds: float = 10.0  # for its content, without the download
