"""The program of the process that reads one file. Its arguments: the type, the name's suffix, characters, seconds.

The file is its standard input. Its standard output is a line of JSON, and then the text or the image. It limits its own
memory and time first. Whatever else ends it (a signal, an exception) tells its parent that the file is damaged.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bot.domain.file_content import FileContent, FileOutcome, ScaledImage
from bot.files.extraction import extract
from bot.files.limits import FileLimits, TimeUp

MEMORY_BYTES = 1_200_000_000  # address space: a decoded image of MOST_PIXELS takes a third of it
SPARE_S = 2  # after which the system ends a process that its own timer did not end
_NICENESS = 10  # so that answers, not files, get the processor first


def main() -> None:
    """Read the file and write its content."""
    mimetype, suffix, characters, seconds = sys.argv[1:5]
    limits = FileLimits(int(characters), float(seconds))
    _limit_resources(limits)
    with timer(limits.seconds):
        content = extract(sys.stdin.buffer, mimetype, suffix, limits)
    sys.stdout.buffer.write(packed(content))


@contextmanager
def timer(seconds: float) -> Iterator[None]:
    """Raise TimeUp in the block after so many seconds. Use it in the main thread."""
    before = signal.signal(signal.SIGALRM, _raise_time_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def packed(content: FileContent) -> bytes:
    """Return a content as bytes."""
    image = content.image
    header: dict[str, object] = {"outcome": content.outcome.value, "whole": content.whole}
    header |= {"width": image.width, "height": image.height} if image else {}
    body = image.data if image else content.text.encode("utf-8", "replace")
    return json.dumps(header).encode() + b"\n" + body


def unpacked(data: bytes) -> FileContent:
    """Return the content that was packed as these bytes. Raises ValueError for an incomplete one."""
    line, _, body = data.partition(b"\n")
    header = json.loads(line)
    outcome = FileOutcome(header["outcome"])
    if outcome is FileOutcome.IMAGE:
        return FileContent(outcome, image=ScaledImage(body, header["width"], header["height"]))
    return FileContent(outcome, body.decode(), whole=header["whole"])


def _limit_resources(limits: FileLimits) -> None:
    """Limit the memory and the processor time of this process, and the files that it might write."""
    os.nice(_NICENESS)
    processor_s = int(limits.seconds) + SPARE_S
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, processor_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError, OSError):  # some systems have no such limit
            resource.setrlimit(kind, (most, most))


def _raise_time_up(*_: object) -> None:
    raise TimeUp


if __name__ == "__main__":
    main()
