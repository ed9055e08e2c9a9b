"""The recovery after kill -9 during many answers. Alone: `python -m bench.recovery`.

Rule: a takeover is a request to the model for an answer that the killed process had begun.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bench.crowd import gather
from bench.subject import OURS, OURS_ON_POSTGRES, Subject, place, running
from bench.surroundings import Surroundings, surroundings
from bot.playground.workspace.messages import Message
from bot.testing import PausedStep
from tests.support.openai_server import says

ANSWERS = 60
_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """The times of one recovery, in seconds after the survivor could begin."""

    last_takeover: float
    last_whole: float
    looks: int  # calls of conversations.replies


def lines() -> Iterator[str]:
    """Measure, and yield the table's lines."""
    yield ""
    yield f"kill -9 during {ANSWERS} answers{'last takeover, s':>40}{'last answer whole, s':>24}{'looks':>8}"
    for label, measured in (
        ("SQLite, restarted: after the process is ready", _restarted(OURS)),
        ("PostgreSQL, restarted: after the process is ready", _restarted(OURS_ON_POSTGRES)),
        ("PostgreSQL, a second replica: after the kill", _second_replica()),
    ):
        found = asyncio.run(measured)
        yield f"{label:52}{found.last_takeover:>10.2f}{found.last_whole:>24.2f}{found.looks:>8}"


async def _restarted(subject: Subject) -> Recovery:
    async with surroundings() as around:
        with place(subject, around) as at:
            crowd = _Crowd(around)
            async with running(subject, around, at) as bot:
                await crowd.begin()
                bot.kill()
            crowd.release()
            async with running(subject, around, at):
                return await crowd.recovered(time.perf_counter())


async def _second_replica() -> Recovery:
    async with surroundings() as around, AsyncExitStack() as stack:
        at = stack.enter_context(place(OURS_ON_POSTGRES, around))
        first = await stack.enter_async_context(running(OURS_ON_POSTGRES, around, at))
        await stack.enter_async_context(running(OURS_ON_POSTGRES, around, at))
        crowd = _Crowd(around)
        await crowd.begin()
        first.kill()
        killed_at = time.perf_counter()
        crowd.release()
        return await crowd.recovered(killed_at)


class _Crowd:
    """Asks many questions, and holds all answers after their first words until the release."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._hold = PausedStep()
        self._asked: list[Message] = []
        around.says = says("The first ", self._hold, "words.")

    async def begin(self) -> None:
        """Ask, and wait until each answer has begun in the thread."""
        workspace = self._around.workspace
        channel, people = gather(workspace, ANSWERS)
        question = f"<@{workspace.app.user_id}> My VPN drops. What can I do?"
        self._asked = [workspace.post(person, channel, question, raw=True) for person in people]
        await workspace.until(lambda: all(self._answers(each) for each in self._asked), timeout_s=_PATIENCE_S)

    def release(self) -> None:
        """Let the model end all answers."""
        self._hold.release()

    async def recovered(self, since: float) -> Recovery:
        """Wait until all answers are whole."""
        await self._around.workspace.until(self._is_whole, timeout_s=_PATIENCE_S)
        looks = self._around.slack.calls.count("conversations.replies")
        return Recovery(self._around.requested - since, time.perf_counter() - since, looks)

    def _answers(self, asked: Message) -> list[Message]:
        workspace = self._around.workspace
        thread = workspace.thread(workspace.channels[asked.channel], asked.root)
        return [message for message in thread if message.bot_id]

    def _is_whole(self) -> bool:
        answers = [self._answers(each) for each in self._asked]
        return all(
            [message.shown_text for message in said] == ["The first words."] and not said[0].streaming_since
            for said in answers
        )


if __name__ == "__main__":
    print(*lines(), sep="\n")
