"""The store's promises under any order of events: random histories, checked against a few lines of plain Python."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import defaultdict
from dataclasses import dataclass, field

import pytest

from bot.events import Author, Thread
from bot.sessions import ResetOutcome
from bot.store.claims import Claim
from bot.store.engine import Store
from bot.store.tables import messages, sessions, turns
from bot.testing import SettableClock
from tests.books import MINUTE, Books
from tests.builders import ANA, BEN, mention, reset, thread

PEOPLE = (ANA, BEN)
STEPS = 60


@dataclass
class Model:
    """What must be true of a thread: the words of its open session, and what is still owed."""

    session: list[str] = field(default_factory=list)
    took_part: set[Author] = field(default_factory=set)
    owed: list[str] = field(default_factory=list)
    running: Claim | None = None

    def forget(self) -> None:
        """Start over."""
        self.session, self.took_part = [], set()
        self.owed = [text for text in self.owed if text == ""]  # a confirmation is owed all the same

    def wants(self, claim: Claim) -> bool:
        """Whether this claim's answer is still asked for."""
        return claim.fixed_reply is not None or claim.said[0].text in self.session


class History:
    """Takes random steps with the store and the model side by side."""

    def __init__(self, books: Books, chance: random.Random) -> None:
        self.books = books
        self.chance = chance
        self.models: defaultdict[Thread, Model] = defaultdict(Model)
        self.ids: dict[Thread, int] = {}
        self.answered: list[str] = []
        self.numbers = itertools.count(1)

    async def step(self) -> None:
        """One event in one of three threads."""
        where = thread(self.chance.randrange(3))
        steps = (self.write, self.write, self.write, self.ask_reset, self.claim, self.claim, self.settle, self.settle)
        await self.chance.choice((*steps, self.crash))(where)

    async def write(self, where: Thread) -> None:
        """Somebody writes; the message may be delivered twice."""
        number, who = next(self.numbers), self.chance.choice(PEOPLE)
        text = f"{where.root} {number}"
        event = mention(text, f"{number:06}", by=who, in_=where)
        self.ids[where] = await self.books.accepted(event)
        if self.chance.random() < 0.3:
            assert await self.books.accept(event) is None
        model = self.models[where]
        model.session.append(text)
        model.owed.append(text)
        model.took_part.add(who)

    async def ask_reset(self, where: Thread) -> None:
        """Somebody writes `!reset`, where the bot takes part."""
        if where not in self.ids:
            return
        who, model = self.chance.choice(PEOPLE), self.models[where]
        expected = ResetOutcome.DONE if who in model.took_part else ResetOutcome.NOT_YOURS
        expected = expected if model.took_part else ResetOutcome.NOTHING
        assert await self.books.accept_reset(reset(f"{next(self.numbers):06}", by=who, in_=where)) is expected
        if expected is ResetOutcome.DONE:
            model.forget()
        model.owed.append("")

    async def claim(self, where: Thread) -> None:
        """A worker takes the thread up: it gets the oldest of what is owed, and sees its session's words alone."""
        model = self.models[where]
        if where not in self.ids:
            return
        claim = await self.books.claim(self.ids[where])
        assert (claim is not None) is (model.running is None and bool(model.owed))
        if claim is None:
            return
        model.running = claim
        texts = [said.text for said in claim.said]
        assert texts == (model.owed[:1] if claim.fixed_reply else list(itertools.takewhile(bool, model.owed)))
        del model.owed[: len(texts)]
        self.answered += [text for text in texts if text]
        if claim.session_id is not None:
            seen = [said.text for turn in await self.books.past(claim) for said in turn.said]
            assert set(seen) <= set(model.session)

    async def settle(self, where: Thread) -> None:
        """A worker finishes; it may when its session is still the open one."""
        model = self.models[where]
        if (claim := model.running) is not None:
            assert await self.books.settle(claim, f"to {claim.said[0].text}") is model.wants(claim)
            model.running = None

    async def crash(self, where: Thread) -> None:
        """Every worker dies and its lease runs out; what they did is taken over, unless its session is gone."""
        del where
        self.books.now += 2 * MINUTE
        for model in self.models.values():
            if model.running is not None:
                model.running = await self._taken_over(model.running) if model.wants(model.running) else None

    async def _taken_over(self, claim: Claim) -> Claim:
        again = await self.books.claimed(claim.thread_id, "two")
        assert (again.turn_id, again.said, again.attempt) == (claim.turn_id, claim.said, claim.attempt + 1)
        assert not await self.books.settle(claim, "late")
        return again

    async def finish(self) -> None:
        """Answer all that is owed."""
        for where in self.ids:
            while self.models[where].running is not None or self.models[where].owed:
                await self.settle(where)
                await self.claim(where)


@pytest.mark.parametrize("seed", range(15))
async def test_every_accepted_message_ends_in_exactly_one_turn(empty_sqlite_url: str, seed: int) -> None:
    """Whatever happens in whatever order, nothing is lost, answered twice, or shown to another session."""
    store = Store(empty_sqlite_url)
    history = History(Books(store, SettableClock()), random.Random(seed))  # noqa: S311 - to be repeated
    for _ in range(STEPS):
        await history.step()
    await history.finish()

    turn_of = {row.id: row for row in await history.books.rows(turns)}
    for message in await history.books.rows(messages):
        assert turn_of[message.turn_id].session_id == message.session_id
        assert turn_of[message.turn_id].state in {"answered", "superseded"}
    assert len(history.answered) == len(set(history.answered))
    await store.close()


async def test_replicas_answer_everything_once(books: Books) -> None:
    """Two replicas that accept, claim and settle at the same time answer every message in one turn, in order."""
    places = [thread(number) for number in range(4)]

    async def writes(place: Thread) -> None:
        for number in range(10):
            await books.accept(mention(str(number), f"{number:06}", in_=place))

    async def works(owner: str, found: list[Claim]) -> None:
        for _ in range(60):
            for thread_id in range(1, len(places) + 1):
                if (claim := await books.claim(thread_id, owner)) is not None:
                    found.append(claim)
                    await books.settle(claim)

    claims: list[Claim] = []
    await asyncio.gather(*(writes(place) for place in places), works("one", claims), works("two", claims))
    await works("three", claims)

    for place in places:
        said = [said.text for claim in claims if claim.thread == place for said in claim.said]
        assert said == [str(number) for number in range(10)]
    assert len(await books.rows(sessions)) == len(places)
