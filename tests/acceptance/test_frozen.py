"""A process is frozen for longer than its leases. Another one gives its answers. It then posts nothing."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from bot.testing import PausedStep
from bot.turns.leases import LEASE
from tests.support.openai_server import Reply, Request, says
from tests.support.replicas import replicas

QUESTIONS = 10


@pytest.mark.parametrize("streaming", ["auto", "off"])
async def test_a_frozen_process_writes_nothing_after_a_takeover(
    database_url: str, tmp_path: Path, streaming: str
) -> None:
    """A process stops during ten answers and continues after the takeover. Each answer is posted once."""
    hold, frozen = PausedStep(), False

    def answer(_: Request) -> Reply:
        return says("B answers.") if frozen else says("A begins, ", hold, "goes on, ", "and ends.")

    limits = {"max_running_turns_per_person": QUESTIONS}
    async with replicas(database_url, tmp_path, answer, slack_streaming=streaming, **limits) as scene:
        first = await scene.start()
        asked = [scene.ask(f"@attendant question {number}") for number in range(QUESTIONS)]
        await scene.begun(asked)
        assert first.pid is not None
        _freeze(first.pid, database_url)
        frozen = True
        second = await scene.start()
        for each in asked:
            await scene.answered(each, "B answers.")
        hold.release()
        os.kill(first.pid, signal.SIGCONT)
        first.terminate()  # it ends when all its turns have ended

        assert await scene.ended(first) == 0
        assert [[m.shown_text for m in scene.replies_to(each)] for each in asked] == [["B answers."]] * QUESTIONS
        second.terminate()
        assert await scene.ended(second) == 0


async def test_a_frozen_process_that_lost_its_connection_writes_nothing(
    empty_postgres_url: str, tmp_path: Path
) -> None:
    """The server ends a frozen process's connections, so that it seems to be gone. It resumes within its leases."""
    hold, frozen = PausedStep(), False

    def answer(_: Request) -> Reply:
        return says("B answers.") if frozen else says("A begins, ", hold, "goes on, ", "and ends.")

    limits = {"max_running_turns_per_person": QUESTIONS}
    async with replicas(empty_postgres_url, tmp_path, answer, **limits) as scene:
        first = await scene.start(lease=LEASE)
        asked = [scene.ask(f"@attendant question {number}") for number in range(QUESTIONS)]
        await scene.begun(asked)
        assert first.pid is not None
        _stop(first.pid)
        frozen = True
        with psycopg.connect(empty_postgres_url, autocommit=True) as connection:
            connection.execute(_END_ALL_OTHERS)
        second = await scene.start(lease=LEASE)
        for each in asked:
            await scene.answered(each, "B answers.")
        hold.release()
        os.kill(first.pid, signal.SIGCONT)
        first.terminate()

        assert await scene.ended(first) == 0
        assert [[m.shown_text for m in scene.replies_to(each)] for each in asked] == [["B answers."]] * QUESTIONS
        second.terminate()
        assert await scene.ended(second) == 0


_END_ALL_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid != pg_backend_pid()
"""


def _freeze(pid: int, database_url: str) -> None:
    """Stop the process. On SQLite, do it between two writes, because its write lock would stop everybody else."""
    _stop(pid)
    while _is_locked(database_url):
        os.kill(pid, signal.SIGCONT)
        _stop(pid)


def _stop(pid: int) -> None:
    """Stop the process. Return when every thread of it stands still, where the system can tell."""
    os.kill(pid, signal.SIGSTOP)
    stats = list(Path(f"/proc/{pid}/task").glob("*/stat"))  # the state follows the name in parentheses
    while any(stat.read_text().rpartition(")")[2].split()[0] not in "Tt" for stat in stats):
        pass


def _is_locked(database_url: str) -> bool:
    if not database_url.startswith("sqlite"):
        return False
    with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"), timeout=0)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    return False
