"""The bot as a process for acceptance tests: started as an operator starts it, in a clean environment."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.timeouts import GENEROUS_S

LONGEST_LINE = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The output of a process that has ended, and its exit status."""

    status: int
    lines: list[str]


class Process:
    """A running `python -m bot`. Its output is read as it comes, because a full pipe would block it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lines: list[str] = []
        self._unread: asyncio.Queue[str | None] = asyncio.Queue()  # None when the process has ended
        self._reading = asyncio.create_task(self._read())

    @staticmethod
    async def run(folder: Path, environ: Mapping[str, str], *arguments: str, typed: str = "") -> Ended:
        """Run a command to its end, with `typed` on its standard input."""
        process = await _spawn(folder, environ, arguments or ("run",))
        try:
            output, _ = await asyncio.wait_for(process.communicate(typed.encode()), GENEROUS_S)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Ended(process.returncode or 0, output.decode().splitlines())

    @staticmethod
    @asynccontextmanager
    async def running(folder: Path, environ: Mapping[str, str], *arguments: str) -> AsyncIterator[Process]:
        """Run a process inside the block. It gets a SIGTERM at the end."""
        process = Process(await _spawn(folder, environ, arguments or ("run",)))
        try:
            yield process
        finally:
            await process.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def says(self, words: str) -> str:
        """Wait for a line that contains these words."""
        async with asyncio.timeout(GENEROUS_S):
            while (line := await self._unread.get()) is not None:
                if words in line:
                    return line
        raise AssertionError(f"ended without saying {words!r}: {self._lines}")

    async def stop(self, number: int = signal.SIGTERM) -> Ended:
        """Send a signal and wait for the end."""
        self.tell(number)
        return await self.ended()

    def tell(self, number: int = signal.SIGTERM) -> None:
        """Send the process a signal."""
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def ended(self) -> Ended:
        """Wait for the process's end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(GENEROUS_S):
            await self._process.wait()
            await self._reading
        return Ended(self._process.returncode or 0, self._lines)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self._lines.append(line.decode().rstrip("\n"))
            self._unread.put_nowait(self._lines[-1])
        self._unread.put_nowait(None)


async def _spawn(folder: Path, environ: Mapping[str, str], arguments: tuple[str, ...]) -> asyncio.subprocess.Process:
    _hear_interrupts()
    # Python's own variables only, so that a developer's settings and tokens have no effect.
    inherited = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        *arguments,
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(Path(__file__).parents[2]), "PORT": "0", **environ},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=LONGEST_LINE,
    )


def _hear_interrupts() -> None:
    """Let the new process end on Ctrl+C: a shell starts background jobs, and so their children, without it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
