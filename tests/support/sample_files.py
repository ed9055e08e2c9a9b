"""Small files of each kind, harmless and hostile."""

from __future__ import annotations

import io
import random
import zlib

from PIL import Image

LINE = "The gate code is 4711 and nobody else knows it."


def png(width: int = 40, height: int = 30) -> bytes:
    """Return an image of one colour."""
    written = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(written, "PNG")
    return written.getvalue()


def noise(edge: int = 64) -> bytes:
    """Return an image without any two equal bytes beside each other, so that its bytes can be recognised."""
    written = io.BytesIO()
    Image.frombytes("RGB", (edge, edge), random.Random(7).randbytes(edge * edge * 3)).save(written, "PNG")  # noqa: S311 - a test repeats itself
    return written.getvalue()


def photo(width: int = 40, height: int = 30) -> bytes:
    """Return a JPEG with EXIF data that tells where it was taken."""
    written, exif = io.BytesIO(), Image.Exif()
    exif[0x010E] = "taken at home"
    exif[0x0112] = 6  # to be turned by a quarter
    Image.new("RGB", (width, height), (30, 200, 30)).save(written, "JPEG", exif=exif)
    return written.getvalue()


def bomb() -> bytes:
    """Return a PNG of a few kilobytes that announces a billion pixels."""
    small = png(1, 1)
    size = (50_000).to_bytes(4, "big") + (20_000).to_bytes(4, "big")
    header = b"IHDR" + size + small[24:29]
    return small[:12] + header + zlib.crc32(header).to_bytes(4, "big") + small[33:]


def pdf(*pages: str, count: int = 0) -> bytes:
    """Return a PDF with these pages, the last one repeated until there are `count`."""
    texts = [*pages, *[pages[-1]] * (count - len(pages))]
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(texts)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(texts)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(texts):
        stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
        contents = f"/Contents {5 + 2 * number} 0 R"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> {contents} >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    return _document(objects)


def _document(objects: list[str]) -> bytes:
    written, offsets = "%PDF-1.4\n", []
    parts = [written]
    length = len(written)
    for number, body in enumerate(objects, 1):
        offsets.append(length)
        part = f"{number} 0 obj\n{body}\nendobj\n"
        parts.append(part)
        length += len(part)
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    trailer = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{length}\n%%EOF\n"
    parts += [f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}", trailer]
    return "".join(parts).encode("latin-1")


def encrypted_pdf(text: str, password: str) -> bytes:
    """Return a PDF that a password protects; an empty one only restricts printing."""
    from pypdf import PdfReader, PdfWriter  # noqa: PLC0415 - slow, and few tests need it

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf(text))))
    writer.encrypt(password, owner_password="owner", algorithm="RC4-128")
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def endless_pdf() -> bytes:
    """Return a PDF of 60 kilobytes with a page of nine million operators, which take a minute to read."""
    packed = zlib.compress(b"BT ( ) Tj ET\n" * 3_000_000, 9).decode("latin-1")
    return _document(
        [
            "<< /Type /Catalog /Pages 2 0 R >>",
            "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Resources << /Font << >> >> /Contents 4 0 R >>",
            f"<< /Filter /FlateDecode /Length {len(packed)} >>\nstream\n{packed}\nendstream",
        ]
    )
