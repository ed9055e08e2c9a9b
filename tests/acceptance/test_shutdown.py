"""The shutdown: intake ends, and answers finish or are handed back. A second signal ends the process at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from bot.config.settings import Settings
from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.messages import Message
from bot.playground.workspace.workspace import Workspace
from bot.services import utc_now
from bot.testing import PausedStep
from tests.support import crashing_bot
from tests.support.openai_server import OpenAIServer, says
from tests.support.room import playground, recites, settings_for
from tests.support.timeouts import GENEROUS_S

PATIENT = timedelta(seconds=15)  # a lease that outlasts the stalls of a busy machine


@dataclass(slots=True)
class Shift:
    """A workspace with a question that the model has begun to answer, and the settings of its bots."""

    workspace: Workspace
    server: PlaygroundServer
    model: OpenAIServer
    settings: Settings
    hold: PausedStep

    async def asks(self) -> str:
        """Ask as Ana, wait for the first words, and return the thread's root."""
        await self.workspace.until(lambda: self.workspace.connected, timeout_s=GENEROUS_S)
        root = self.workspace.post(
            self.workspace.person("ana"), self.workspace.channel("help-desk"), "@attendant my VPN is down"
        ).ts
        await self.workspace.until(lambda: bool(self.replies_in(root)), timeout_s=GENEROUS_S)
        return root

    def replies_in(self, root: str) -> list[Message]:
        """Return the bot's messages in the thread."""
        thread = self.workspace.thread(self.workspace.channel("help-desk"), root)
        return [message for message in thread if message.bot_id == self.workspace.app.bot_id]

    def says(self, root: str, text: str) -> bool:
        """Return whether the thread holds exactly one answer, whole, with this text."""
        return [m.shown_text for m in self.replies_in(root) if not m.streaming_since] == [text]


@pytest.fixture
async def shift(tmp_path: Path) -> AsyncIterator[Shift]:
    """A shift on SQLite."""
    hold = PausedStep()
    async with AsyncExitStack() as stack:
        model = OpenAIServer(recites)
        await model.start()
        stack.push_async_callback(model.stop)
        model.script(says("Have you ", hold, "tried?"))
        workspace, server = await stack.enter_async_context(playground(utc_now))
        settings = settings_for(workspace, server, model, database_url=f"sqlite:///{tmp_path / 'attendant.db'}")
        yield Shift(workspace, server, model, settings, hold)


async def test_a_running_answer_may_finish(shift: Shift) -> None:
    """After SIGTERM the running answer finishes, and the process ends with status 0."""
    process = crashing_bot.start(shift.settings, lease=PATIENT)
    root = await shift.asks()

    process.terminate()
    await shift.workspace.until(lambda: not shift.workspace.connected, timeout_s=GENEROUS_S)
    shift.hold.release()
    await asyncio.to_thread(process.join, GENEROUS_S)

    assert process.exitcode == 0
    assert shift.says(root, "Have you tried?")


async def test_an_unfinished_answer_is_handed_back(shift: Shift) -> None:
    """Another process finishes an answer that outlasts DRAIN_SECONDS, in the same message, at once."""
    leaving = crashing_bot.start(shift.settings.model_copy(update={"drain_seconds": 0.1}), lease=PATIENT)
    root = await shift.asks()
    staying = crashing_bot.start(shift.settings, lease=PATIENT)
    await shift.workspace.until(lambda: shift.server.sockets.open >= 4, timeout_s=GENEROUS_S)

    leaving.terminate()
    await shift.workspace.until(lambda: shift.says(root, "I was shown: my VPN is down"), timeout_s=GENEROUS_S)

    await asyncio.to_thread(leaving.join, GENEROUS_S)
    staying.kill()
    assert leaving.exitcode == 0


async def test_a_second_sigterm_leaves_at_once(shift: Shift) -> None:
    """The second SIGTERM ends the process at once, although an answer still runs."""
    process = crashing_bot.start(shift.settings, lease=PATIENT)
    await shift.asks()

    process.terminate()
    await shift.workspace.until(lambda: not shift.workspace.connected, timeout_s=GENEROUS_S)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGTERM)
    await asyncio.to_thread(process.join, GENEROUS_S)

    assert process.exitcode == 1
