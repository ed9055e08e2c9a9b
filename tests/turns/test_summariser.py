"""The summariser: it writes a session's summary in the background, and later requests show it."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from bot.errors import ModelError, Trouble
from bot.llm import LLM, NO_PARAMETERS, Done, Parameters
from bot.prompt.budget import Budget
from bot.prompt.compose import Compaction
from bot.prompt.history import ChatMessage, Turn
from bot.prompt.marks import MISSING, SUMMARY_ENDS
from bot.prompt.summary_parts import FAN
from bot.store import summaries
from bot.store.engine import Store
from bot.testing import PausedStep, ScriptedLLM, SettableClock
from bot.turns.summariser import RETRY
from bot.turns.summary_queue import SummaryJob
from tests.support.builders import ANA, BEN, THREAD, deletion, mention, reset
from tests.support.narrow_model import asks_for_summary
from tests.support.store_driver import StoreDriver, lapse
from tests.support.work_layer import WorkLayer

LONG = "please tell me " * 20  # about 80 tokens
BUDGET = 400
SUMMARY = "Ana's code is 7319."


class NumberingModel:
    """A model that answers every question alike and numbers its summaries.

    The first summary may be another text, or an error.
    """

    def __init__(self, first: ModelError | str | None = None) -> None:
        self.questions: list[Sequence[ChatMessage]] = []
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
            self.questions.append(messages)
            return "fine"
        self.compacted.append(messages[1]["content"])
        if self._first is None or len(self.compacted) > 1:
            return f"Summary number {len(self.compacted)}."
        if isinstance(self._first, ModelError):
            raise self._first
        return self._first


@asynccontextmanager
async def narrow_work_layer(
    store: Store, llm: LLM, clock: SettableClock, owner: str = "here"
) -> AsyncIterator[WorkLayer]:
    """Open a work layer with little room for history."""
    budget = Budget(window_tokens=100_000, answer_tokens=1_000, history_tokens=BUDGET)
    work_layer = WorkLayer(store, llm, clock, owner=owner, budget=budget)
    yield work_layer
    await work_layer.worker.stop(drain_seconds=0)
    await work_layer.summariser.stop()


@pytest.fixture
async def narrow(store: Store, llm: ScriptedLLM, clock: SettableClock) -> AsyncIterator[WorkLayer]:
    """Open one with the scripted model, and an adapter that knows Ana's name."""
    async with narrow_work_layer(store, llm, clock) as work_layer:
        work_layer.adapter.people = {"U-ANA": "Ana"}
        yield work_layer


async def filled(driver: StoreDriver, turns: int = 4) -> None:
    """Answer so many turns that the next one is crowded. The second one holds a fact."""
    for number in range(1, turns + 1):
        fact = " my code is 7319" if number == 2 else ""
        await driver.answer(mention(f"{number} {LONG}{fact}", f"{number}.0"), f"answer {number}")


async def asks(work_layer: WorkLayer, text: str, message_id: str, replies: int) -> None:
    """Ask a question, and wait until its answer is shown and settled. Do not wait for a summary."""
    await work_layer.inbox.accept(mention(text, message_id))
    await work_layer.adapter.shown(THREAD, replies)
    await work_layer.worker.idle()


def shown(llm: ScriptedLLM, call: int = -1) -> Sequence[ChatMessage]:
    """Return the messages of a request, without the instructions."""
    return llm.calls[call].messages[1:]


async def summarised(work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM) -> None:
    """Answer a fifth turn, and wait for the summary of the oldest ones."""
    await filled(driver)
    llm.script("fine")
    llm.script(SUMMARY)
    await asks(work_layer, "five", "5.0", 1)
    await work_layer.summariser.idle()


def apart(text: str) -> tuple[str, str]:
    """Split a message into the summary at its beginning and its own text."""
    summary, _, message = text.rpartition(f"{SUMMARY_ENDS}\n\n")
    return summary, message


async def test_the_oldest_turns_are_replaced_by_a_summary(
    narrow: WorkLayer, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """The next request has a summary in place of the oldest turns, and the newest turns unchanged."""
    await summarised(narrow, driver, llm)
    llm.script("fine")
    await asks(narrow, "six", "6.0", 2)

    summary, first = apart(shown(llm)[0]["content"])
    turns = [first, *(message["content"] for message in shown(llm)[1:])]
    assert SUMMARY in summary
    assert [turn.split()[0] for turn in turns] == ["3", "answer", "4", "answer", "five", "fine", "six"]


async def test_the_model_summarises_with_names(narrow: WorkLayer, driver: StoreDriver, llm: ScriptedLLM) -> None:
    """The model reads the old summary and the turns that are dropped, with names, and no turn that stays."""
    await summarised(narrow, driver, llm)

    [request] = shown(llm)
    assert asks_for_summary(llm.calls[-1].messages)
    assert "Ana: 2 please" in request["content"]
    assert "my code is 7319\nYou: answer 2" in request["content"]
    assert "answer 3" not in request["content"]


async def test_a_summary_is_made_of_parts_that_are_merged(store: Store, clock: SettableClock) -> None:
    """Each turn and each part is summarised once, and none is left out."""
    model = NumberingModel()
    async with narrow_work_layer(store, model, clock) as work_layer:
        for number in range(1, 45):
            await asks(work_layer, f"{number} {LONG}", f"{number:02}", number)
            await work_layer.summariser.idle()

    assert len(model.compacted) > FAN + 3
    assert 1 < ["number 1." in text for text in model.compacted].index(True) <= FAN
    gone = "".join(model.compacted)
    first_shown = int(apart(model.questions[-1][1]["content"])[1].split()[0])
    assert [gone.count(f"Somebody: {number} please") for number in range(1, first_shown)] == [1] * (first_shown - 1)
    assert all(gone.count(f"Summary number {number}.") <= 1 for number in range(1, len(model.compacted)))


async def test_nobody_waits_for_a_summary(narrow: WorkLayer, driver: StoreDriver, llm: ScriptedLLM) -> None:
    """While a summary is being written, the next turns are answered, and no second summary is begun."""
    await filled(driver)
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
    narrow: WorkLayer, driver: StoreDriver, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """Only one replica at a time writes the summary of a session."""
    await filled(driver)
    hold = PausedStep()
    llm.script("fine")
    llm.script(hold, SUMMARY)
    llm.script("fine, too")
    await asks(narrow, "five", "5.0", 1)
    await hold.reached()
    async with narrow_work_layer(driver.store, llm, clock, "there") as other:
        await asks(other, "six", "6.0", 1)
        await other.summariser.idle()
    hold.release()
    await narrow.summariser.idle()

    assert len(llm.calls) == 3


@pytest.mark.parametrize("failure", [ModelError(Trouble.UNAVAILABLE, "away"), "", "   "])
async def test_a_failed_summary_leaves_the_oldest_turns_out(
    store: Store, clock: SettableClock, failure: ModelError | str
) -> None:
    """A failed summary delays no answer.

    It is retried after a pause, not with every turn, and then covers all dropped turns.
    """
    model = NumberingModel(failure)
    async with narrow_work_layer(store, model, clock) as work_layer:
        for number in range(1, 11):
            await asks(work_layer, f"{number} {LONG}", f"{number:02}", number)
            await work_layer.summariser.idle()
        assert len(model.compacted) == 1
        clock.advance(RETRY * 2)
        await lapse(store)  # PostgreSQL's clock goes on by itself
        await asks(work_layer, f"11 {LONG}", "11", 11)
        await work_layer.summariser.idle()

    assert work_layer.adapter.replies[THREAD] == ["fine"] * 11
    assert len(model.questions[-1]) < 1 + 2 * 5
    caught_up = re.findall(r"Somebody: (\d+) ", "".join(model.compacted[1:]))
    assert caught_up == [str(number) for number in range(1, len(caught_up) + 1)]
    assert len(caught_up) >= 8


async def test_every_replica_shows_the_same_window(store: Store, clock: SettableClock) -> None:
    """Without a summary, half of the history is dropped at once. Then requests extend each other, from any replica."""
    model = NumberingModel(ModelError(Trouble.UNAVAILABLE, "away"))
    async with narrow_work_layer(store, model, clock) as here, narrow_work_layer(store, model, clock, "there") as there:
        for number in range(1, 13):
            work_layer = there if number % 2 else here
            await asks(work_layer, f"{number} {LONG}", f"{number:02}", (number + 1) // 2)
    first_shown = [request[1]["content"].removeprefix(MISSING).split()[0] for request in model.questions]

    assert first_shown == sorted(first_shown, key=int)
    assert first_shown[-1] != first_shown[0]
    assert len(set(first_shown[4:])) <= len(first_shown[4:]) // 2


async def test_a_summary_is_kept_short(narrow: WorkLayer, driver: StoreDriver, llm: ScriptedLLM) -> None:
    """The stream of a model that does not stop is closed, and the stored summary fits."""
    await filled(driver)
    llm.script("fine")
    llm.script(*["so it is and so it stays "] * 1_000)
    await asks(narrow, "five", "5.0", 1)
    await narrow.summariser.idle()

    assert llm.closed_early == 1
    assert len((await driver.store.run(summaries.window_of, "s1")).summary) < BUDGET


async def test_a_shutdown_does_not_wait_for_a_summary(narrow: WorkLayer, driver: StoreDriver, llm: ScriptedLLM) -> None:
    """A shutdown cancels the request at once, and nothing of it is stored."""
    await filled(driver)
    hold = PausedStep()
    llm.script("fine")
    llm.script("half of ", hold)
    await asks(narrow, "five", "5.0", 1)
    await hold.reached()
    await narrow.summariser.stop()

    assert llm.closed_early == 1
    assert (await driver.store.run(summaries.window_of, "s1")).summary == ""


async def test_a_shutdown_gives_the_lease_of_a_summary_up(
    narrow: WorkLayer, driver: StoreDriver, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """After a deploy another process can write the session's summary at once."""
    await filled(driver)
    hold = PausedStep()
    llm.script("fine")
    llm.script("half of ", hold)
    await asks(narrow, "five", "5.0", 1)
    await hold.reached()
    await narrow.summariser.stop()
    llm.script("fine")
    llm.script(SUMMARY)
    async with narrow_work_layer(driver.store, llm, clock, "there") as other:
        await asks(other, "six", "6.0", 1)
        await other.summariser.idle()

    assert (await driver.store.run(summaries.window_of, "s1")).summary == SUMMARY


async def test_a_reset_discards_a_summary_that_is_being_written(
    narrow: WorkLayer, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """The next session has no part of the summary."""
    await filled(driver)
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


async def test_a_deleted_message_is_in_no_summary_after_the_next_turn(
    narrow: WorkLayer, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """A deletion voids the summary at once. The next summary is written without the deleted text."""
    await summarised(narrow, driver, llm)
    await narrow.inbox.accept(deletion("2.0"))
    llm.script("fine")
    llm.script("They greeted each other.")
    await asks(narrow, "six", "6.0", 2)
    assert not llm.calls[-1].knows("7319")
    await narrow.summariser.idle()

    [request] = shown(llm)
    assert "Ana: 1 please" in request["content"]
    assert "7319" not in request["content"]


async def test_deleted_turns_are_not_summarised(narrow: WorkLayer, driver: StoreDriver, llm: ScriptedLLM) -> None:
    """If all turns to summarise were deleted, the model is not called, and the old summary covers them."""
    await summarised(narrow, driver, llm)
    for number in range(6, 10):
        await driver.answer(mention(f"{number} {LONG}", f"{number}.0"), "ok")
    for message_id in ("3.0", "4.0", "5.0", "6.0", "7.0"):
        await narrow.inbox.accept(deletion(message_id))
    before = await driver.store.run(summaries.window_of, "s1")
    narrow.summariser.compact(SummaryJob("s1", Compaction(before.after + 5, several=False), nobody))
    await narrow.summariser.idle()

    after = await driver.store.run(summaries.window_of, "s1")
    assert (after.summary, after.reaches, after.after) == (SUMMARY, before.reaches + 5, before.after + 5)
    assert len(llm.calls) == 2


async def nobody(turns: Sequence[Turn]) -> dict[str, str]:
    """Return no names."""
    assert not any(turn.messages for turn in turns)
    return {}


async def test_people_without_a_name_stay_apart_in_every_summary(store: Store, clock: SettableClock) -> None:
    """A person without a profile has the same label in all summaries and in all requests."""
    model = NumberingModel()
    async with narrow_work_layer(store, model, clock) as work_layer:
        for number in range(1, 25):
            by = BEN if number in {1, 3} or number > 12 else ANA
            await work_layer.inbox.accept(mention(f"{'ben' if by is BEN else 'ana'} {LONG}", f"{number:02}", by=by))
            await work_layer.adapter.shown(THREAD, number)
            await work_layer.worker.idle()
            await work_layer.summariser.idle()

    shown_texts = "".join(model.compacted) + "".join(str(request[1:]) for request in model.questions)
    assert len(set(re.findall(r"(Somebody[ ()2]*): (ana|ben) ", shown_texts))) == 2


async def test_a_message_that_exceeds_the_window_is_summarised_without_its_middle(
    narrow: WorkLayer, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """A message that exceeds the window is summarised by its beginning and its end."""
    await driver.answer(mention(f"begins {LONG * 100} ends", "1.0"), "long")
    for number in range(2, 5):
        await driver.answer(mention(f"{number} {LONG}", f"{number}.0"), f"answer {number}")
    for number in range(3):
        llm.script("fine" if number == 0 else SUMMARY)
    await asks(narrow, f"five {LONG}", "5.0", 1)
    await narrow.summariser.idle()

    [request] = shown(llm, 1)
    assert "Ana: begins" in request["content"]
    assert "characters left out" in request["content"]
    assert "ends\nYou: long" in request["content"]


async def test_several_people_stay_several_behind_a_summary(
    narrow: WorkLayer, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """Messages keep their names when the other people are only in the summary."""
    await driver.answer(mention(f"1 {LONG}", "1.0", by=BEN))
    for number in range(2, 5):
        await driver.answer(mention(f"{number} {LONG}", f"{number}.0", by=ANA))
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
