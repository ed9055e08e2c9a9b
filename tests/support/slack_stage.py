"""The furniture of the Slack edge's tests: the edge between a playground workspace and a work layer that records."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from slack_sdk.web.async_client import AsyncWebClient

from bot.config.settings import Settings
from bot.domain.events import Author, Event, Thread
from bot.domain.preferences import NO_PREFERENCES, Preferences, changed
from bot.domain.sessions import Kept, KeptMessage, OpenSession, ResetOutcome
from bot.errors import StoreUnavailable
from bot.playground.server import PlaygroundServer
from bot.playground.workspace.messages import Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.workspace import Workspace
from bot.slack.client import open_client
from bot.slack.identity import BotIdentity
from bot.slack.inbound.bolt_app import build_app
from bot.slack.inbound.socket_mode import CONNECTIONS, SocketMode
from bot.slack.inbound.transport import HttpMode, connect
from bot.slack.outbound.adapter import SlackAdapter
from bot.slack.port import Intake, PersonalRecords, SessionResets
from bot.slack.rate_limiter import RateLimiter, Time
from bot.slack.startup_checks import identify
from bot.testing import SettableClock
from bot.turns.adapter import AnswerTarget
from bot.turns.adapter import Ledger as LedgerPort
from tests.support.playground_stage import make_workspace, served

E = TypeVar("E")


def fast(speed: float) -> Time:
    """Time that passes so many times as fast as it does."""

    def limit(seconds: float | None) -> asyncio.Timeout:
        return asyncio.timeout(None if seconds is None else seconds / speed)

    return Time(lambda: time.monotonic() * speed, limit)


async def eventually(holds: Callable[[], bool]) -> None:
    """Return as soon as that is so of the bot itself; of its Slack, `Workspace.until` is told."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - the bot tells nobody when its state changes
            await asyncio.sleep(0)


async def a_while() -> None:
    """Long enough for several calls; for tests that nothing happens."""
    await fast(100.0).pause(10.0)


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


class Book:
    """A ledger in memory: which messages hold this answer, and which hold others'. It can be out of order."""

    def __init__(self) -> None:
        self.noted: list[str] = []
        self.taken_away: list[str] = []
        self.others: set[str] = set()
        self.out_of_order = False
        self.ours = True

    def is_ours(self) -> bool:
        return self.ours

    async def posted(self, answer_id: str) -> None:
        if self.out_of_order:
            raise StoreUnavailable("the database is away")
        self.noted.append(answer_id)

    async def removed(self, answer_id: str) -> None:
        self.taken_away.append(answer_id)

    async def mine(self) -> Sequence[str]:
        return tuple(dict.fromkeys(self.noted))

    async def settled(self, answer_ids: Sequence[str]) -> AbstractSet[str]:
        return self.others & set(answer_ids)


async def shown(adapter: SlackAdapter, target: AnswerTarget, deltas: AsyncIterator[str], ledger: LedgerPort) -> None:
    """Show an answer that grows by these deltas."""
    async with adapter.writer(target, ledger) as writer:
        async for delta in deltas:
            await writer.write(delta)
        await writer.finish()


@dataclass
class Stage:
    """An adapter, the thread it answers in, and the Slack it talks to."""

    server: PlaygroundServer
    client: AsyncWebClient
    adapter: SlackAdapter
    limiter: RateLimiter
    person: Person
    channel: Channel
    root: str
    book: Book = field(default_factory=Book)

    @property
    def workspace(self) -> Workspace:
        """Slack's own state."""
        return self.server.workspace

    @property
    def thread(self) -> Thread:
        """The thread of the question."""
        direct = self.channel.kind == "im"
        return Thread("slack", self.workspace.team.id, self.channel.id, self.root, direct=direct)

    async def reply(self, speech: Speech, attempt: int = 1) -> None:
        """Show an answer in the thread."""
        await shown(self.adapter, self.target(attempt), speech.deltas(), self.book)

    def target(self, attempt: int = 1) -> AnswerTarget:
        """Where the answer belongs."""
        return AnswerTarget(self.thread, Author(self.person.id, self.person.team), self.root, attempt)

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
async def stage(
    channel: str = "help-desk", streaming: str = "auto", speed: float = 100.0, **workspace_how: Any
) -> AsyncIterator[Stage]:
    """A person's question in a channel, and an adapter to answer it, whose time passes `speed` times as fast."""
    async with AsyncExitStack() as stack:
        workspace = make_workspace(**workspace_how)
        server = await stack.enter_async_context(served(workspace))
        client = await stack.enter_async_context(open_client(settings_of(server)))
        clock = SettableClock().now
        limiter, bot = RateLimiter(fast(speed)), identity_in(workspace)
        adapter = SlackAdapter(client, bot, clock=clock, streaming=streaming, limiter=limiter)
        person = next(iter(workspace.people.values()))
        place = workspace.dm(person) if channel == "dm" else workspace.channel(channel)
        yield Stage(server, client, adapter, limiter, person, place, workspace.post(person, place, "help").ts)


def identity_in(workspace: Workspace) -> BotIdentity:
    """Who the bot is in that workspace."""
    app = workspace.app
    return BotIdentity(workspace.team.id, "", "", app.user_id, app.bot_id, app.manifest.bot_name)


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
        self.kept: list[KeptMessage] = []
        self.forgotten: list[str] = []  # who
        self.outcome = ResetOutcome.DONE
        self.wishes: dict[str, Preferences] = {}
        self.out_of_order = 0  # how many of the next calls fail
        self.refusals = 0
        self.busy, self.free = asyncio.Event(), asyncio.Event()  # an event is coming in; it may be taken in
        self.free.set()

    async def accept(self, event: Event) -> bool:
        self._work()
        self.busy.set()
        await self.free.wait()
        self.accepted.append(event)
        return True

    def refused(self) -> None:
        self.refusals += 1

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
        return [session for session in self.sessions if session.thread.channel == channel][:50]  # as many as an inbox

    async def preferences(self, platform: str, workspace: str, user_id: str) -> Preferences:
        del platform, workspace
        self._work()
        return self.wishes.get(user_id, NO_PREFERENCES)

    async def set_preferences(
        self, platform: str, workspace: str, user_id: str, wishes: Mapping[str, object]
    ) -> Preferences:
        kept = self.wishes[user_id] = changed(await self.preferences(platform, workspace, user_id), wishes)
        return kept

    async def count_open(self, platform: str, workspace: str, channel: str, author: Author) -> int:
        del platform, workspace, author
        self._work()
        return sum(session.thread.channel == channel for session in self.sessions)

    async def forget(self, platform: str, workspace: str, author: Author) -> int:
        self._work()
        self.forgotten.append(f"{platform}:{workspace}:{author.id}")
        return len(self.kept)

    async def export(self, platform: str, workspace: str, author: Author) -> Kept:
        del platform, workspace, author
        self._work()
        return Kept(tuple(self.kept))

    def _reset(self, what: str, author: Author) -> ResetOutcome:
        self._work()
        self.resets.append((what, author.id))
        return self.outcome

    def _work(self) -> None:
        if self.out_of_order:
            self.out_of_order -= 1
            raise StoreUnavailable("the database is away")


@dataclass
class Services:
    """A work layer by its services. Implements port.WorkLayer."""

    inbox: Intake
    sessions: SessionResets
    personal_data: PersonalRecords


def services_of(ledger: Ledger) -> Services:
    """The services that this ledger is, all of them."""
    return Services(ledger, ledger, ledger)


@dataclass
class Ears:
    """The edge's listeners, connected to a playground, with a ledger behind them."""

    server: PlaygroundServer
    ledger: Ledger
    connection: SocketMode | HttpMode
    client: AsyncWebClient

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

    def accepted(self, kind: type[E]) -> list[E]:
        """The events of this kind that were taken in."""
        return [event for event in self.ledger.accepted if isinstance(event, kind)]

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
        app = build_app(client, await identify(client), services_of(ledger), settings, clock=SettableClock().now)
        connection = await stack.enter_async_context(connect(app, settings))
        await playground.workspace.until(lambda: playground.sockets.open == CONNECTIONS)
        yield Ears(playground, ledger, connection, client)
