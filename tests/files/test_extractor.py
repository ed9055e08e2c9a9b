"""The extractor: each kind of file, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.file_content import FileContent, FileOutcome
from bot.files.child_process import packed, timer, unpacked
from bot.files.extraction import extract
from bot.files.extractor import Extractor
from bot.files.limits import LONG_EDGE, MOST_IMAGE_BYTES, FileLimits
from tests.support import sample_files
from tests.support.sample_files import LINE
from tests.support.timeouts import GENEROUS_S

ZIP = b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + bytes(200)
PAGE = f"<html><head><title>x</title><style>p {{}}</style></head><body><h1>Gate</h1><p>{LINE}<script>no()</script>"
TEXTS = {
    "utf-8": (f"{LINE} Grüße".encode(), "notes.txt", f"{LINE} Grüße"),
    "markdown": (f"# Gate\n\n{LINE}".encode(), "notes.md", f"# Gate\n\n{LINE}"),
    "csv": (b"gate;code\r\nnorth;4711\r\n", "codes.csv", "gate;code\nnorth;4711\n"),
    "json": (b'{"gate": "4711"}', "codes.json", '{"gate": "4711"}'),
    "log": (b"\x1b[31mERROR\x1b[0m gate 4711\n", "gate.log", "ERROR gate 4711\n"),
    "code": (b"def gate():\n\treturn 4711\n", "gate.py", "def gate():\n\treturn 4711\n"),
    "a byte order mark": (b"\xef\xbb\xbf" + LINE.encode(), "notes.txt", LINE),
    "utf-16": (b"\xff\xfe" + LINE.encode("utf-16-le"), "notes.txt", LINE),
    "windows": (
        "Schöne Grüße aus Köln, die Tür war zu.".encode("cp1252"),
        "notes.txt",
        "Schöne Grüße aus Köln, die Tür war zu.",
    ),
    "html": (PAGE.encode(), "gate.html", f"Gate\n{LINE}"),
    "html without a name": (f"<!DOCTYPE html>{PAGE}".encode(), "gate", f"Gate\n{LINE}"),
    "pdf": (sample_files.pdf(LINE, "Page two."), "gate.pdf", f"{LINE}\n\nPage two."),
    "a pdf that must not be printed": (sample_files.encrypted_pdf(LINE, ""), "gate.pdf", LINE),
}
UNREAD = {
    "an archive": (ZIP, "a.xlsx", FileOutcome.OTHER_KIND),
    "no bytes": (b"", "a.txt", FileOutcome.NO_TEXT),
    "blank": (b" \n\n ", "a.txt", FileOutcome.NO_TEXT),
    "a locked pdf": (sample_files.encrypted_pdf(LINE, "secret"), "a.pdf", FileOutcome.PROTECTED),
    "a scan": (sample_files.pdf(""), "a.pdf", FileOutcome.NO_TEXT),
    "half a pdf": (sample_files.pdf(LINE)[:60], "a.pdf", FileOutcome.DAMAGED),
    "an endless pdf": (sample_files.endless_pdf(), "a.pdf", FileOutcome.TOO_SLOW),
    "a decompression bomb": (sample_files.bomb(), "a.png", FileOutcome.TOO_LARGE),
    "half an image": (sample_files.png()[:50], "a.png", FileOutcome.DAMAGED),
    "a video": (b"\x00\x00\x00\x18ftypmp42" + bytes(100), "a.mp4", FileOutcome.OTHER_KIND),
}

WHOLE = [sample_files.pdf(LINE), sample_files.png(), sample_files.photo(), PAGE.encode(), LINE.encode()]
HEADS = [
    *(b"%PDF-1.4\n", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM"),
    *(b"<html>", b"\xff\xfe", b"PK\x03\x04"),
]


def mutilated(data: bytes, position: int, other: bytes) -> bytes:
    """Return the bytes with some replaced by others."""
    position %= len(data)
    return data[:position] + other + data[position + len(other) :]


async def extracted(data: bytes, name: str, mimetype: str = "", limits: FileLimits | None = None) -> FileContent:
    """Return the content of a file with these bytes."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return await Extractor(limits or FileLimits(seconds=GENEROUS_S)).read(file, mimetype, name)


@pytest.mark.parametrize("kind", TEXTS)
async def test_text_is_read(kind: str) -> None:
    """The text of a file of each kind is read, in any encoding."""
    data, name, text = TEXTS[kind]

    assert await extracted(data, name) == FileContent(FileOutcome.TEXT, text)


@pytest.mark.parametrize("kind", UNREAD)
async def test_the_reason_is_known(kind: str) -> None:
    """A file that cannot be read has an outcome that says why, within seconds, whatever it contains."""
    data, name, outcome = UNREAD[kind]

    limits = FileLimits(seconds=3 if outcome is FileOutcome.TOO_SLOW else GENEROUS_S)
    mimetype = "application/pdf" if name.endswith("pdf") else ""
    assert await extracted(data, name, mimetype, limits) == FileContent(outcome)


async def test_a_long_text_is_read_up_to_its_limit() -> None:
    """Of a text with more characters than the limit, the beginning is read, and the content says so."""
    content = await extracted("ä".encode() * 5_000, "a.txt", limits=FileLimits(characters=1_000, seconds=GENEROUS_S))

    assert content == FileContent(FileOutcome.TEXT, "ä" * 1_000, whole=False)


async def test_a_pdf_of_ten_thousand_pages_is_read_in_part() -> None:
    """Of a PDF with ten thousand pages, the first ones are read."""
    content = await extracted(
        sample_files.pdf(LINE, count=10_000), "a.pdf", limits=FileLimits(characters=1_000, seconds=GENEROUS_S)
    )

    assert (content.outcome, content.text[: len(LINE)], content.whole) == (FileOutcome.TEXT, LINE, False)


@pytest.mark.parametrize(("width", "height", "shown"), [(40, 30, (40, 30)), (4_000, 1_000, (LONG_EDGE, 392))])
async def test_an_image_is_scaled_down(width: int, height: int, shown: tuple[int, int]) -> None:
    """An image becomes a JPEG whose long edge is bounded."""
    content = await extracted(sample_files.png(width, height), "a.png")

    assert content.image is not None
    assert (content.image.width, content.image.height) == shown
    assert content.image.data.startswith(b"\xff\xd8\xff")


async def test_an_image_takes_few_bytes() -> None:
    """An image with much detail is compressed more, because each request that shows it carries its bytes."""
    content = await extracted(sample_files.noise(LONG_EDGE), "a.png", limits=FileLimits(seconds=60))

    assert content.image is not None
    assert len(content.image.data) < 2 * MOST_IMAGE_BYTES


async def test_an_image_has_no_metadata() -> None:
    """The EXIF data of a photo is dropped, after the photo was turned as it says."""
    content = await extracted(sample_files.photo(), "a.jpg")

    assert content.image is not None
    assert (content.image.width, content.image.height) == (30, 40)
    assert b"taken at home" not in content.image.data
    assert b"Exif" not in content.image.data


async def test_the_process_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that parses a file gets no variable of the bot's environment but the paths of its modules."""
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-secret")
    reading = await begun(Extractor(FileLimits(seconds=60)))
    [child] = children()
    environment = Path(f"/proc/{child}/environ").read_bytes()  # noqa: ASYNC240 - no file of a disk
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)

    assert environment.startswith(b"PYTHONPATH=")
    assert b"xoxb-secret" not in environment


async def test_a_cancelled_reader_ends_its_process() -> None:
    """When the turn is interrupted, the process that parses its file is killed."""
    reading = await begun(Extractor(FileLimits(seconds=60)))
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)

    assert children() == set()


@settings(deadline=None)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of a library, about damaged metadata
@given(
    st.binary(max_size=300)
    | st.builds(lambda head, tail: head + tail, st.sampled_from(HEADS), st.binary(max_size=300))
    | st.builds(mutilated, st.sampled_from(WHOLE), st.integers(0, 2_000), st.binary(max_size=8)),
    st.sampled_from(["a.txt", "a.html", "a.pdf", "a.png", ""]),
)
def test_no_bytes_break_a_reader(data: bytes, name: str) -> None:
    """For any bytes, a reader returns a content: it raises nothing, and its text is storable and bounded."""
    limits = FileLimits(characters=200)
    with timer(2):
        content = extract(io.BytesIO(data), "application/pdf" if name.endswith("pdf") else "", name, limits)

    assert unpacked(packed(content)) == content
    assert len(content.text) <= limits.characters
    assert bool(content.text) == (content.outcome is FileOutcome.TEXT)


async def begun(extractor: Extractor) -> asyncio.Task[FileContent]:
    """Return a running reader of an endless file, when its process has started."""

    async def read() -> FileContent:
        with tempfile.TemporaryFile() as file:
            file.write(sample_files.endless_pdf())
            file.flush()
            return await extractor.read(file, "application/pdf", "a.pdf")

    reading = asyncio.create_task(read())
    while not children():  # noqa: ASYNC110 - the start of a process is no event of the loop
        await asyncio.sleep(0)
    return reading


def children() -> set[int]:
    """Return the ids of this process's children that parse files."""
    found = set()
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            with contextlib.suppress(OSError):
                if b"child_process" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.add(int(child))
    return found
