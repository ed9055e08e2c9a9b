"""Rolling deploys: processes are replaced one by one while people ask. No answer is lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.playground.workspace.messages import Message
from bot.testing import PausedStep
from tests.support.openai_server import Reply, Request, says
from tests.support.replicas import Replicas, replicas
from tests.support.room import shown
from tests.support.verdict import Verdict

DEPLOYS = 4
PEOPLE = ["ana", "ben", "chidi", "dalia"] * 2  # people who ask at once


@pytest.mark.long
async def test_rolling_deploys_lose_and_repeat_no_answer(database_url: str, tmp_path: Path) -> None:
    """Each question has exactly one answer, whether the old process or a new one finishes it."""
    holds = [PausedStep() for _ in range(DEPLOYS)]

    def answer(request: Request) -> Reply:
        question = shown(request)[-1]
        return says("Answer to ", holds[int(question.split()[-1])], f"{question}.")

    async with replicas(database_url, tmp_path, answer, drain_seconds=0.5) as town:
        running, asked = await town.start(), list[Message]()
        for deploy, hold in enumerate(holds):
            leaving, running = running, await town.start()
            asked += questions(town, deploy)
            await town.begun(asked)
            leaving.terminate()
            asked += questions(town, deploy)
            if deploy % 2:
                hold.release()
            assert await town.ended(leaving) == 0
            hold.release()

        await town.until(lambda: Verdict(answers).violations(town.workspace, asked) == [])
        assert len(town.model.requests) > len(asked)  # some turns were handed back, and the model was asked again
        town.ask("thank you for deploy 0", asked[0].ts)
        await town.until(lambda: town.replies_to(asked[0])[-1].shown_text == "Answer to thank you for deploy 0.")


def questions(town: Replicas, deploy: int) -> list[Message]:
    """Have all people ask at once."""
    return [town.ask(f"@attendant question {number} of deploy {deploy}", by=by) for number, by in enumerate(PEOPLE)]


def answers(question: Message, text: str) -> bool:
    """Return whether this is the whole answer to a question."""
    return text == f"Answer to {question.text.partition(' ')[2]}."
