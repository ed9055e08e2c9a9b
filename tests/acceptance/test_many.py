"""Many questions at once, and replicas that die: each accepted message is answered once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.config.settings import Settings
from bot.playground.delivery.deliveries import ACK_WITHIN_S
from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.messages import Message
from bot.playground.workspace.workspace import Workspace
from bot.services import utc_now
from bot.testing import PausedStep
from tests.support import crashing_bot
from tests.support.openai_server import OpenAIServer, Reply, Request, says
from tests.support.room import playground, settings_for, shown
from tests.support.timeouts import GENEROUS_S

pytestmark = [pytest.mark.long, pytest.mark.alone]

CROWD_S = 3 * GENEROUS_S
PATIENT = timedelta(seconds=15)  # a lease that outlasts the stalls of a crowd on a busy machine


@dataclass(slots=True)
class Crowd:
    """A workspace whose people ask many questions, and a model that answers all of them at a signal."""

    workspace: Workspace
    server: PlaygroundServer
    model: OpenAIServer
    settings: Settings
    hold: PausedStep

    def ask(self, count: int) -> list[Message]:
        """Write so many mentions at once, each by the next person."""
        people, channel = list(self.workspace.people.values()), self.workspace.channel("help-desk")
        return [
            self.workspace.post(people[number % len(people)], channel, f"@attendant question {number}")
            for number in range(count)
        ]

    def answers(self, asked: Message) -> list[Message]:
        """Return the bot's messages in the thread of a question."""
        thread = self.workspace.thread(self.workspace.channels[asked.channel], asked.root)
        return [message for message in thread if message.bot_id == self.workspace.app.bot_id]

    async def answered(self, asked: list[Message]) -> None:
        """Wait until each question's thread holds one whole answer in one message, and nothing streams."""
        wanted = {each.ts: f"Answer to question {number}." for number, each in enumerate(asked)}

        def whole(each: Message) -> bool:
            said = self.answers(each)
            return [message.shown_text for message in said] == [wanted[each.ts]] and not said[0].streaming_since

        await self.workspace.until(lambda: all(whole(each) for each in asked), timeout_s=CROWD_S)


@pytest.fixture
async def crowd(tmp_path: Path) -> AsyncIterator[Crowd]:
    """The crowd, on SQLite."""
    hold = PausedStep()

    def answer(request: Request) -> Reply:
        question = shown(request)[-1].rpartition(": ")[2]
        return says("Answer to ", hold, f"{question}.")

    async with AsyncExitStack() as stack:
        model = OpenAIServer(answer, keep=5_000)
        await model.start()
        stack.push_async_callback(model.stop)
        workspace, server = await stack.enter_async_context(playground(utc_now, ack_within_s=ACK_WITHIN_S))
        settings = settings_for(workspace, server, model, database_url=f"sqlite:///{tmp_path / 'attendant.db'}")
        settings = settings.model_copy(update={"max_running_turns_per_person": 2_000, "max_running_turns": 2_000})
        yield Crowd(workspace, server, model, settings, hold)


async def _connected(crowd: Crowd, connections: int = 1) -> None:
    await crowd.workspace.until(lambda: crowd.server.sockets.open >= connections, timeout_s=CROWD_S)


async def test_500_mentions_in_one_instant(crowd: Crowd) -> None:
    """All questions run before the model has answered any. Each is answered once."""
    await _all_at_once(crowd, 500)


async def test_1000_mentions_in_one_instant(crowd: Crowd) -> None:
    """Each is answered once, even if Slack delivers it again because the acknowledgement came late."""
    await _all_at_once(crowd, 1_000)


async def _all_at_once(crowd: Crowd, count: int) -> None:
    process = crashing_bot.start(crowd.settings, lease=PATIENT)
    await _connected(crowd)
    asked = crowd.ask(count)
    await crowd.model.asked(count, within_s=CROWD_S)
    crowd.hold.release()

    await crowd.answered(asked)
    assert Counter(request.texts[-1] for request in crowd.model.requests).most_common(1)[0][1] == 1
    process.kill()


async def test_a_replica_dies_during_200_answers(crowd: Crowd, empty_postgres_url: str) -> None:
    """One of two replicas is killed while 200 answers run. Each answer is given once, and the last one soon after."""
    settings = crowd.settings.model_copy(update={"database_url": SecretStr(empty_postgres_url)})
    first, second = (crashing_bot.start(settings, lease=PATIENT) for _ in range(2))
    await _connected(crowd, 4)
    asked = crowd.ask(200)
    await crowd.model.asked(200, within_s=CROWD_S)
    first.kill()
    crowd.hold.release()

    await crowd.answered(asked)
    second.terminate()
    await asyncio.to_thread(second.join, CROWD_S)
    assert second.exitcode == 0
