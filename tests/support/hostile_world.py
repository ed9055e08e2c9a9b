"""The surroundings of an attack: the bot as a process behind Slack and HTTP, and people who mention it meanwhile.

The bench and the acceptance tests share it. Times are seconds of one clock.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bot import manifest
from bot.playground.delivery.delivery import Delivery
from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.changes import Change, MessageChanged, MessagePosted, StreamAppended
from bot.playground.workspace.messages import Message
from bot.playground.workspace.sample import harbour
from bot.playground.workspace.workspace import Workspace
from tests.support.openai_server import OpenAIServer, Reply, Request, says
from tests.support.process import Process
from tests.support.timeouts import GENEROUS_S

EVERY_S = 0.1  # between two mentions
QUESTION = "@attendant My VPN drops every ten minutes. What can I do?"
ANSWER = ("Please restart it, ", "and tell me what it says.")


@dataclass(frozen=True, slots=True)
class Waits:
    """How long people in Slack waited, a value for each mention."""

    acks: Sequence[float]
    first_words: Sequence[float]


@dataclass(slots=True)
class Mentions:
    """People who mention the bot, each in a thread of its own, while a block runs."""

    world: HostileWorld
    asked: list[Message] = field(default_factory=list)
    _first_words_at: dict[str, datetime] = field(default_factory=dict)  # by the thread's root
    _timer: asyncio.TimerHandle | None = None

    async def more(self, count: int) -> None:
        """Wait until people have mentioned the bot so many times from now on."""
        wanted = len(self.asked) + count
        await self.world.workspace.until(lambda: len(self.asked) >= wanted, timeout_s=GENEROUS_S)

    def ask_on(self) -> None:
        """Mention the bot, now and again and again, until `stop`."""
        people, channel = list(self.world.workspace.people.values()), self.world.workspace.channel("help-desk")
        person = people[len(self.asked) % len(people)]
        self.asked.append(self.world.workspace.post(person, channel, QUESTION))
        self._timer = asyncio.get_running_loop().call_later(EVERY_S, self.ask_on)

    def stop(self) -> None:
        """Mention the bot no more."""
        if self._timer is not None:
            self._timer.cancel()

    def see(self, change: Change) -> None:
        """Note the first words of each answer."""
        match change:
            case MessagePosted(message) | MessageChanged(message) | StreamAppended(message) if message.bot_id:
                if message.shown_text:
                    self._first_words_at.setdefault(message.root, self.world.workspace.clock())
            case _:
                pass

    def waits(self) -> Waits:
        """Return how long everybody waited. All mentions have their answers."""
        asked = {message.ts: message for message in self.asked}
        deliveries = [made for made in self.world.slack.deliveries.all() if made.event.get("ts") in asked]
        return Waits(
            [_acked_after_s(made) for made in deliveries],
            [self._first_words_at[root].timestamp() - float(root) for root in asked],
        )


@dataclass(slots=True)
class HostileWorld:
    """The workspace, the model, and the bot's process with its gateway."""

    workspace: Workspace
    slack: PlaygroundServer
    model: OpenAIServer
    folder: Path
    environ: dict[str, str]
    answer: Callable[[Request], Reply] | None = None  # of an attack's requests; the usual answer without one
    address: str = ""
    keys: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        """The gateway's port."""
        return int(self.address.rpartition(":")[2])

    @asynccontextmanager
    async def mentions(self) -> AsyncIterator[Mentions]:
        """Have people mention the bot inside the block. At its end, wait until each has one whole answer."""
        mentions = Mentions(self)
        forget = self.workspace.subscribe(mentions.see)
        mentions.ask_on()
        try:
            yield mentions
        finally:
            mentions.stop()
        await self.workspace.until(lambda: all(map(self.is_answered, mentions.asked)), timeout_s=GENEROUS_S)
        forget()

    async def talk(self, messages: int) -> str:
        """Write so many messages into a new thread, each after the answer to the one before. Return its root."""
        root = ""
        for number in range(messages):
            root = await self.say(root, f"question {number}")
        return root

    async def say(self, root: str, text: str) -> str:
        """Write a message in this thread, or in a new one, and wait for the answer. Return the thread's root."""
        person, channel = self.workspace.person("ana"), self.workspace.channel("help-desk")
        before = len(self._answers(channel.id, root)) if root else 0
        root = self.workspace.post(person, channel, f"@attendant {text}", root or None).root

        def is_over() -> bool:
            answers = self._answers(channel.id, root)
            return len(answers) > before and not answers[-1].streaming_since

        await self.workspace.until(is_over, timeout_s=GENEROUS_S)
        return root

    def is_answered(self, asked: Message) -> bool:
        """Return whether the question's thread has one answer, and that it is whole."""
        answers = self._answers(asked.channel, asked.root)
        return [each.shown_text for each in answers] == ["".join(ANSWER)] and not answers[0].streaming_since

    def reply(self, request: Request) -> Reply:
        """Answer a mention as usual, and an attack's request by `answer`."""
        is_mention = any(QUESTION.partition(" ")[2] in str(text) for text in request.texts[-1:])
        return says(*ANSWER) if is_mention or self.answer is None else self.answer(request)

    def _answers(self, channel: str, root: str) -> list[Message]:
        thread = self.workspace.thread(self.workspace.channels[channel], root)
        return [message for message in thread if message.bot_id == self.workspace.app.bot_id]


def _acked_after_s(delivery: Delivery) -> float:
    """Return the seconds from the first attempt to the first acknowledgement."""
    acked_at = min(attempt.acked_at for attempt in delivery.attempts if attempt.acked_at is not None)
    return (acked_at - delivery.attempts[0].at).total_seconds()


@asynccontextmanager
async def hostile_world(
    folder: Path, *, keys: int = 1, environ: Mapping[str, str] | None = None
) -> AsyncIterator[HostileWorld]:
    """Run the bot as a process with so many API keys and these settings."""
    described = manifest.read(manifest.document())
    workspace = harbour(described, clock=lambda: datetime.now(UTC), rng=random.Random(7))  # noqa: S311 - repeats itself
    slack = PlaygroundServer(workspace)
    await slack.start(0)
    model = OpenAIServer(lambda request: world.reply(request), keep=50_000)  # noqa: PLW0108 - it has no world yet
    world = HostileWorld(workspace, slack, model, folder, {})
    await world.model.start()
    world.environ = {**_environ(world), **(environ or {})}
    for number in range(keys):
        made = await Process.run(folder, world.environ, "keys", "create", f"key-{number}")
        world.keys += [line for line in made.lines if line.startswith("sk-att-")]
    try:
        async with Process.running(folder, world.environ, "run") as process:
            line = await process.says("Attendant is running")
            world.address = re.findall(r"http://[^/ ]+", line)[0]
            await workspace.until(lambda: workspace.connected, timeout_s=GENEROUS_S)
            yield world
    finally:
        await slack.stop()
        await world.model.stop()


def _environ(world: HostileWorld) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    return inherited | {
        "SLACK_BOT_TOKEN": world.workspace.app.bot_token,
        "SLACK_APP_TOKEN": world.workspace.app.app_token,
        "SLACK_API_URL": world.slack.api_url,
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": world.model.base_url,
        "DATABASE_URL": f"sqlite:///{world.folder / 'attendant.db'}",
        "GATEWAY_PORT": "0",
    }
