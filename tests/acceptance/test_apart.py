"""A hundred threads at once, each with its secrets, through resets, expiries, edits and restarts: no word crosses."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from bot import app
from bot.config.settings import Settings
from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.messages import Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.workspace import Workspace
from bot.services import PlatformServices
from bot.testing import SettableClock
from tests.support.openai_server import OpenAIServer, Request, says
from tests.support.room import playground, settings_for
from tests.support.timeouts import GENEROUS_S

THREADS = 100
ROUNDS = 6
SECRET = re.compile(r"secret-(\d+)-(\d+)-\d+")
CHANNELS = ("help-desk", "general")


@dataclass(slots=True)
class Place:
    """A thread, the person who talks there, and the number of resets so far."""

    number: int
    channel: Channel
    people: list[Person]
    root: Message
    called: bool  # the bot takes part
    era: int = 0
    said: list[tuple[Person, Message]] = field(default_factory=list)
    count: int = 0

    def words(self) -> str:
        """Something that only this thread knows, in this era."""
        self.count += 1
        return f"secret-{self.number}-{self.era}-{self.count}"


@dataclass(slots=True)
class Crowd:
    """The workspace, the model that recites each request, and the bot that runs now."""

    workspace: Workspace
    server: PlaygroundServer
    model: OpenAIServer
    clock: SettableClock
    settings: Settings
    rng: random.Random
    stack: AsyncExitStack
    bot: app.Bot[PlatformServices] | None = None
    places: list[Place] = field(default_factory=list)

    async def restart(self) -> None:
        """Another process goes on with the same database."""
        await self.stack.aclose()
        self.bot = await self.stack.enter_async_context(app.slack_bot(self.settings, clock=self.clock.now))

    def begin(self, number: int) -> None:
        """A thread: some ask the bot at once, in others people talk first and call it later."""
        people = self.rng.sample(list(self.workspace.people.values()), 3)
        channel = self.workspace.channel(self.rng.choice(CHANNELS))
        called = self.rng.random() < 0.5
        text = f"{'@attendant ' if called else ''}secret-{number}-0-0"
        root = self.workspace.post(people[0], channel, text)
        place = Place(number, channel, people, root, called)
        for _ in range(0 if called else 3):
            self.say(place, self.rng.choice(people))
        self.places.append(place)

    def say(self, place: Place, person: Person, text: str = "{}") -> None:
        """Somebody writes a secret in the thread."""
        message = self.workspace.post(person, place.channel, text.format(place.words()), place.root.ts)
        place.said.append((person, message))

    def go_on(self, place: Place) -> None:
        """Have something happen in the thread: a message, an edit or a reset."""
        chance = self.rng.random()
        if not place.called or chance < 0.5:
            self.say(place, self.rng.choice(place.people), "{}" if place.called else "@attendant {}")
            place.called = True
        elif chance < 0.65 and place.said:
            person, message = self.rng.choice(place.said)
            if (found := self.workspace.transcript.find(message.channel, message.ts)) is not None:
                self.workspace.edit(person, found, f"{found.text} and {place.words()}")
        elif chance < 0.8:
            self.start_over(place)

    def start_over(self, place: Place) -> None:
        """Have a participant reset the thread. Secrets from now on belong to the next era."""
        for person in place.people:
            self.workspace.post(person, place.channel, "!reset", place.root.ts)
        self.forgotten(place)

    def forgotten(self, place: Place) -> None:
        """Note that everything in the thread is forgotten."""
        place.era += 1
        place.said.clear()

    async def quiet(self) -> None:
        """Wait until every event is acknowledged, and every answer is given and stored."""
        assert self.bot is not None
        deliveries = self.server.deliveries
        await self.workspace.until(lambda: all(d.acknowledged for d in deliveries.all()), timeout_s=GENEROUS_S)
        await self.bot.services.worker.poll()
        await self.bot.services.worker.idle()


@pytest.fixture
async def crowd(tmp_path: Path) -> AsyncIterator[Crowd]:
    """An empty workspace's worth of threads, on SQLite."""
    clock = SettableClock()
    async with AsyncExitStack() as outer:
        model = OpenAIServer(lambda _: says("noted"), keep=5_000)
        await model.start()
        outer.push_async_callback(model.stop)
        workspace, server = await outer.enter_async_context(playground(clock.now))
        settings = settings_for(workspace, server, model, database_url=f"sqlite:///{tmp_path / 'attendant.db'}")
        bots = await outer.enter_async_context(AsyncExitStack())
        rng = random.Random(20)  # noqa: S311 - a test repeats itself
        yield Crowd(workspace, server, model, clock, settings, rng, bots)


def crossed(request: Request) -> bool:
    """Whether a request holds secrets of two threads, or of before and after a reset of one."""
    return len({found.groups() for text in request.texts for found in SECRET.finditer(text)}) != 1


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_no_word_crosses(crowd: Crowd) -> None:
    """Each request to the model holds only words of one thread, written since its last reset."""
    await crowd.restart()
    for number in range(THREADS):
        crowd.begin(number)
    await crowd.quiet()
    for round_number in range(ROUNDS):
        await crowd.restart()
        crowd.rng.shuffle(crowd.places)
        for place in crowd.places:
            crowd.go_on(place)
        await crowd.quiet()
        if round_number % 3 == 1:
            crowd.clock.advance(timedelta(hours=24, seconds=1))
            for place in crowd.places:
                crowd.forgotten(place)

    assert [request.texts for request in crowd.model.requests if crossed(request)] == []
    asked = Counter(SECRET.search(request.texts[-1])[1] for request in crowd.model.requests if request.texts)  # type: ignore[index] # each holds one
    assert len(asked) == THREADS
    assert len(crowd.model.requests) > 2 * THREADS
