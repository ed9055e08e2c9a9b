"""Reads files, each in a short-lived process of its own.

Rule: a file costs a slot, a process and a few seconds at most, whatever it contains. Cancelling ends the process.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import PurePosixPath
from typing import BinaryIO

from bot.domain.file_content import FileContent, FileOutcome
from bot.files.child_process import SPARE_S, unpacked
from bot.files.limits import FileLimits

AT_ONCE = 2  # processes
_START_S = 5.0  # a loaded machine starts a process slowly
_PROGRAM = ("-S", "-P", "-m", "bot.files.child_process")  # -S: the paths of this process are all that it needs


class Extractor:
    """Reads the content of files. Create it in the running loop."""

    def __init__(self, limits: FileLimits) -> None:
        self._limits = limits
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def read(self, file: BinaryIO, mimetype: str, name: str) -> FileContent:
        """Return the content of an open file, which is read from its beginning."""
        file.seek(0)
        async with self._slots:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *_PROGRAM,
                *_arguments(mimetype, name, self._limits),
                stdin=file,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},  # nothing else: no key and no token
            )
            try:
                async with asyncio.timeout(self._limits.seconds + SPARE_S + _START_S):
                    written, _ = await process.communicate()
            except TimeoutError:
                return FileContent(FileOutcome.TOO_SLOW)
            finally:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        return _content(written, process.returncode)


def _arguments(mimetype: str, name: str, limits: FileLimits) -> tuple[str, ...]:
    """Return the arguments. Other people on the machine can read them, so that they hold no more than the suffix."""
    suffix = PurePosixPath(name.replace("\0", "")).suffix[:20]
    return mimetype.replace("\0", "")[:100], suffix, str(limits.characters), str(limits.seconds)


def _content(written: bytes, exit_status: int | None) -> FileContent:
    if exit_status == 0:
        with suppress(ValueError, KeyError):
            return unpacked(written)
    return FileContent(FileOutcome.DAMAGED)
