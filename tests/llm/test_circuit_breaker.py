"""The circuit breaker: when a circuit opens, the trial request, and when the circuit closes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta

import pytest

from bot.errors import ModelError, Trouble
from bot.llm import NO_PARAMETERS, Offer, Parameters
from bot.llm.callers import CallersParameters
from bot.llm.circuit_breaker import COOL_DOWN, CircuitBreaker
from bot.testing import PausedStep, ScriptedLLM, SettableClock

DEAD = ModelError(Trouble.UNAVAILABLE, "no route")
SILENT = ModelError(Trouble.TIMEOUT, "silent")
OWN_FAULT = ModelError(Trouble.WINDOW_EXCEEDED, "too long")
ONE, OTHER = CallersParameters({}, "key-1"), CallersParameters({}, "key-2")


class Caller:
    """Asks a scripted model through a breaker that opens after three failures."""

    def __init__(self) -> None:
        self.model = ScriptedLLM()
        self.clock = SettableClock()
        self._breaker = CircuitBreaker(self.model, clock=self.clock.now, failures=3)

    async def ask(self, parameters: Parameters = NO_PARAMETERS) -> str:
        """Return the answer, or the detail of its error."""
        try:
            async with aclosing(self._breaker.stream([], parameters)) as pieces:
                return "".join([piece async for piece in pieces if isinstance(piece, str)])
        except ModelError as error:
            return error.detail

    async def fail(self, *failures: ModelError, parameters: Parameters = NO_PARAMETERS) -> None:
        """Make one request after another fail."""
        for failure in failures:
            self.model.script(failure)
            assert await self.ask(parameters) == failure.detail

    async def refused(self, parameters: Parameters = NO_PARAMETERS) -> bool:
        """Return whether a request is refused before it reaches the model."""
        calls = len(self.model.calls)
        await self.ask(parameters)
        return len(self.model.calls) == calls

    def beside(self) -> CircuitBreaker:
        """Return the same circuits before another client of the backend."""
        return self._breaker.beside(ScriptedLLM())

    def cool_down(self) -> None:
        """Let the cool-down pass."""
        self.clock.advance(COOL_DOWN)


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    """Build a caller. Check at the end that its model has played the whole script."""
    caller = Caller()
    yield caller
    caller.model.assert_done()


@pytest.fixture
async def opened(caller: Caller) -> Caller:
    """Build a caller with a model that has just failed three times."""
    await caller.fail(DEAD, SILENT, DEAD)
    return caller


async def test_the_clients_of_a_backend_share_its_circuits(opened: Caller) -> None:
    """What one client found out about the backend counts for the others: they send no request either."""
    with pytest.raises(ModelError, match="failed 3 times in a row"):
        await anext(opened.beside().stream([]))


async def test_an_open_circuit_sends_no_request(opened: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """During the cool-down no request reaches the model. The error gives the failures and the time of the trial."""
    opened.clock.advance(timedelta(seconds=5))

    detail = await opened.ask()

    assert len(opened.model.calls) == 3
    assert "failed 3 times in a row" in detail
    assert "no route" in detail
    assert "10 s" in detail
    [record] = caplog.get_records("setup")
    assert (record.levelno, record.getMessage(), vars(record)["failures"]) == (logging.ERROR, "circuit_opened", 3)


async def test_too_few_failures_change_nothing(caller: Caller) -> None:
    """A whole answer resets the count of failures."""
    await caller.fail(DEAD, DEAD)
    caller.model.script("Yes")
    assert await caller.ask() == "Yes"
    await caller.fail(DEAD, DEAD)
    caller.model.script("Still here")

    assert await caller.ask() == "Still here"


async def test_an_unfinished_answer_counts_as_a_failure(caller: Caller) -> None:
    """The circuit also opens for a model that begins each answer and never ends one."""
    caller.model.script("Well", SILENT)
    caller.model.script("Well", SILENT)
    caller.model.script("Well", SILENT)
    for _ in range(3):
        await caller.ask()

    assert await caller.refused()


@pytest.mark.parametrize("trouble", [each for each in Trouble if each not in {Trouble.UNAVAILABLE, Trouble.TIMEOUT}])
async def test_a_requests_own_fault_is_not_counted(caller: Caller, trouble: Trouble) -> None:
    """A failure that the request caused neither increases the count of failures nor resets it."""
    await caller.fail(DEAD, DEAD, *[ModelError(trouble, "its own")] * 5, DEAD)

    assert await caller.refused()


async def test_each_model_has_its_own_circuit(caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """A failing model does not affect the other models that callers can choose. The log names the model."""
    await caller.fail(DEAD, DEAD, DEAD, parameters={"model": "other"})

    assert await caller.refused({"model": "other"})
    assert vars(caplog.records[-1])["model"] == "other"
    caller.model.script("Yes")
    assert await caller.ask() == "Yes"


async def test_failures_with_a_callers_parameters_are_not_counted(caller: Caller) -> None:
    """The parameters may be the cause. Requests without them still reach the model."""
    await caller.fail(DEAD, DEAD, DEAD, parameters={"temperature": 2})
    caller.model.script("Yes")
    assert await caller.ask() == "Yes"

    await caller.fail(DEAD, DEAD, DEAD)
    assert await caller.refused({"temperature": 2})
    caller.cool_down()
    await caller.fail(DEAD, DEAD, parameters={"temperature": 2})


async def test_each_caller_has_its_own_circuit(caller: Caller) -> None:
    """A caller whose requests fail is refused for a while. Other callers and our own requests are not."""
    await caller.fail(DEAD, DEAD, DEAD, parameters=ONE)
    assert await caller.refused(ONE)
    caller.model.script("Yes")
    caller.model.script("Yes")

    assert [await caller.ask(OTHER), await caller.ask()] == ["Yes", "Yes"]
    caller.cool_down()
    caller.model.script("Yes")
    assert await caller.ask(ONE) == "Yes"


async def test_our_open_circuit_stops_callers_until_it_has_cooled_down(opened: Caller) -> None:
    """Our failures show that the model is away. Afterwards a caller's request is no trial, and closes nothing."""
    assert await opened.refused(ONE)
    opened.cool_down()
    hold = PausedStep()
    opened.model.script(hold, "Yes")
    asking = asyncio.create_task(opened.ask(ONE))
    await opened.model.called(4)
    await opened.fail(DEAD)  # our own trial passes meanwhile
    hold.release()

    assert await asking == "Yes"
    assert await opened.refused()


async def test_a_callers_answers_do_not_hide_our_failures(caller: Caller) -> None:
    """Our circuit opens after our failures in a row, however many requests of callers succeed between them."""
    for _ in range(2):
        await caller.fail(DEAD)
        caller.model.script("Yes")
        assert await caller.ask(ONE) == "Yes"
    await caller.fail(DEAD)

    assert await caller.refused()


async def test_failures_with_the_bots_own_tools_are_counted(caller: Caller) -> None:
    """The bot offers its tools in nearly every request of a chat platform."""
    await caller.fail(DEAD, DEAD, DEAD, parameters={"tools": Offer(), "tool_choice": "none"})

    assert await caller.refused()


async def test_one_request_is_the_trial_while_the_others_are_refused(opened: Caller) -> None:
    """After the cool-down one request passes. The others are refused until it is answered."""
    hold = PausedStep()
    opened.cool_down()
    opened.model.script(hold, "Back")
    trial = asyncio.create_task(opened.ask())
    await hold.reached()
    opened.cool_down()

    assert "being tried" in await opened.ask()

    hold.release()
    assert await trial == "Back"
    opened.model.script("And again")
    assert await opened.ask() == "And again"


async def test_the_first_word_of_a_trial_closes_the_circuit(opened: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """Other requests do not wait for the end of its answer."""
    caplog.set_level(logging.INFO)
    hold = PausedStep()
    opened.cool_down()
    opened.model.script("I am", hold, " back")
    opened.model.script("Yes")
    trial = asyncio.create_task(opened.ask())
    await hold.reached()

    assert await opened.ask() == "Yes"

    hold.release()
    assert await trial == "I am back"
    assert caplog.messages[-1] == "circuit_closed"


async def test_a_trial_that_fails_opens_the_circuit_again(opened: Caller) -> None:
    """One failure is enough, and a new cool-down begins."""
    opened.cool_down()
    await opened.fail(DEAD)

    assert await opened.refused()
    opened.cool_down()
    await opened.fail(DEAD)


async def test_a_trial_that_breaks_off_opens_the_circuit_again(opened: Caller) -> None:
    """The first word of a trial closes the circuit. Its later failure opens the circuit again."""
    opened.cool_down()
    opened.model.script("I am", SILENT)
    await opened.ask()

    assert await opened.refused()


async def test_a_trial_that_is_cancelled_leaves_the_trial_to_the_next(opened: Caller) -> None:
    """A person's stop is no failure of the model. Exactly one next request becomes the trial."""
    hold, second = PausedStep(), PausedStep()
    opened.cool_down()
    opened.model.script(hold)
    trial = asyncio.create_task(opened.ask())
    await hold.reached()
    trial.cancel()
    await asyncio.wait([trial])

    opened.model.script(second, "Back")
    trial = asyncio.create_task(opened.ask())
    await second.reached()
    assert await opened.refused()
    second.release()
    assert await trial == "Back"


async def test_a_trial_with_a_fault_of_its_own_leaves_the_trial_to_the_next(opened: Caller) -> None:
    """Such a trial neither closes the circuit nor prolongs the cool-down."""
    opened.cool_down()
    await opened.fail(OWN_FAULT, DEAD)

    assert await opened.refused()


async def test_late_failures_do_not_prolong_the_cool_down(caller: Caller) -> None:
    """Failures of requests that ran when the circuit opened do not count."""
    hold = PausedStep()
    caller.model.script(hold, SILENT)
    late = asyncio.create_task(caller.ask())
    await hold.reached()
    await caller.fail(DEAD, DEAD, DEAD)
    caller.cool_down()
    hold.release()
    await late
    caller.model.script("Back")

    assert await caller.ask() == "Back"


async def test_a_clock_set_back_does_not_prolong_the_cool_down(opened: Caller) -> None:
    """When the clock shows a time before the last failure, the next request is the trial."""
    opened.clock.advance(-timedelta(hours=1))
    opened.model.script("Back")

    assert await opened.ask() == "Back"
