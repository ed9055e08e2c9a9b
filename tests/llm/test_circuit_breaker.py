"""The circuit breaker: when a model is left alone, who tries it again, and what opens the way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta

import pytest

from bot.errors import ModelError, Trouble
from bot.llm import NO_PARAMETERS, Done, Offer, Parameters
from bot.llm.circuit_breaker import COOL_DOWN, CircuitBreaker
from bot.testing import PausedStep, ScriptedLLM, SettableClock

DEAD = ModelError(Trouble.UNAVAILABLE, "no route")
SILENT = ModelError(Trouble.TIMEOUT, "silent")
OWN_FAULT = ModelError(Trouble.WINDOW_EXCEEDED, "too long")


class Desk:
    """A breaker that gives up after three failures, before a model that follows a script."""

    def __init__(self) -> None:
        self.model = ScriptedLLM()
        self.clock = SettableClock()
        self._breaker = CircuitBreaker(self.model, clock=self.clock.now, failures=3)

    async def ask(self, parameters: Parameters = NO_PARAMETERS) -> str:
        """The answer, or what went wrong."""
        try:
            async with aclosing(self._breaker.stream([], parameters)) as pieces:
                return "".join([piece async for piece in pieces if not isinstance(piece, Done)])
        except ModelError as error:
            return error.detail

    async def fail(self, *failures: ModelError, parameters: Parameters = NO_PARAMETERS) -> None:
        """Let one request after another fail."""
        for failure in failures:
            self.model.script(failure)
            assert await self.ask(parameters) == failure.detail

    async def refused(self, parameters: Parameters = NO_PARAMETERS) -> bool:
        """Whether a request is refused before it reaches the model."""
        asked = len(self.model.calls)
        await self.ask(parameters)
        return len(self.model.calls) == asked

    def cool_down(self) -> None:
        """Let the time go by after which one may try."""
        self.clock.advance(COOL_DOWN)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A desk whose model must have played its whole script in the end."""
    desk = Desk()
    yield desk
    desk.model.assert_done()


@pytest.fixture
async def broken(desk: Desk) -> Desk:
    """A desk whose model has just failed three times."""
    await desk.fail(DEAD, SILENT, DEAD)
    return desk


async def test_a_model_that_keeps_failing_is_left_alone(broken: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Until the time is up nobody asks it, and an operator reads how often and how it failed, and when it is tried."""
    broken.clock.advance(timedelta(seconds=5))

    said = await broken.ask()

    assert len(broken.model.calls) == 3
    assert "failed 3 times in a row" in said
    assert "no route" in said
    assert "10 s" in said
    assert [record.levelno for record in caplog.get_records("setup")] == [logging.ERROR]


async def test_too_few_failures_change_nothing(desk: Desk) -> None:
    """A whole answer ends the row of failures."""
    await desk.fail(DEAD, DEAD)
    desk.model.script("Yes")
    assert await desk.ask() == "Yes"
    await desk.fail(DEAD, DEAD)
    desk.model.script("Still here")

    assert await desk.ask() == "Still here"


async def test_first_words_are_no_answer_yet(desk: Desk) -> None:
    """A model that begins each answer and never ends one is left alone, too."""
    desk.model.script("Well", SILENT)
    desk.model.script("Well", SILENT)
    desk.model.script("Well", SILENT)
    for _ in range(3):
        await desk.ask()

    assert await desk.refused()


@pytest.mark.parametrize("trouble", [each for each in Trouble if each not in {Trouble.UNAVAILABLE, Trouble.TIMEOUT}])
async def test_a_requests_own_fault_is_not_counted(desk: Desk, trouble: Trouble) -> None:
    """It neither makes a row of failures longer nor ends it."""
    await desk.fail(DEAD, DEAD, *[ModelError(trouble, "its own")] * 5, DEAD)

    assert await desk.refused()


async def test_a_dead_model_takes_no_other_with_it(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Each of those that callers may choose is left alone by itself, and an operator reads which one."""
    await desk.fail(DEAD, DEAD, DEAD, parameters={"model": "other"})

    assert await desk.refused({"model": "other"})
    assert "the model other failed 3 times" in caplog.text
    desk.model.script("Yes")
    assert await desk.ask() == "Yes"


async def test_what_fails_with_a_callers_parameters_is_not_counted(desk: Desk) -> None:
    """The backend may have broken on them; whoever asks without them need not wait for it."""
    await desk.fail(DEAD, DEAD, DEAD, parameters={"temperature": 2})
    desk.model.script("Yes")
    assert await desk.ask() == "Yes"

    await desk.fail(DEAD, DEAD, DEAD)
    assert await desk.refused({"temperature": 2})
    desk.cool_down()
    await desk.fail(DEAD, DEAD, parameters={"temperature": 2})


async def test_what_fails_with_our_own_tools_is_counted(desk: Desk) -> None:
    """They are in nearly every request of a chat platform's."""
    await desk.fail(DEAD, DEAD, DEAD, parameters={"tools": Offer(), "tool_choice": "none"})

    assert await desk.refused()


async def test_one_tries_while_the_others_are_refused(broken: Desk) -> None:
    """After a while one request goes through, and nobody else until it is answered, however long that takes."""
    hold = PausedStep()
    broken.cool_down()
    broken.model.script(hold, "Back")
    trial = asyncio.create_task(broken.ask())
    await hold.reached()
    broken.cool_down()

    assert "being tried" in await broken.ask()

    hold.release()
    assert await trial == "Back"
    broken.model.script("And again")
    assert await broken.ask() == "And again"


async def test_the_first_word_of_a_trial_lets_all_in(broken: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """They need not wait for the end of its answer."""
    caplog.set_level(logging.INFO)
    hold = PausedStep()
    broken.cool_down()
    broken.model.script("I am", hold, " back")
    broken.model.script("Yes")
    trial = asyncio.create_task(broken.ask())
    await hold.reached()

    assert await broken.ask() == "Yes"

    hold.release()
    assert await trial == "I am back"
    assert "answers again" in caplog.text


async def test_a_trial_that_fails_is_the_last_for_a_while(broken: Desk) -> None:
    """One failure is enough, and the time begins anew."""
    broken.cool_down()
    await broken.fail(DEAD)

    assert await broken.refused()
    broken.cool_down()
    await broken.fail(DEAD)


async def test_a_trial_that_breaks_off_after_its_first_word(broken: Desk) -> None:
    """It let the others in for a moment; its failure sends them away again."""
    broken.cool_down()
    broken.model.script("I am", SILENT)
    await broken.ask()

    assert await broken.refused()


async def test_a_trial_that_is_cancelled_leaves_the_trial_to_the_next(broken: Desk) -> None:
    """A person's stop tells nothing of the model: the next request tries, and still only one."""
    hold, second = PausedStep(), PausedStep()
    broken.cool_down()
    broken.model.script(hold)
    trial = asyncio.create_task(broken.ask())
    await hold.reached()
    trial.cancel()
    await asyncio.wait([trial])

    broken.model.script(second, "Back")
    trial = asyncio.create_task(broken.ask())
    await second.reached()
    assert await broken.refused()
    second.release()
    assert await trial == "Back"


async def test_a_trial_with_a_fault_of_its_own_leaves_the_trial_to_the_next(broken: Desk) -> None:
    """It neither lets the others in nor keeps them out for longer."""
    broken.cool_down()
    await broken.fail(OWN_FAULT, DEAD)

    assert await broken.refused()


async def test_stragglers_do_not_make_it_longer(desk: Desk) -> None:
    """Requests that were under way when the model was given up fail later; the time is counted without them."""
    hold = PausedStep()
    desk.model.script(hold, SILENT)
    straggler = asyncio.create_task(desk.ask())
    await hold.reached()
    await desk.fail(DEAD, DEAD, DEAD)
    desk.cool_down()
    hold.release()
    await straggler
    desk.model.script("Back")

    assert await desk.ask() == "Back"


async def test_a_clock_set_back_does_not_make_it_longer(broken: Desk) -> None:
    """A time before the last failure is none to go by: the next request tries."""
    broken.clock.advance(-timedelta(hours=1))
    broken.model.script("Back")

    assert await broken.ask() == "Back"
