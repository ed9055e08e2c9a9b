"""The summary of a session: written behind the answers' back, from what was said, and shown from then on."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from bot.errors import ModelError, Trouble
from bot.llm import LLM, NO_PARAMETERS, Done, Parameters
from bot.prompt.budget import Budget
from bot.prompt.compose import MISSING, SUMMARY_ENDS, Compaction
from bot.prompt.history import ChatMessage, Turn
from bot.store import summaries
from bot.store.engine import Store
from bot.testing import PausedStep, ScriptedLLM, SettableClock
from bot.turns.summariser import RETRY
from tests.support.builders import ANA, BEN, THREAD, deletion, mention, reset
from tests.support.narrow_model import asks_for_summary
from tests.support.store_driver import Books, lapse
from tests.support.work_layer import Desk

LONG = "please tell me " * 20  # about 80 tokens
BUDGET = 400
SUMMARY = "Ana's code is 7319."


class NumberingModel:
    """A model that answers every question alike, and numbers its summaries; the first may be something else."""

    def __init__(self, first: ModelError | str | None = None) -> None:
        self.asked: list[Sequence[ChatMessage]] = []
        self.compacted: list[str] = []
        self._first = first

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[str | Done]:
        """See LLM.stream."""
        del parameters
        yield self._answer(messages)
        yield Done("model", None)

    def _answer(self, messages: Sequence[ChatMessage]) -> str:
        if not asks_for_summary(messages):
            self.asked.append(messages)
            return "fine"
        self.compacted.append(messages[1]["content"])
        if self._first is None or len(self.compacted) > 1:
            return f"Summary number {len(self.compacted)}."
        if isinstance(self._first, ModelError):
            raise self._first
        return self._first


@asynccontextmanager
async def narrow_desk(store: Store, llm: LLM, clock: SettableClock, owner: str = "here") -> AsyncIterator[Desk]:
    """The work layer, with little room for history."""
    budget = Budget(window_tokens=100_000, answer_tokens=1_000, history_tokens=BUDGET)
    desk = Desk(store, llm, clock, owner=owner, budget=budget)
    yield desk
    await desk.worker.stop(drain_seconds=0)
    await desk.summariser.stop()


@pytest.fixture
async def narrow(store: Store, llm: ScriptedLLM, clock: SettableClock) -> AsyncIterator[Desk]:
    """The same, between the scripted model and an adapter that knows Ana's name."""
    async with narrow_desk(store, llm, clock) as desk:
        desk.adapter.people = {"U-ANA": "Ana"}
        yield desk


async def filled(books: Books, turns: int = 4) -> None:
    """A session that the next turn makes crowded; its second turn holds a fact."""
    for number in range(1, turns + 1):
        fact = " my code is 7319" if number == 2 else ""
        await books.answer(mention(f"{number} {LONG}{fact}", f"{number}.0"), f"answer {number}")


async def asks(desk: Desk, text: str, message_id: str, replies: int) -> None:
    """Somebody asks; the answer is shown and settled. Of a summary nothing is waited for."""
    await desk.inbox.accept(mention(text, message_id))
    await desk.adapter.shown(THREAD, replies)
    await desk.worker.idle()


def shown(llm: ScriptedLLM, call: int = -1) -> Sequence[ChatMessage]:
    """What the model was shown, besides the instructions."""
    return llm.calls[call].messages[1:]


async def summarised(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """A fifth turn has made a session crowded, and its oldest turns are a summary."""
    await filled(books)
    llm.script("fine")
    llm.script(SUMMARY)
    await asks(desk, "five", "5.0", 1)
    await desk.summariser.idle()


def apart(text: str) -> tuple[str, str]:
    """The summary, where a message opens with it, and the message."""
    summary, _, message = text.rpartition(f"{SUMMARY_ENDS}\n\n")
    return summary, message


async def test_what_no_longer_fits_is_summarised_and_shown_so(narrow: Desk, books: Books, llm: ScriptedLLM) -> None:
    """The oldest turns become a summary; the next request holds it in their place, and the newest as they were."""
    await summarised(narrow, books, llm)
    llm.script("fine")
    await asks(narrow, "six", "6.0", 2)

    summary, first = apart(shown(llm)[0]["content"])
    turns = [first, *(message["content"] for message in shown(llm)[1:])]
    assert SUMMARY in summary
    assert [turn.split()[0] for turn in turns] == ["3", "answer", "4", "answer", "five", "fine", "six"]


async def test_the_model_is_asked_to_fold_what_people_said_by_name(
    narrow: Desk, books: Books, llm: ScriptedLLM
) -> None:
    """It reads the old summary and the turns that go, as information, and no turn that stays."""
    await summarised(narrow, books, llm)

    [asked] = shown(llm)
    assert asks_for_summary(llm.calls[-1].messages)
    assert "Ana: 2 please" in asked["content"]
    assert "my code is 7319\nYou: answer 2" in asked["content"]
    assert "answer 3" not in asked["content"]


async def test_a_summary_is_made_of_the_last_one_and_what_came_since(store: Store, clock: SettableClock) -> None:
    """What was said long ago is carried on from summary to summary; each turn is read once, and none is left out."""
    model = NumberingModel()
    async with narrow_desk(store, model, clock) as desk:
        for number in range(1, 25):
            await asks(desk, f"{number} {LONG}", f"{number:02}", number)
            await desk.summariser.idle()

    assert len(model.compacted) > 3
    assert ["number 1." in text for text in model.compacted] == [False, True, *[False] * (len(model.compacted) - 2)]
    gone = "".join(model.compacted)
    first_shown = int(apart(model.asked[-1][1]["content"])[1].split()[0])
    assert [gone.count(f"Somebody: {number} please") for number in range(1, first_shown)] == [1] * (first_shown - 1)


async def test_nobody_waits_for_a_summary(narrow: Desk, books: Books, llm: ScriptedLLM) -> None:
    """While it is being written the next turns are answered, and no second one is begun."""
    await filled(books)
    hold = PausedStep()
    llm.script("fine")
    llm.script(hold, SUMMARY)
    llm.script("fine, too")
    await asks(narrow, "five", "5.0", 1)
    await hold.reached()
    await asks(narrow, "six", "6.0", 2)

    assert narrow.adapter.replies[THREAD] == ["fine", "fine, too"]
    hold.release()
    await narrow.summariser.idle()
    assert len(llm.calls) == 3


async def test_another_replica_writes_no_second_one(
    narrow: Desk, books: Books, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """One at a time writes a session's summary, wherever its turns are answered."""
    await filled(books)
    hold = PausedStep()
    llm.script("fine")
    llm.script(hold, SUMMARY)
    llm.script("fine, too")
    await asks(narrow, "five", "5.0", 1)
    await hold.reached()
    async with narrow_desk(books.store, llm, clock, "there") as other:
        await asks(other, "six", "6.0", 1)
        await other.summariser.idle()
    hold.release()
    await narrow.summariser.idle()

    assert len(llm.calls) == 3


@pytest.mark.parametrize("failure", [ModelError(Trouble.UNAVAILABLE, "away"), "", "   "])
async def test_where_it_fails_the_oldest_turns_are_simply_gone(
    store: Store, clock: SettableClock, failure: ModelError | str
) -> None:
    """The person notices nothing; it is tried again after a while, not with every turn, and then catches up."""
    model = NumberingModel(failure)
    async with narrow_desk(store, model, clock) as desk:
        for number in range(1, 11):
            await asks(desk, f"{number} {LONG}", f"{number:02}", number)
            await desk.summariser.idle()
        assert len(model.compacted) == 1
        clock.advance(RETRY * 2)
        await lapse(store)  # PostgreSQL's clock goes on by itself
        await asks(desk, f"11 {LONG}", "11", 11)
        await desk.summariser.idle()

    assert desk.adapter.replies[THREAD] == ["fine"] * 11
    assert len(model.asked[-1]) < 1 + 2 * 5
    caught_up = re.findall(r"Somebody: (\d+) ", "".join(model.compacted[1:]))
    assert caught_up == [str(number) for number in range(1, len(caught_up) + 1)]
    assert len(caught_up) >= 8


async def test_every_replica_shows_it_from_the_same_cut(store: Store, clock: SettableClock) -> None:
    """Where no summary helps half of the history goes at once; then requests extend each other, wherever made."""
    model = NumberingModel(ModelError(Trouble.UNAVAILABLE, "away"))
    async with narrow_desk(store, model, clock) as here, narrow_desk(store, model, clock, "there") as there:
        for number in range(1, 13):
            desk = there if number % 2 else here
            await asks(desk, f"{number} {LONG}", f"{number:02}", (number + 1) // 2)
    first_shown = [asked[1]["content"].removeprefix(MISSING).split()[0] for asked in model.asked]

    assert first_shown == sorted(first_shown, key=int)
    assert first_shown[-1] != first_shown[0]
    assert len(set(first_shown[4:])) <= len(first_shown[4:]) // 2


async def test_a_summary_is_kept_short(narrow: Desk, books: Books, llm: ScriptedLLM) -> None:
    """A model that goes on and on is cut off: its stream is closed, and what is kept fits."""
    await filled(books)
    llm.script("fine")
    llm.script(*["so it is and so it stays "] * 1_000)
    await asks(narrow, "five", "5.0", 1)
    await narrow.summariser.idle()

    assert llm.closed_early == 1
    assert len((await books.store.run(summaries.cut_of, "s1")).summary) < BUDGET


async def test_a_shutdown_does_not_wait_for_a_summary(narrow: Desk, books: Books, llm: ScriptedLLM) -> None:
    """Its request is closed at once, and nothing of it is stored."""
    await filled(books)
    hold = PausedStep()
    llm.script("fine")
    llm.script("half of ", hold)
    await asks(narrow, "five", "5.0", 1)
    await hold.reached()
    await narrow.summariser.stop()

    assert llm.closed_early == 1
    assert (await books.store.run(summaries.cut_of, "s1")).summary == ""


async def test_a_shutdown_gives_the_lease_of_a_summary_up(
    narrow: Desk, books: Books, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """After a deploy another process can write the session's summary at once."""
    await filled(books)
    hold = PausedStep()
    llm.script("fine")
    llm.script("half of ", hold)
    await asks(narrow, "five", "5.0", 1)
    await hold.reached()
    await narrow.summariser.stop()
    llm.script("fine")
    llm.script(SUMMARY)
    async with narrow_desk(books.store, llm, clock, "there") as other:
        await asks(other, "six", "6.0", 1)
        await other.summariser.idle()

    assert (await books.store.run(summaries.cut_of, "s1")).summary == SUMMARY


async def test_a_reset_discards_a_summary_that_is_being_written(narrow: Desk, books: Books, llm: ScriptedLLM) -> None:
    """The next session knows nothing of it."""
    await filled(books)
    hold = PausedStep()
    llm.script("fine")
    llm.script(hold, SUMMARY)
    await asks(narrow, "five", "5.0", 1)
    await hold.reached()
    await narrow.inbox.accept(reset("6.0"))
    hold.release()
    await narrow.summariser.idle()
    llm.script("hello")
    await asks(narrow, "seven", "7.0", 3)

    assert [message["content"] for message in shown(llm)] == ["seven"]


async def test_what_was_deleted_is_in_no_summary_after_the_next_turn(
    narrow: Desk, books: Books, llm: ScriptedLLM
) -> None:
    """The old summary is gone at once; the new one is made of all that is left, without the deleted words."""
    await summarised(narrow, books, llm)
    await narrow.inbox.accept(deletion("2.0"))
    llm.script("fine")
    llm.script("They greeted each other.")
    await asks(narrow, "six", "6.0", 2)
    assert not llm.calls[-1].knows("7319")
    await narrow.summariser.idle()

    [asked] = shown(llm)
    assert "Ana: 1 please" in asked["content"]
    assert "7319" not in asked["content"]


async def test_where_all_was_deleted_nothing_is_summarised(narrow: Desk, books: Books, llm: ScriptedLLM) -> None:
    """The model is not asked to sum up nothing: the summary that there is reaches behind what is gone, as it is."""
    await summarised(narrow, books, llm)
    for number in range(6, 10):
        await books.answer(mention(f"{number} {LONG}", f"{number}.0"), "ok")
    for message_id in ("3.0", "4.0", "5.0", "6.0", "7.0"):
        await narrow.inbox.accept(deletion(message_id))
    before = await books.store.run(summaries.cut_of, "s1")
    narrow.summariser.compact("s1", Compaction(before.after + 5, several=False), nobody)
    await narrow.summariser.idle()

    after = await books.store.run(summaries.cut_of, "s1")
    assert (after.summary, after.reaches, after.after) == (SUMMARY, before.reaches + 5, before.after + 5)
    assert len(llm.calls) == 2


async def nobody(turns: Sequence[Turn]) -> dict[str, str]:
    """No names: nobody is left."""
    assert not any(turn.messages for turn in turns)
    return {}


async def test_people_without_a_name_stay_apart_in_every_summary(store: Store, clock: SettableClock) -> None:
    """Who cannot be looked up is one and the same somebody in the summaries and in what is shown."""
    model = NumberingModel()
    async with narrow_desk(store, model, clock) as desk:
        for number in range(1, 25):
            by = BEN if number in {1, 3} or number > 12 else ANA
            await desk.inbox.accept(mention(f"{'ben' if by is BEN else 'ana'} {LONG}", f"{number:02}", by=by))
            await desk.adapter.shown(THREAD, number)
            await desk.worker.idle()
            await desk.summariser.idle()

    told = "".join(model.compacted) + "".join(str(asked[1:]) for asked in model.asked)
    assert len(set(re.findall(r"(Somebody[ ()2]*): (ana|ben) ", told))) == 2


async def test_a_message_that_exceeds_every_room_is_folded_without_its_middle(
    narrow: Desk, books: Books, llm: ScriptedLLM
) -> None:
    """The model that writes the summary has the same window as the one that answers: it is the same."""
    await books.answer(mention(f"begins {LONG * 100} ends", "1.0"), "long")
    for number in range(2, 5):
        await books.answer(mention(f"{number} {LONG}", f"{number}.0"), f"answer {number}")
    for number in range(3):
        llm.script("fine" if number == 0 else SUMMARY)
    await asks(narrow, f"five {LONG}", "5.0", 1)
    await narrow.summariser.idle()

    [asked] = shown(llm, 1)
    assert "Ana: begins" in asked["content"]
    assert "characters left out" in asked["content"]
    assert "ends\nYou: long" in asked["content"]


async def test_several_people_stay_several_behind_a_summary(narrow: Desk, books: Books, llm: ScriptedLLM) -> None:
    """Whoever is left in what is shown is named, as before."""
    await books.answer(mention(f"1 {LONG}", "1.0", by=BEN))
    for number in range(2, 5):
        await books.answer(mention(f"{number} {LONG}", f"{number}.0", by=ANA))
    llm.script("fine")
    llm.script(SUMMARY)
    await asks(narrow, "five", "5.0", 1)
    await narrow.summariser.idle()
    llm.script("fine")
    await asks(narrow, "six", "6.0", 2)

    assert [apart(message["content"])[1][:6] for message in shown(llm) if message["role"] == "user"] == [
        "Ana: 3",
        "Ana: 4",
        "Ana: f",
        "Ana: s",
    ]
