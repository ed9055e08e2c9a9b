"""Processes die, shut down or share a file. The thread gets its whole answer, and the next message is answered."""

from __future__ import annotations

import resource
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest

from bot.domain import texts
from bot.testing import PausedStep
from tests.support.crashing_bot import Point
from tests.support.openai_server import Reply, Request, says
from tests.support.process import Process
from tests.support.replicas import Replicas, replicas
from tests.support.room import recites, shown

QUESTION = "@attendant my VPN is down"


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Replicas]:
    """The bot's processes on either database, with a model that recites each request."""
    async with replicas(database_url, tmp_path, recites) as made:
        yield made


async def test_a_message_that_kills_every_process(town: Replicas) -> None:
    """After three deaths the person reads a sentence, the operator a log line. The next message is answered."""
    deadly = Point("before", "history.before")
    asked = None
    for _ in range(town.settings.max_attempts):
        process = await town.start(deadly)
        asked = asked or town.ask(QUESTION)
        assert await town.ended(process) == -signal.SIGKILL
        await town.until(lambda: town.server.sockets.open == 0)
    assert asked is not None
    await town.start()
    await town.answered(asked, texts.SOMETHING_BROKE)
    assert "turn_abandoned" in town.log.read_text()

    town.ask("are you there?", asked.ts)
    recital = f"I was shown: my VPN is down | {texts.FAILED_TURN} | are you there?"
    await town.answered(asked, texts.SOMETHING_BROKE, recital)


async def test_a_second_sigterm_loses_nothing(town: Replicas) -> None:
    """A process that must end at once leaves half an answer. The next process finishes it in the same message."""
    town.model.script(says("Have you ", PausedStep()))
    process = await town.start()
    asked = town.ask(QUESTION)
    await town.begun([asked])
    (half,) = town.replies_to(asked)
    process.terminate()
    await town.until(lambda: town.server.sockets.open == 0)
    process.terminate()
    assert await town.ended(process) == 1

    await town.start()
    await town.answered(asked, "I was shown: my VPN is down")
    assert town.replies_to(asked)[0].ts == half.ts
    town.ask("still down", asked.ts)
    recital = "I was shown: my VPN is down | I was shown: my VPN is down | still down"
    await town.answered(asked, "I was shown: my VPN is down", recital)


async def test_two_processes_share_one_sqlite_file(empty_sqlite_url: str, tmp_path: Path) -> None:
    """Both processes answer. When one is killed, the other finishes its answers, in the same messages."""
    hold = PausedStep()

    def answer(request: Request) -> Reply:
        return says("Answer to ", hold, f"{shown(request)[-1]}.")

    async with replicas(empty_sqlite_url, tmp_path, answer) as town:
        processes = [await town.start() for _ in range(2)]
        asked = [town.ask(f"@attendant question {number}") for number in range(30)]
        await town.begun(asked)
        assert holders(empty_sqlite_url) == {process.pid for process in processes}
        processes[0].kill()
        hold.release()
        for number, each in enumerate(asked):
            await town.answered(each, f"Answer to question {number}.")

        town.ask("thank you", asked[0].ts)
        await town.answered(asked[0], "Answer to question 0.", "Answer to thank you.")


async def test_a_full_disk(empty_sqlite_url: str, tmp_path: Path) -> None:
    """With a full disk, running answers end and new messages wait in Slack. With room again, all are answered."""
    noted, hold = PausedStep(), PausedStep()
    async with replicas(empty_sqlite_url, tmp_path, recites) as town, bot(town, tmp_path) as process:
        town.model.script(says("Have you ", noted, "tried ", hold, "turning it off?"))
        first = town.ask(QUESTION)
        await town.begun([first])
        noted.release()
        await town.until(lambda: "tried" in town.replies_to(first)[0].shown_text)
        with no_room(process.pid):
            second = town.ask("@attendant my phone is down", by="ben")
            assert "disk i/o error" in await process.says("slack_event_not_stored")
            hold.release()
            await town.answered(first, "Have you tried turning it off?")
            await process.says("database_unavailable")
            assert town.replies_to(second) == []

        await town.answered(second, "I was shown: my phone is down")
        town.ask("yes", first.ts)
        recital = "I was shown: my VPN is down | Have you tried turning it off? | yes"
        await town.answered(first, "Have you tried turning it off?", recital)
        with closing(sqlite3.connect(empty_sqlite_url.removeprefix("sqlite:///"))) as file:
            assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@asynccontextmanager
async def bot(town: Replicas, folder: Path) -> AsyncIterator[Process]:
    """Run the bot as an operator starts it, connected."""
    environ = {
        "SLACK_BOT_TOKEN": town.workspace.app.bot_token,
        "SLACK_APP_TOKEN": town.workspace.app.app_token,
        "SLACK_API_URL": town.server.api_url,
        "OPENAI_BASE_URL": town.model.base_url,
        "DATABASE_URL": town.settings.database_url.get_secret_value(),
    }
    async with Process.running(folder, environ) as process:
        await process.says("Attendant is running")
        yield process


@contextmanager
def no_room(pid: int) -> Iterator[None]:
    """Keep this process from writing to any file, by a limit of the kernel."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def holders(database_url: str) -> set[int]:
    """Return the processes that hold leases."""
    with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as file:
        owners = file.execute("SELECT DISTINCT lease_owner FROM threads WHERE lease_owner IS NOT NULL").fetchall()
    return {int(owner.split(":")[1]) for (owner,) in owners}
