"""A process dies in the middle of many answers. They go on long before its leases would have run out.

Rule: the bound is a fraction of the lease, for a busy machine. `make bench` has the figures.
"""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest

from bot.slack.monotonic_clock import MonotonicClock
from bot.store.process_locks import ABSENT_S
from bot.testing import PausedStep
from bot.turns.leases import LEASE
from tests.support.openai_server import Reply, Request, says
from tests.support.replicas import Replicas, replicas

pytestmark = [pytest.mark.long, pytest.mark.alone]

QUESTIONS = 60
SOON = LEASE / 2
LIMITS = {"max_running_turns_per_person": QUESTIONS}
ON_POSTGRES = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


class Model:
    """Begins each answer, and holds it until the release. The answers to later requests are whole at once."""

    def __init__(self) -> None:
        self.hold = PausedStep()
        self.whole = False

    def answer(self, _: Request) -> Reply:
        """Answer a request."""
        return says("One, two.") if self.whole else says("One, ", self.hold, "two.")

    def release(self) -> None:
        """End all answers, and give whole ones from now on."""
        self.whole = True
        self.hold.release()


async def whole(scene: Replicas, asked: list[str], since: float) -> None:
    """Wait until each question has one whole answer, and assert that this was soon."""
    await scene.until(lambda: all(_texts(scene, root) == [("One, two.", False)] for root in asked))
    assert time.monotonic() - since < SOON.total_seconds()


def _texts(scene: Replicas, root: str) -> list[tuple[str, bool]]:
    thread = scene.workspace.thread(scene.workspace.channel("help-desk"), root)
    bot = scene.workspace.app.bot_id
    return [(message.text, bool(message.streaming_since)) for message in thread if message.bot_id == bot]


async def asked(scene: Replicas) -> list[str]:
    """Ask all questions, and wait until each answer has begun."""
    questions = [scene.ask(f"@attendant question {number}") for number in range(QUESTIONS)]
    await scene.begun(questions)
    return [question.root for question in questions]


async def looked(seconds: float = ABSENT_S + 1) -> None:
    """Wait until the other processes have looked for locks for longer than an absent one is waited for."""
    await MonotonicClock().pause(seconds)


async def test_a_restarted_process_goes_on_at_once(database_url: str, tmp_path: Path) -> None:
    """After SIGKILL and a restart the new process proves that the old one is gone, and finishes its answers."""
    model = Model()
    async with replicas(database_url, tmp_path, model.answer, **LIMITS) as scene:
        first = await scene.start(lease=LEASE)
        questions = await asked(scene)
        await scene.kill(first)
        model.release()
        await scene.start(lease=LEASE)
        await whole(scene, questions, time.monotonic())


async def test_a_second_crash_within_seconds_is_healed_at_once_too(database_url: str, tmp_path: Path) -> None:
    """A crash while the new process repeats the answers costs no lease either."""
    model = Model()
    async with replicas(database_url, tmp_path, model.answer, **LIMITS) as scene:
        process = await scene.start(lease=LEASE)
        questions = await asked(scene)
        await scene.kill(process)
        process = await scene.start(lease=LEASE)
        await scene.until(lambda: len(scene.model.requests) == 2 * QUESTIONS)
        await scene.kill(process)
        model.release()
        await scene.start(lease=LEASE)
        await whole(scene, questions, time.monotonic())


async def test_crashes_in_quick_succession_cost_no_answer(database_url: str, tmp_path: Path) -> None:
    """As many crashes as a turn has attempts come within seconds. The last takeover waits until the lease runs out."""
    model = Model()
    async with replicas(database_url, tmp_path, model.answer, **LIMITS) as scene:
        process = await scene.start(lease=LEASE / 2)
        questions = await asked(scene)
        for _ in range(3):
            await scene.kill(process)
            process = await scene.start(lease=LEASE / 2)
            await looked()
        model.release()
        await scene.until(lambda: all(_texts(scene, root) == [("One, two.", False)] for root in questions))


async def test_the_other_process_goes_on_at_once(database_url: str, tmp_path: Path) -> None:
    """One of two processes on a database is killed. The other finishes its answers."""
    model = Model()
    async with replicas(database_url, tmp_path, model.answer, **LIMITS) as scene:
        first, second = await scene.start(lease=LEASE), await scene.start(lease=LEASE)
        questions = await asked(scene)
        await scene.kill(first)
        model.release()
        await whole(scene, questions, time.monotonic())
        second.terminate()

        assert await scene.ended(second) == 0


async def test_a_process_that_lives_keeps_its_answers(database_url: str, tmp_path: Path) -> None:
    """Processes come and go beside one that answers for longer than an absent lock is waited for."""
    model = Model()
    async with replicas(database_url, tmp_path, model.answer, **LIMITS) as scene:
        await scene.start(lease=LEASE)
        questions = await asked(scene)
        other = await scene.start(lease=LEASE)
        await looked()
        await scene.kill(other)
        await scene.start(lease=LEASE)
        await looked()
        model.release()
        await whole(scene, questions, time.monotonic())

        assert len(scene.model.requests) == QUESTIONS


@ON_POSTGRES
async def test_a_lost_connection_ends_no_answer(database_url: str, tmp_path: Path) -> None:
    """The server ends all connections of two living processes, again and again. No answer is asked for twice."""
    model = Model()
    async with replicas(database_url, tmp_path, model.answer, **LIMITS) as scene:
        for _ in range(2):
            await scene.start(lease=LEASE)
        questions = await asked(scene)
        for _ in range(5):
            _end_sessions(database_url)
            await looked(0.7)
        await looked()
        model.release()
        await whole(scene, questions, time.monotonic())

        assert len(scene.model.requests) == QUESTIONS


def _end_sessions(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid != pg_backend_pid()"
        )
