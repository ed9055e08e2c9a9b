"""Images, scaled down and without their metadata.

Rule: the home of the Pillow library. An image's announced size is checked before its pixels are decoded.
"""

from __future__ import annotations

import io
from typing import BinaryIO

from PIL import Image, ImageOps

from bot.domain.file_content import FileContent, FileOutcome, ScaledImage
from bot.files.limits import LONG_EDGE, MOST_IMAGE_BYTES, MOST_PIXELS

_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
_QUALITIES = (85, 60, 35)
_FAULTS = (OSError, ValueError, SyntaxError, ArithmeticError, LookupError, TypeError)


def read_image(stream: BinaryIO) -> FileContent:
    """Return the image as a JPEG with edges of at most LONG_EDGE pixels. The first frame of several is taken."""
    try:
        with Image.open(stream, formats=_FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                return FileContent(FileOutcome.TOO_LARGE)
            return FileContent(FileOutcome.IMAGE, image=_scaled(image))
    except Image.DecompressionBombError:
        return FileContent(FileOutcome.TOO_LARGE)
    except _FAULTS:
        return FileContent(FileOutcome.DAMAGED)


def _scaled(image: Image.Image) -> ScaledImage:
    image.draft("RGB", (LONG_EDGE, LONG_EDGE))  # a JPEG is decoded at a smaller scale at once
    upright = ImageOps.exif_transpose(image)
    upright.thumbnail((LONG_EDGE, LONG_EDGE))
    seen = upright.convert("RGBA")
    opaque = Image.new("RGB", seen.size, "white")
    opaque.paste(seen, mask=seen.getchannel("A"))
    return ScaledImage(_encoded(opaque), opaque.width, opaque.height)


def _encoded(image: Image.Image) -> bytes:
    """Return a JPEG of at most MOST_IMAGE_BYTES, or the smallest one. It has none of the old file's metadata."""
    for quality in _QUALITIES:
        written = io.BytesIO()
        image.save(written, "JPEG", quality=quality)
        if written.tell() <= MOST_IMAGE_BYTES:
            break
    return written.getvalue()
