"""The surroundings of both bots: a Slack workspace, an instant model, and a person who asks and notes the times."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from bot import manifest
from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.changes import Change, MessageChanged, MessagePosted
from bot.playground.workspace.messages import Message
from bot.playground.workspace.sample import harbour
from bot.testing import PausedStep
from tests.support.openai_server import OpenAIServer, Reply, Request, Says, instant

QUESTION = "@attendant My VPN drops every ten minutes since this morning. What can I do about it?"
DELTAS, DELTA = 100, "word "
WHOLE = (DELTA * DELTAS).strip()
ANSWERED_WITHIN_S = 10.0  # an answer takes milliseconds


@dataclass(frozen=True, slots=True)
class Turn:
    """The times of one turn, in seconds of the same clock."""

    thread: str
    asked: float
    requested: float  # the model has the request
    spoken: float  # the model has sent its last token
    shown: float  # the workspace has the whole text, and nothing streams any more


class Surroundings:
    """The workspace, the model and a person. `requested` and `spoken` are valid only for turns one at a time."""

    def __init__(self) -> None:
        described = manifest.read(manifest.document())
        self.workspace = harbour(described, clock=lambda: datetime.now(UTC), rng=random.Random(7))  # noqa: S311 - repeats itself
        self.slack = PlaygroundServer(self.workspace)
        self.model = OpenAIServer(self._answer)
        self.says: Reply = Says((*instant(DELTAS, DELTA).steps, _Note(self)))  # the model's answer to every request
        self._person, self._channel = self.workspace.person("ana"), self.workspace.channel("help-desk")
        self._awaited: dict[str, asyncio.Future[float]] = {}  # by thread: when the answer was whole
        self.requested = self.spoken = 0.0

    async def ask(self, thread: str | None = None) -> Turn:
        """Mention the bot, in this thread or at the root of a new one, and wait for the whole answer."""
        asked = time.perf_counter()
        root = self.workspace.post(self._person, self._channel, QUESTION, thread).root
        self._awaited[root] = asyncio.get_running_loop().create_future()
        shown = await asyncio.wait_for(self._awaited[root], ANSWERED_WITHIN_S)
        return Turn(root, asked, self.requested, self.spoken, shown)

    def see(self, change: Change) -> None:
        """Note a change in the workspace."""
        match change:
            case MessagePosted(message) | MessageChanged(message) if message.bot_id and not message.streaming_since:
                self._end(message)
            case _:
                pass

    def _end(self, message: Message) -> None:
        if message.shown_text.strip() != WHOLE:  # a bot that edits is not there yet
            return
        if answer := self._awaited.pop(message.root, None):
            answer.set_result(time.perf_counter())

    def _answer(self, _: Request) -> Reply:
        self.requested = time.perf_counter()
        return self.says


class _Note(PausedStep):
    """A step of the model that notes the time instead of waiting."""

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__()
        self._surroundings = surroundings

    async def pause(self) -> None:
        self._surroundings.spoken = time.perf_counter()


@asynccontextmanager
async def surroundings() -> AsyncIterator[Surroundings]:
    """Serve fresh surroundings on free ports."""
    made = Surroundings()
    await made.model.start()
    await made.slack.start(0)
    forget = made.workspace.subscribe(made.see)
    try:
        yield made
    finally:
        forget()
        await made.slack.stop()
        await made.model.stop()
