"""Replicas of the bot, as processes on one database, for acceptance tests: they start, end and die while people ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from bot.config.settings import Settings
from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.messages import Message
from bot.playground.workspace.workspace import Workspace
from bot.services import utc_now
from bot.slack.inbound.socket_mode import CONNECTIONS
from tests.support import crashing_bot
from tests.support.crashing_bot import Point
from tests.support.openai_server import OpenAIServer, Reply, Request
from tests.support.room import playground, settings_for
from tests.support.timeouts import GENEROUS_S


@dataclass(slots=True)
class Replicas:
    """A workspace, a model, and the bot's processes between them."""

    workspace: Workspace
    server: PlaygroundServer
    model: OpenAIServer
    settings: Settings
    log: Path
    running: list[BaseProcess] = field(default_factory=list)

    async def start(
        self, point: Point | None = None, *, lease: timedelta = crashing_bot.LEASE, **settings: Any
    ) -> BaseProcess:
        """Start one more process, and wait until it is connected."""
        connected = self.server.sockets.open + CONNECTIONS
        process = crashing_bot.start(self.settings.model_copy(update=settings), point, lease=lease, log=self.log)
        self.running.append(process)
        await self.until(lambda: self.server.sockets.open >= connected)
        return process

    async def kill(self, process: BaseProcess) -> None:
        """Kill the process, and wait until its connections are closed."""
        connected = self.server.sockets.open - CONNECTIONS
        process.kill()
        await self.ended(process)
        await self.until(lambda: self.server.sockets.open <= connected)

    async def ended(self, process: BaseProcess) -> int | None:
        """Wait for the process to end. Return its exit status."""
        await asyncio.to_thread(process.join, GENEROUS_S)
        return process.exitcode

    def ask(self, text: str, root: str | None = None, by: str = "ana") -> Message:
        """Have a person write in #help-desk."""
        channel = self.workspace.channel("help-desk")
        return self.workspace.post(self.workspace.person(by), channel, text, root)

    def replies_to(self, question: Message) -> list[Message]:
        """Return the bot's messages in the thread of a question."""
        thread = self.workspace.thread(self.workspace.channels[question.channel], question.root)
        return [message for message in thread if message.bot_id == self.workspace.app.bot_id]

    async def begun(self, questions: Sequence[Message]) -> None:
        """Wait until each question's thread holds a message of the bot."""
        await self.until(lambda: all(self.replies_to(each) for each in questions))

    async def answered(self, question: Message, *texts: str) -> None:
        """Wait until the bot's messages in the thread are these, and none streams."""
        wanted = [(text, False) for text in texts]
        await self.until(lambda: [(m.shown_text, bool(m.streaming_since)) for m in self.replies_to(question)] == wanted)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for a state of the workspace."""
        await self.workspace.until(holds, timeout_s=GENEROUS_S)


@asynccontextmanager
async def replicas(
    database_url: str, folder: Path, answer: Callable[[Request], Reply], **settings: Any
) -> AsyncIterator[Replicas]:
    """Yield the surroundings; no process runs yet. In the end, kill every process. Slack delivers again soon."""
    model = OpenAIServer(answer)
    await model.start()
    try:
        async with playground(utc_now, ack_within_s=1.0, retry_after_s=(0.3,) * 100) as (workspace, server):
            how = settings_for(workspace, server, model, database_url=database_url, **settings)
            found = Replicas(workspace, server, model, how, folder / "bots.log")
            try:
                yield found
            finally:
                for process in found.running:
                    process.kill()
    finally:
        await model.stop()
