"""Backup and restore by the commands of docs/operations.md: a restored database answers what it owed, once."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.playground.workspace.messages import Message
from bot.testing import PausedStep
from tests.support import databases
from tests.support.openai_server import Reply, Request, says
from tests.support.process import Process
from tests.support.replicas import Replicas, replicas
from tests.support.room import shown

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.long


@contextmanager
def restored(url: str, folder: Path) -> Iterator[str]:
    """Back the PostgreSQL database up and restore it into a new one, by the documented commands. Yield its URL."""
    programs = databases.server_programs()
    if programs is None:
        pytest.skip("NO pg_dump for the server of ATTENDANT_TEST_POSTGRES_URL")
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    dump, restore = re.findall(r"^\$ (.*pg_(?:dump|restore) .*)$", page, re.MULTILINE)
    with databases.own(url, f"restored_{os.getpid()}") as new:
        environ = {"PATH": f"{programs}:{os.environ['PATH']}", "DATABASE_URL": url, "NEW_DATABASE_URL": new}
        subprocess.run(["bash", "-c", f"umask 022; {dump} && {restore}"], cwd=folder, env=environ, check=True)
        assert (folder / "attendant.dump").stat().st_mode & 0o777 == 0o600
        yield new


async def owing(scene: Replicas) -> list[Message]:
    """Have one answer begun and one question waiting behind it; then kill the process."""
    process = await scene.start()
    questions = [scene.ask(f"@attendant question {number}") for number in range(2)]
    await scene.until(lambda: any(scene.replies_to(each) for each in questions))
    await scene.until(lambda: scene.server.deliveries.pending == 0)
    await scene.kill(process)
    return questions


class Model:
    """Begins the first answer and stands still. After the release, each answer is whole."""

    def __init__(self) -> None:
        self.hold = PausedStep()
        self.whole = False

    def answer(self, request: Request) -> Reply:
        """Answer a request."""
        text = f"About {shown(request)[-1].rpartition('question')[2].strip()}."
        return says(text) if self.whole else says(text[:4], self.hold, text[4:])

    def release(self) -> None:
        """End the answer that stands still, and give whole ones from now on."""
        self.whole = True
        self.hold.release()


async def check_answers(scene: Replicas, questions: list[Message], model: Model, url: str) -> None:
    """Start a process on the restored database, and assert that each question gets one whole answer."""
    model.release()
    await scene.start(database_url=SecretStr(url))
    for number, question in enumerate(questions):
        await scene.answered(question, f"About {number}.")
    later = scene.ask("@attendant question 7")
    await scene.answered(later, "About 7.")
    for number, question in enumerate(questions):
        await scene.answered(question, f"About {number}.")


async def test_a_restored_sqlite_file_answers_what_it_owed(empty_sqlite_url: str, tmp_path: Path) -> None:
    """The bot is killed while it owes two answers. On a restored copy it gives each of them, once."""
    model = Model()
    limits = {"max_running_turns_per_person": 1}
    async with replicas(empty_sqlite_url, tmp_path, model.answer, **limits) as scene:
        questions = await owing(scene)
        copy = tmp_path / "copy" / "attendant.db"
        copy.parent.mkdir()
        made = await Process.run(tmp_path, {"DATABASE_URL": empty_sqlite_url}, "backup", str(copy))

        assert made.status == 0, made.lines
        assert copy.stat().st_mode & 0o777 == 0o600
        await check_answers(scene, questions, model, f"sqlite:///{copy}")


async def test_a_restored_postgresql_database_answers_what_it_owed(empty_postgres_url: str, tmp_path: Path) -> None:
    """The same with pg_dump and pg_restore, into a new database."""
    model = Model()
    limits = {"max_running_turns_per_person": 1}
    async with replicas(empty_postgres_url, tmp_path, model.answer, **limits) as scene:
        questions = await owing(scene)
        with restored(empty_postgres_url, tmp_path) as url:
            await check_answers(scene, questions, model, url)
            for process in scene.running:
                process.kill()
                await scene.ended(process)
