"""The store's promises under any order of events: random histories, compared with a model in plain Python."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import defaultdict
from dataclasses import dataclass, field

import pytest

from bot.domain.events import Author, Thread
from bot.domain.sessions import EditOutcome, Interrupted, ResetOutcome, StopOutcome
from bot.store.claims import PlatformClaim
from bot.store.engine import Store
from bot.store.tables import MESSAGES, SESSIONS, TURNS
from bot.testing import SettableClock
from tests.support.builders import ANA, BEN, CHI, deletion, edit, mention, reset, stop, thread
from tests.support.store_driver import StoreDriver, texts

PEOPLE = (ANA, BEN)
WRITERS = (*PEOPLE, CHI)  # Chi gives no commands, and is forgotten now and then
STEPS = 60


@dataclass
class Model:
    """The expected state of a thread: its open session's texts, the waiting messages, and the running turn."""

    session: list[str] = field(default_factory=list)
    took_part: set[Author] = field(default_factory=set)
    owed: list[str] = field(default_factory=list)  # "" is a command, which gets a fixed reply
    running: PlatformClaim | None = None
    questions: list[str] = field(default_factory=list)  # in the running turn
    interrupted: Interrupted | None = None

    @property
    def answering(self) -> bool:
        """Whether a turn that needs the model is running. A fixed reply needs none."""
        return self.running is not None and self.running.fixed_reply is None

    def interrupt(self, why: Interrupted) -> None:
        """Interrupt the running turn. A reset or an erasure takes precedence."""
        weaker = {Interrupted.EDITED: (None,), Interrupted.STOPPED: (None, Interrupted.EDITED)}
        if self.answering and (why not in weaker or self.interrupted in weaker[why]):
            self.interrupted = why

    def drop(self, text: str, why: Interrupted) -> None:
        """Erase a message in every state."""
        is_question = text in self.questions
        for words in (self.session, self.owed, self.questions):
            words[:] = [word for word in words if word != text]
        if is_question:
            self.interrupt(Interrupted.EDITED if self.questions else why)

    def forget(self) -> None:
        """Reset the session."""
        self.interrupt(Interrupted.RESET)
        self.session, self.took_part = [], set()
        self.questions = ["" for _ in self.questions]  # their texts are erased
        self.drop_what_waits()  # the command is still replied to

    def drop_what_waits(self) -> None:
        """Drop all waiting messages."""
        self.owed = [text for text in self.owed if text == ""]


class History:
    """Applies random steps to the store and to the model."""

    def __init__(self, driver: StoreDriver, chance: random.Random) -> None:
        self.driver = driver
        self.chance = chance
        self.models: defaultdict[Thread, Model] = defaultdict(Model)
        self.ids: dict[Thread, int] = {}
        self.authors: dict[str, Author] = {}  # by message
        self.answered: list[str] = []
        self.numbers = itertools.count(1)

    async def step(self) -> None:
        """Take one step in one of three threads; the first step is a message."""
        where = thread(self.chance.randrange(3))
        often = (self.write, self.claim, self.settle)
        steps = (*often, *often, self.ask_reset, self.stop, self.edit, self.delete, self.forget_chi, self.crash)
        await (self.chance.choice(steps) if where in self.ids else self.write)(where)

    async def write(self, where: Thread) -> None:
        """Write a message, which may be delivered twice."""
        number, who = next(self.numbers), self.chance.choice(WRITERS)
        self.authors[f"{number:06}"] = who
        text = f"{where.root} {number:06}"
        event = mention(text, f"{number:06}", by=who, in_=where)
        self.ids[where] = await self.driver.accepted(event)
        if self.chance.random() < 0.3:
            assert await self.driver.accept(event) is None
        model = self.models[where]
        model.session.append(text)
        model.owed.append(text)
        model.took_part.add(who)

    async def ask_reset(self, where: Thread) -> None:
        """Write `!reset`."""
        who, model = self.chance.choice(PEOPLE), self.models[where]
        expected = ResetOutcome.DONE if who in model.took_part else ResetOutcome.NOT_YOURS
        expected = expected if model.took_part else ResetOutcome.NOTHING
        assert await self.driver.accept_reset(reset(f"{next(self.numbers):06}", by=who, in_=where)) is expected
        if expected is ResetOutcome.DONE:
            model.forget()
        model.owed.append("")

    async def stop(self, where: Thread) -> None:
        """Write `!stop`. It ends the running turn, or else drops the waiting messages and gets a reply."""
        who, model = self.chance.choice(PEOPLE), self.models[where]
        expected = StopOutcome.NOT_BEGUN if any(model.owed) else StopOutcome.NOTHING_RUNS
        expected = StopOutcome.STOPPED if model.answering else expected
        expected = StopOutcome.NOT_YOURS if model.took_part and who not in model.took_part else expected
        assert await self.driver.accept_stop(stop(f"{next(self.numbers):06}", by=who, in_=where)) is expected
        if expected is StopOutcome.NOT_YOURS:
            model.owed.append("")
            return
        model.interrupt(Interrupted.STOPPED)
        if expected is not StopOutcome.STOPPED:
            model.drop_what_waits()
            model.owed.append("")

    async def delete(self, where: Thread) -> None:
        """Delete a message of the open session in any state."""
        model = self.models[where]
        if not model.session:
            return
        text = self.chance.choice(model.session)
        is_question = text in model.questions
        model.drop(text, Interrupted.DELETED)
        assert await self.driver.accept_deletion(deletion(text.split()[1], in_=where)) is is_question

    async def edit(self, where: Thread) -> None:
        """Edit a message of the open session in any state. The edit may be delivered twice."""
        model = self.models[where]
        if not model.session:
            return
        text = self.chance.choice(model.session)
        new, message_id = f"{text} again", text.split()[1]
        expected = EditOutcome.ANEW if text in model.questions else EditOutcome.REPLACED
        event = edit(new, message_id, at=next(self.numbers), in_=where)
        assert await self.driver.accept_edit(event) is expected
        assert await self.driver.accept_edit(event) is EditOutcome.NOTHING
        for words in (model.session, model.owed, model.questions):
            words[:] = [new if word == text else word for word in words]
        if expected is EditOutcome.ANEW:
            model.interrupt(Interrupted.EDITED)

    async def forget_chi(self, where: Thread) -> None:
        """Forget Chi in all threads."""
        del where
        if any("" in model.questions for model in self.models.values()):  # the authors of these are unknown
            return
        await self.driver.forget(CHI)
        for model in self.models.values():
            for text in [word for word in model.session if self.authors[word.split()[1]] == CHI]:
                model.drop(text, Interrupted.ERASED)
            if not model.session and CHI in model.took_part:  # the session is empty
                model.took_part.clear()
            model.took_part.discard(CHI)

    async def claim(self, where: Thread) -> None:
        """Claim the thread. The turn must have the oldest waiting messages and only its session's texts."""
        model = self.models[where]
        claim = await self.driver.claim(self.ids[where])
        assert (claim is not None) is (model.running is None and bool(model.owed))
        if claim is None:
            return
        taken = model.owed[:1] if claim.fixed_reply else list(itertools.takewhile(bool, model.owed))
        del model.owed[: len(taken)]
        model.running, model.questions = claim, [text for text in taken if text]
        assert texts(claim) == model.questions
        self.answered += model.questions
        if claim.session_id is not None:
            seen = {message.text for turn in await self.driver.past(claim) for message in turn.messages}
            assert seen == {*model.session} - {*model.owed} - {*model.questions}

    async def settle(self, where: Thread) -> None:
        """Settle the running turn. Its answer is stored unless an interruption ends the turn."""
        model = self.models[where]
        if model.running is not None and model.interrupted is Interrupted.EDITED:
            assert not await self.driver.settle(model.running, "to what was asked before")
            await self.take_over(model, "one")
        elif model.running is not None:
            remembered = model.interrupted in {None, Interrupted.STOPPED}
            assert await self.driver.settle(model.running) is remembered
            model.running, model.questions, model.interrupted = None, [], None

    async def crash(self, where: Thread) -> None:
        """Let every lease expire. Other workers take over the turns with the current texts."""
        del where
        await self.driver.lapse()
        for model in self.models.values():
            if (claim := model.running) is not None:
                await self.take_over(model, "two")
                assert not await self.driver.settle(claim, "late")

    async def take_over(self, model: Model, owner: str) -> None:
        """Take over an unfinished turn. It must have the remaining messages with their current texts."""
        assert model.running is not None
        claim, model.running = model.running, await self.driver.claimed(model.running.thread_id, owner)
        if model.interrupted is Interrupted.EDITED:
            model.interrupted = None
        again = model.running
        assert (again.turn_id, again.attempt, texts(again)) == (claim.turn_id, claim.attempt + 1, model.questions)
        assert (again.interrupted, again.failures < again.attempt) == (model.interrupted, True)

    async def finish(self) -> None:
        """Answer all waiting messages."""
        for where in self.ids:
            while self.models[where].running is not None or self.models[where].owed:
                await self.settle(where)
                await self.claim(where)


@pytest.mark.parametrize("seed", range(15))
async def test_every_accepted_message_ends_in_exactly_one_turn(empty_sqlite_url: str, seed: int) -> None:
    """In any order of events, no message is lost, answered twice, or shown to another session."""
    store = Store(empty_sqlite_url)
    history = History(StoreDriver(store, SettableClock()), random.Random(seed))  # noqa: S311 - to be repeated
    for _ in range(STEPS):
        await history.step()
    await history.finish()

    turn_of = {row.id: row for row in await history.driver.rows(TURNS)}
    for message in await history.driver.rows(MESSAGES):
        assert message.fixed_reply or turn_of[message.turn_id].session_id == message.session_id
        assert turn_of[message.turn_id].state in {"answered", "superseded", "stopped"}
    assert len(history.answered) == len(set(history.answered))
    await store.close()


async def test_replicas_answer_everything_once(driver: StoreDriver) -> None:
    """Two replicas that work at once answer every message in one turn, in order."""
    places = [thread(number) for number in range(4)]

    async def write(place: Thread) -> None:
        for number in range(10):
            await driver.accept(mention(str(number), f"{number:06}", in_=place))

    async def work(owner: str, claimed: list[PlatformClaim]) -> None:
        for _ in range(60):
            for thread_id in range(1, len(places) + 1):
                if (claim := await driver.claim(thread_id, owner)) is not None:
                    claimed.append(claim)
                    await driver.settle(claim)

    claims: list[PlatformClaim] = []
    await asyncio.gather(*(write(place) for place in places), work("one", claims), work("two", claims))
    await work("three", claims)

    for place in places:
        answered = [message.text for claim in claims if claim.thread == place for message in claim.utterances]
        assert answered == [str(number) for number in range(10)]
    assert len(await driver.rows(SESSIONS)) == len(places)
