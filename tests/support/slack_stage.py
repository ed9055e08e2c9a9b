"""The stage of the outbound tests: the Slack adapter against a playground workspace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.config.settings import Settings
from bot.domain.events import Author, Thread
from bot.errors import StoreUnavailable
from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.messages import Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.workspace import Workspace
from bot.slack.client import open_client
from bot.slack.identity import BotIdentity
from bot.slack.monotonic_clock import MonotonicClock
from bot.slack.outbound.adapter import SlackAdapter
from bot.slack.rate_limiter import RateLimiter
from bot.testing import SettableClock
from bot.turns.adapter import AnswerTarget
from bot.turns.adapter import Ledger as LedgerPort
from tests.support.playground_stage import make_workspace, served


def loop_clock() -> MonotonicClock:
    """Return the running loop's clock, which shows virtual time in the tests of the Slack edge."""
    return MonotonicClock(asyncio.get_running_loop().time)


async def a_while(seconds: float = 0.1) -> None:
    """Wait until no task is busy, in tests that nothing happens. Calls with a rate limit need longer."""
    await MonotonicClock().pause(seconds)


class AnswerSource:
    """A model's answer in deltas."""

    def __init__(self, *pieces: str) -> None:
        """With pieces, the answer is complete. Without, the test calls `add` and `end`."""
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        for piece in pieces:
            self.add(piece)
        if pieces:
            self.end()

    def add(self, text: str) -> None:
        """Add a delta."""
        self._queue.put_nowait(text)

    def end(self) -> None:
        """End the answer."""
        self._queue.put_nowait(None)

    async def deltas(self) -> AsyncIterator[str]:
        """Yield the deltas as they come."""
        while (piece := await self._queue.get()) is not None:
            yield piece


class MemoryLedger:
    """A ledger in memory: the messages of this answer, and those of other answers. It can fail."""

    def __init__(self) -> None:
        self.posted_ids: list[str] = []
        self.removed_ids: list[str] = []
        self.others: set[str] = set()
        self.files: list[str] = []
        self.unavailable = False
        self.ours = True

    async def is_ours(self) -> bool:
        return self.ours

    async def posted(self, answer_id: str) -> None:
        if self.unavailable:
            raise StoreUnavailable("the database is away")
        self.posted_ids.append(answer_id)

    async def removed(self, answer_id: str) -> None:
        self.removed_ids.append(answer_id)

    async def uploading(self, file_id: str) -> None:
        self.files.append(file_id)

    async def file_removed(self, file_id: str) -> None:
        self.files.remove(file_id)

    async def uploaded(self) -> Sequence[str]:
        return tuple(self.files)

    async def of_this_turn(self) -> Sequence[str]:
        return tuple(dict.fromkeys(self.posted_ids))

    async def of_other_turns(self, answer_ids: Sequence[str]) -> AbstractSet[str]:
        return self.others & set(answer_ids)


async def shown(adapter: SlackAdapter, target: AnswerTarget, deltas: AsyncIterator[str], ledger: LedgerPort) -> None:
    """Show an answer that grows by these deltas."""
    async with adapter.writer(target, ledger) as writer:
        async for delta in deltas:
            writer.write(delta)
            await writer.drain()
        await writer.finish()


@dataclass
class Stage:
    """An adapter, the thread in which it answers, and the playground server that it calls."""

    server: PlaygroundServer
    client: AsyncWebClient
    adapter: SlackAdapter
    limiter: RateLimiter
    person: Person
    channel: Channel
    root: str
    ledger: MemoryLedger = field(default_factory=MemoryLedger)

    @property
    def workspace(self) -> Workspace:
        """The state of the make-believe Slack."""
        return self.server.workspace

    @property
    def thread(self) -> Thread:
        """The thread under the question."""
        direct = self.channel.kind == "im"
        return Thread("slack", self.workspace.team.id, self.channel.id, self.root, direct=direct)

    async def reply(self, source: AnswerSource, attempt: int = 1) -> None:
        """Show an answer in the thread."""
        await shown(self.adapter, self.target(attempt), source.deltas(), self.ledger)

    def target(self, attempt: int = 1) -> AnswerTarget:
        """Return the answer's target: the thread, the asker and the question."""
        return AnswerTarget(self.thread, Author(self.person.id, self.person.team), self.root, attempt)

    def answers(self) -> list[Message]:
        """Return the bot's messages in the thread."""
        thread = self.workspace.thread(self.channel, self.root)
        return [message for message in thread if message.bot_id == self.workspace.app.bot_id]

    def texts(self) -> list[str]:
        """Return the texts of the bot's messages in the thread."""
        return [message.shown_text for message in self.answers()]

    def methods(self) -> list[str]:
        """Return the Web API methods called so far, in order."""
        return [call.method for call in self.server.calls.all()]


def break_method(slack: Stage, trouble: str, method: str) -> None:
    """Make a method fail in this way."""
    faults = slack.server.faults
    match trouble:
        case "busy":
            faults.rate_limit(method, retry_after_s=60)
        case "slow":
            faults.hold(method)
        case "broken":
            faults.lose_answer(method, times=None, status=502)
        case _:
            faults.refuse(method, trouble)


@asynccontextmanager
async def stage(
    channel: str = "help-desk", streaming: str = "auto", long_answer_messages: int = 0, **workspace_how: Any
) -> AsyncIterator[Stage]:
    """Post a question in a channel, and open an adapter to answer it."""
    async with AsyncExitStack() as stack:
        workspace = make_workspace(**workspace_how)
        server = await stack.enter_async_context(served(workspace))
        client = await stack.enter_async_context(open_client(settings_of(server)))
        clock = SettableClock().now
        limiter, bot = RateLimiter(loop_clock()), identity_in(workspace)
        how: dict[str, Any] = {"limiter": limiter, "long_answer_messages": long_answer_messages}
        adapter = SlackAdapter(client, bot, clock=clock, streaming=streaming, **how)
        person = next(iter(workspace.people.values()))
        place = workspace.dm(person) if channel == "dm" else workspace.channel(channel)
        yield Stage(server, client, adapter, limiter, person, place, workspace.post(person, place, "help").ts)


def identity_in(workspace: Workspace) -> BotIdentity:
    """Return the bot's identity in that workspace."""
    app = workspace.app
    return BotIdentity(workspace.team.id, "", "", app.user_id, app.bot_id, app.manifest.bot_name)


def settings_of(server: PlaygroundServer, **more: Any) -> Settings:
    """Return settings for this playground and Socket Mode."""
    app = server.workspace.app
    tokens = {"slack_bot_token": app.bot_token, "slack_app_token": app.app_token, "slack_api_url": server.api_url}
    return Settings(**(tokens | more))
