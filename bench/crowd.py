"""A crowd: many people mention the bot at once, and the model waits before each answer."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import psutil

from bench.figures import figure
from bench.subject import Subject, megabytes, running
from bench.surroundings import Surroundings, surroundings
from bot.playground.delivery.deliveries import ACK_WITHIN_S
from bot.playground.delivery.delivery import Delivery
from bot.playground.workspace.changes import Change, MessageChanged, MessagePosted
from bot.playground.workspace.messages import Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.workspace import Workspace
from bot.testing import PausedStep
from tests.support.openai_server import Says, instant

THINKS_S = 10.0  # for each answer
ANSWER = instant(10, "word ")
WHOLE = ("word " * 10).strip()
ANSWERED_WITHIN_S = 60.0  # for all answers to be whole
_LOOK_EVERY_S = 0.05  # sampling the memory


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one crowd and one bot."""

    together: int = figure("answers in flight together", 0)
    late: int = figure(f"acknowledgements later than {ACK_WITHIN_S:g} s", 0)
    slowest_ack_s: float = figure("slowest acknowledgement, s", 2)
    unanswered: int = figure("questions left without an answer", 0)
    twice: int = figure("questions answered more than once", 0)
    memory: float = figure("resident memory in MB, peak", 0)
    memory_after: float = figure("resident memory in MB, after it", 0)


class _Thinking(PausedStep):
    """A pause before the model's first token, for each request on its own. It counts the requests."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = self.now = self.most = 0

    async def pause(self) -> None:
        self.begun += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(THINKS_S)
        finally:
            self.now -= 1


class _Crowd:
    """Asks the questions of the crowd, and counts the answers."""

    def __init__(self, around: Surroundings) -> None:
        self.thinking = _Thinking()
        self._around = around
        self._whole: defaultdict[str, set[str]] = defaultdict(set)  # answers by thread
        self._asked: list[Message] = []
        around.says = Says((self.thinking, *ANSWER.steps))
        around.workspace.subscribe(self._see)

    async def ask(self, size: int) -> None:
        """Have so many people ask, and wait until the model has answered every request."""
        workspace = self._around.workspace
        channel, people = gather(workspace, size)
        question = f"<@{workspace.app.user_id}> My VPN drops every ten minutes since this morning. What can I do?"
        self._asked = [workspace.post(person, channel, question, raw=True) for person in people]
        with suppress(AssertionError):  # the figures show it
            await workspace.until(self._is_over, timeout_s=ANSWERED_WITHIN_S)

    def deliveries(self) -> list[Delivery]:
        """Return the deliveries of the questions. Slack sends each message as a mention, too."""
        asked = {message.ts for message in self._asked}
        return [made for made in self._around.slack.deliveries.all() if made.event.get("ts") in asked]

    def answers(self) -> list[int]:
        """Return the number of whole answers to each question."""
        return [len(self._whole[message.root]) for message in self._asked]

    def _see(self, change: Change) -> None:
        match change:
            case MessagePosted(message) | MessageChanged(message) if message.bot_id and not message.streaming_since:
                if message.shown_text.strip() == WHOLE:
                    self._whole[message.root].add(message.ts)
            case _:
                pass

    def _is_over(self) -> bool:
        if self.thinking.now:
            return False
        answers = self.answers()
        return all(answers) and sum(answers) >= self.thinking.begun


def gather(workspace: Workspace, size: int) -> tuple[Channel, Sequence[Person]]:
    """Let so many people join a channel, and return both."""
    people = [Person(f"U{n:09}", f"guest{n}", f"Guest {n}", workspace.team.id) for n in range(size)]
    workspace.people |= {person.id: person for person in people}
    channel = workspace.channel("help-desk")
    everybody = channel.members | {person.id for person in people}
    workspace.channels[channel.id] = dataclasses.replace(channel, members=everybody)
    return workspace.channels[channel.id], people


async def measure(subject: Subject, size: int) -> Figures:
    """Start the bot afresh, have the crowd ask it, and return the figures."""
    async with surroundings() as around, running(subject, around) as bot:
        crowd = _Crowd(around)
        async with _highest_memory(bot) as memory:
            await crowd.ask(size)
        deliveries, answers = crowd.deliveries(), crowd.answers()
        return Figures(
            together=crowd.thinking.most,
            late=sum(not delivery.attempts[0].acked_at for delivery in deliveries),
            slowest_ack_s=max(_took_s(delivery, around) for delivery in deliveries),
            unanswered=sum(not times for times in answers),
            twice=sum(times > 1 for times in answers),
            memory=max(memory),
            memory_after=megabytes(bot),
        )


def _took_s(delivery: Delivery, around: Surroundings) -> float:
    """Return the seconds from the first attempt to the first acknowledgement, or until now if there is none."""
    acknowledged = [attempt.acked_at for attempt in delivery.attempts if attempt.acked_at]
    end = acknowledged[0] if acknowledged else around.workspace.clock()
    return (end - delivery.attempts[0].at).total_seconds()


@asynccontextmanager
async def _highest_memory(bot: psutil.Process) -> AsyncIterator[list[float]]:
    """Sample the bot's memory repeatedly inside the block."""
    seen = [megabytes(bot)]

    async def look() -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            seen.append(megabytes(bot))

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        looking.cancel()
