"""A process that is frozen for longer than its leases comes back, finds its answers given by another, and is silent."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from bot.testing import Hold
from tests.openai_server import Reply, Request, says
from tests.replicas import replicas

QUESTIONS = 10


@pytest.mark.parametrize("streaming", ["auto", "off"])
async def test_whoever_was_frozen_writes_nothing_more(database_url: str, tmp_path: Path, streaming: str) -> None:
    """Stopped in the midst of ten answers, and continued after the other gave them all: each stands there once."""
    hold, frozen = Hold(), False

    def answer(_: Request) -> Reply:
        return says("B answers.") if frozen else says("A begins, ", hold, "goes on, ", "and ends.")

    limits = {"max_running_turns_per_person": QUESTIONS}
    async with replicas(database_url, tmp_path, answer, slack_streaming=streaming, **limits) as scene:
        first = await scene.start()
        asked = [scene.ask(f"@attendant question {number}") for number in range(QUESTIONS)]
        await scene.begun(asked)
        assert first.pid is not None
        os.kill(first.pid, signal.SIGSTOP)
        frozen = True
        second = await scene.start()
        for each in asked:
            await scene.answered(each, "B answers.")
        hold.release()
        os.kill(first.pid, signal.SIGCONT)
        first.terminate()  # it ends when nothing runs in it any more

        assert await scene.ended(first) == 0
        assert [[m.text for m in scene.said(each)] for each in asked] == [["B answers."]] * QUESTIONS
        second.terminate()
        assert await scene.ended(second) == 0
