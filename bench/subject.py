"""A bot under measurement: a process of its own, with nothing of this machine's settings."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.surroundings import PATIENCE_S, Surroundings

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Subject:
    """A bot: its name, how it is started, and the environment that only it has."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)


LEAN = Subject("lean bot", ("-m", "bench.lean_bot"))
OURS = Subject("attendant", ("-m", "bot", "run"))


def on_postgres(url: str) -> Subject:
    """Ours on PostgreSQL instead of SQLite."""
    return Subject("on PostgreSQL", OURS.command, {"DATABASE_URL": url})


@asynccontextmanager
async def running(subject: Subject, around: Surroundings) -> AsyncIterator[psutil.Process]:
    """The bot, connected to the workspace and to the model, in an empty folder. Ends the bench when it ends itself."""
    with tempfile.TemporaryDirectory(prefix="attendant-bench-") as folder, (Path(folder) / "log").open("w+") as log:
        environ = {**_environ(around), **subject.environ}
        process = subprocess.Popen(  # noqa: ASYNC220 - it is left to run
            (sys.executable, *subject.command), cwd=folder, env=environ, stdout=log, stderr=log
        )
        try:
            await _until_connected(process, around)
            yield psutil.Process(process.pid)
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read())
            raise
        finally:
            process.kill()
            process.wait()


async def _until_connected(process: subprocess.Popen[bytes], around: Surroundings) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not around.workspace.connected:
            if process.poll() is not None:
                raise SystemExit(f"{process.args!r} ended with status {process.returncode}")
            await asyncio.sleep(0.05)


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
