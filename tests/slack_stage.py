"""The furniture of the Slack edge's tests: the edge between a playground workspace and a work layer that records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.adapter import Asked
from bot.config import Settings
from bot.errors import StoreUnavailable
from bot.events import Author, Event, Thread
from bot.playground.messages import Message
from bot.playground.people import Channel, Person
from bot.playground.server import PlaygroundServer
from bot.playground.workspace import Workspace
from bot.sessions import OpenSession, ResetOutcome
from bot.slack.adapter import SlackAdapter
from bot.slack.checks import identify
from bot.slack.client import open_client
from bot.slack.connection import HttpMode, SocketMode, connect
from bot.slack.listeners import build_app
from bot.testing import SettableClock
from tests.playground_stage import make_workspace, served


class Speech:
    """An answer that is said piece by piece."""

    def __init__(self, *pieces: str) -> None:
        """With pieces it is said at once and has ended; without, the test says it."""
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        for piece in pieces:
            self.say(piece)
        if pieces:
            self.end()

    def say(self, text: str) -> None:
        """Go on."""
        self._queue.put_nowait(text)

    def end(self) -> None:
        """Say nothing more."""
        self._queue.put_nowait(None)

    async def deltas(self) -> AsyncIterator[str]:
        """What is said, as it is said."""
        while (piece := await self._queue.get()) is not None:
            yield piece


@dataclass
class Stage:
    """An adapter, the thread it answers in, and the Slack it talks to."""

    server: PlaygroundServer
    client: AsyncWebClient
    adapter: SlackAdapter
    person: Person
    channel: Channel
    root: str
    posted: list[str] = field(default_factory=list)

    @property
    def workspace(self) -> Workspace:
        """Slack's own state."""
        return self.server.workspace

    @property
    def thread(self) -> Thread:
        """The thread of the question."""
        direct = self.channel.kind == "im"
        return Thread("slack", self.workspace.team.id, self.channel.id, self.root, direct=direct)

    async def reply(self, speech: Speech) -> None:
        """Show an answer in the thread."""

        async def note(ts: str) -> None:
            self.posted.append(ts)

        asked = Asked(self.thread, Author(self.person.id, self.person.team), self.root)
        await self.adapter.reply(asked, speech.deltas(), note)

    def answers(self) -> list[Message]:
        """The bot's messages in the thread."""
        thread = self.workspace.thread(self.channel, self.root)
        return [message for message in thread if message.bot_id == self.workspace.app.bot_id]

    def texts(self) -> list[str]:
        """What those messages say."""
        return [message.text for message in self.answers()]

    def methods(self) -> list[str]:
        """The Web API methods called so far, in order."""
        return [call.method for call in self.server.calls.all()]


@asynccontextmanager
async def stage(channel: str = "help-desk", streaming: str = "auto", **workspace_how: Any) -> AsyncIterator[Stage]:
    """A person's question in a channel, and an adapter that is quick, to answer it."""
    async with AsyncExitStack() as stack:
        workspace = make_workspace(**workspace_how)
        server = await stack.enter_async_context(served(workspace))
        client = await stack.enter_async_context(open_client(settings_of(server)))
        clock = SettableClock().now
        adapter = SlackAdapter(client, clock=clock, streaming=streaming, append_every_s=0.01, update_every_s=0.01)
        person = next(iter(workspace.people.values()))
        place = workspace.dm(person) if channel == "dm" else workspace.channel(channel)
        yield Stage(server, client, adapter, person, place, workspace.post(person, place, "help").ts)


def settings_of(server: PlaygroundServer, **more: Any) -> Settings:
    """Settings that lead to this playground, by Socket Mode."""
    app = server.workspace.app
    tokens = {"slack_bot_token": app.bot_token, "slack_app_token": app.app_token, "slack_api_url": server.api_url}
    return Settings(**(tokens | more))


class Ledger:
    """A work layer that notes what it is told, and has the sessions that the test gives it."""

    def __init__(self) -> None:
        self.accepted: list[Event] = []
        self.resets: list[tuple[str, str]] = []  # what, by whom
        self.sessions: list[OpenSession] = []
        self.outcome = ResetOutcome.DONE
        self.out_of_order = 0  # how many of the next calls fail
        self.busy, self.free = asyncio.Event(), asyncio.Event()  # an event is coming in; it may be taken in
        self.free.set()

    async def accept(self, event: Event) -> bool:
        self._work()
        self.busy.set()
        await self.free.wait()
        self.accepted.append(event)
        return True

    async def reset(self, thread: Thread, author: Author) -> ResetOutcome:
        return self._reset(f"{thread.channel}:{thread.root}", author)

    async def reset_session(self, session_id: str, author: Author) -> ResetOutcome:
        return self._reset(session_id, author)

    async def reset_all(self, platform: str, workspace: str, channel: str, author: Author) -> int:
        self._reset(f"{platform}:{workspace}:{channel}", author)
        return len(self.sessions)

    async def open_sessions(self, platform: str, workspace: str, channel: str, author: Author) -> list[OpenSession]:
        del platform, workspace, author
        self._work()
        return [session for session in self.sessions if session.thread.channel == channel]

    def _reset(self, what: str, author: Author) -> ResetOutcome:
        self._work()
        self.resets.append((what, author.id))
        return self.outcome

    def _work(self) -> None:
        if self.out_of_order:
            self.out_of_order -= 1
            raise StoreUnavailable("the database is away")


@dataclass
class Ears:
    """The edge's listeners, connected to a playground, with a ledger behind them."""

    server: PlaygroundServer
    ledger: Ledger
    connection: SocketMode | HttpMode

    @property
    def workspace(self) -> Workspace:
        """Slack's own state."""
        return self.server.workspace

    @property
    def ana(self) -> Person:
        """Somebody who writes."""
        return next(iter(self.workspace.people.values()))

    @property
    def help_desk(self) -> Channel:
        """Where she writes."""
        return self.workspace.channel("help-desk")

    async def acknowledged(self) -> None:
        """Wait until everything delivered was acknowledged."""
        await self.workspace.until(lambda: all(delivery.acknowledged for delivery in self.server.deliveries.all()))

    def notices(self, channel: Channel | None = None) -> list[Message]:
        """What only Ana was told in a channel."""
        return self.workspace.ephemerals(self.ana, channel or self.help_desk)

    async def command(self, command: str, text: str = "", channel: Channel | None = None) -> Message:
        """Give a slash command, and wait for what it says."""
        before = len(self.notices(channel))
        self.workspace.command(self.ana, channel or self.help_desk, command, text)
        await self.workspace.until(lambda: len(self.notices(channel)) > before)
        return self.notices(channel)[-1]


@asynccontextmanager
async def ears(**server: Any) -> AsyncIterator[Ears]:
    """Listeners that hear a playground by Socket Mode."""
    async with AsyncExitStack() as stack:
        playground = await stack.enter_async_context(served(make_workspace(), **server))
        ledger = Ledger()
        settings = settings_of(playground)
        client = await stack.enter_async_context(open_client(settings))
        app = build_app(client, await identify(client), ledger, settings, clock=SettableClock().now)
        connection = await stack.enter_async_context(connect(app, settings))
        await playground.workspace.until(lambda: playground.sockets.open > 0)
        yield Ears(playground, ledger, connection)
