"""The breaker: a dead backend is left alone for a while, one turn tries, and whoever answers is asked by all again."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from bot.errors import ModelError, Trouble
from bot.history import ChatMessage
from bot.llm.breaker import Breaker
from bot.testing import Hold, ScriptedLLM, SettableClock

MOST = 3
COOL_DOWN = timedelta(seconds=15)
ASKED: list[ChatMessage] = [{"role": "user", "content": "hi"}]
DEAD = [Trouble.UNAVAILABLE, Trouble.TIMEOUT]


@pytest.fixture
def breaker(llm: ScriptedLLM, clock: SettableClock) -> Breaker:
    """A breaker around the scripted model."""
    return Breaker(llm, clock=clock.now, failures=MOST, cool_down=COOL_DOWN)


async def outcome(breaker: Breaker) -> str | Trouble:
    """What one turn hears: the text, or the trouble."""
    try:
        return "".join([piece async for piece in breaker.stream(ASKED) if isinstance(piece, str)])
    except ModelError as error:
        return error.trouble


async def fail(breaker: Breaker, llm: ScriptedLLM, times: int, trouble: Trouble = Trouble.UNAVAILABLE) -> None:
    """So many turns whose backend does not answer."""
    for _ in range(times):
        llm.script(ModelError(trouble, "503"))
        assert await outcome(breaker) is trouble


async def test_what_works_passes_through(breaker: Breaker, llm: ScriptedLLM) -> None:
    """The breaker changes nothing about an answer, nor about a failure while there are few."""
    llm.script("Hello, ", "Ana")
    assert await outcome(breaker) == "Hello, Ana"

    await fail(breaker, llm, MOST - 1)
    llm.script("hello")
    assert await outcome(breaker) == "hello"


@pytest.mark.parametrize("trouble", DEAD)
async def test_after_so_many_failures_in_a_row_the_backend_is_left_alone(
    breaker: Breaker, llm: ScriptedLLM, clock: SettableClock, caplog: pytest.LogCaptureFixture, trouble: Trouble
) -> None:
    """Turns are refused at once, without asking it, until it has had its rest; the operator is told once."""
    await fail(breaker, llm, MOST, trouble)
    clock.advance(COOL_DOWN - timedelta(seconds=1))
    assert [await outcome(breaker) for _ in range(5)] == [Trouble.UNAVAILABLE] * 5

    assert len(llm.calls) == MOST
    assert len([line for line in caplog.records if line.levelno == logging.ERROR]) == 1


async def test_an_answer_between_failures_starts_the_count_anew(breaker: Breaker, llm: ScriptedLLM) -> None:
    """Only failures in a row tell of a dead backend; a piece of an answer is enough to show that it lives."""
    for _ in range(3):
        await fail(breaker, llm, MOST - 1)
        llm.script("half", ModelError(Trouble.TIMEOUT, "it stalled"))
        assert await outcome(breaker) is Trouble.TIMEOUT
        llm.script("hello")
        assert await outcome(breaker) == "hello"


async def test_after_its_rest_one_turn_tries_and_the_others_wait_for_its_answer(
    breaker: Breaker, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """While it tries the others are refused; its first word opens the way for all."""
    await fail(breaker, llm, MOST)
    clock.advance(COOL_DOWN)
    hold = Hold()
    llm.script(hold, "hello")
    trying = asyncio.create_task(outcome(breaker))
    await hold.reached()
    assert await outcome(breaker) is Trouble.UNAVAILABLE
    hold.release()
    assert await trying == "hello"

    llm.script("me too")
    assert await outcome(breaker) == "me too"


async def test_a_trial_that_fails_gives_the_backend_another_rest(
    breaker: Breaker, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """One call in each while; and after it, again."""
    await fail(breaker, llm, MOST)
    for _ in range(3):
        clock.advance(COOL_DOWN)
        await fail(breaker, llm, 1)
        assert await outcome(breaker) is Trouble.UNAVAILABLE
    clock.advance(COOL_DOWN)
    llm.script("back")

    assert await outcome(breaker) == "back"


async def test_a_trial_that_is_given_up_does_not_close_the_way_for_ever(
    breaker: Breaker, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """The person stopped it before it could tell; a while later the next one tries."""
    await fail(breaker, llm, MOST)
    clock.advance(COOL_DOWN)
    hold = Hold()
    llm.script(hold)
    trying = asyncio.create_task(outcome(breaker))
    await hold.reached()
    trying.cancel()
    await asyncio.wait([trying])
    assert await outcome(breaker) is Trouble.UNAVAILABLE
    clock.advance(COOL_DOWN)
    llm.script("hello")

    assert await outcome(breaker) == "hello"


@pytest.mark.parametrize("trouble", [each for each in Trouble if each not in DEAD])
async def test_what_the_backend_says_of_a_request_is_no_failure_of_it(
    breaker: Breaker, llm: ScriptedLLM, clock: SettableClock, trouble: Trouble
) -> None:
    """It lives, however often it says no; and a no to the one that tries opens the way for the others."""
    await fail(breaker, llm, 3 * MOST, trouble)
    await fail(breaker, llm, MOST)
    clock.advance(COOL_DOWN)
    await fail(breaker, llm, 1, trouble)
    llm.script("hello")

    assert await outcome(breaker) == "hello"
