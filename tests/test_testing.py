"""The shipped doubles: a scripted model and a settable clock."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta, timezone

import pytest

from bot.errors import ModelError, Trouble
from bot.llm import LLM, Done, Piece, Usage
from bot.prompt.history import ChatMessage
from bot.testing import PausedStep, ScriptedLLM, SettableClock


def asking(text: str = "hi") -> list[ChatMessage]:
    return [{"role": "user", "content": text}]


async def heard(llm: LLM, text: str = "hi") -> list[Piece]:
    return [piece async for piece in llm.stream(asking(text))]


async def test_scripts_are_played_in_order() -> None:
    """Each call plays the next script: its texts, then one Done with the scripted usage."""
    llm = ScriptedLLM()
    llm.script("Hel", "lo", usage=Usage(prompt=5))
    llm.script("Bye", truncated=True)

    assert await heard(llm) == ["Hel", "lo", Done("scripted", Usage(prompt=5))]
    assert await heard(llm) == ["Bye", Done("scripted", None, truncated=True)]
    llm.assert_done()


async def test_a_model_error_is_raised_where_it_stands() -> None:
    """A ModelError in a script ends the stream after the text before it."""
    llm = ScriptedLLM()
    llm.script("par", ModelError(Trouble.CUT, "made up"))
    stream = llm.stream(asking())

    assert await anext(stream) == "par"
    with pytest.raises(ModelError, match="made up"):
        await anext(stream)


async def test_a_call_without_a_script_fails_twice() -> None:
    """A call without a script fails, and assert_done fails again, in case the error was swallowed."""
    llm = ScriptedLLM()

    with pytest.raises(AssertionError, match="call 1"):
        await heard(llm)
    with pytest.raises(AssertionError, match="1 calls not in the script"):
        llm.assert_done()


async def test_a_script_that_was_not_played_fails() -> None:
    """assert_done fails while a script still waits for its call."""
    llm = ScriptedLLM()
    llm.script("never asked for")

    with pytest.raises(AssertionError, match="1 scripts not played"):
        llm.assert_done()


async def test_a_call_is_remembered_as_it_was_made() -> None:
    """Later changes of the caller's messages do not change the record of the call."""
    llm = ScriptedLLM()
    llm.script("ok")
    messages = asking("my printer")
    _ = [piece async for piece in llm.stream(messages)]

    messages[0]["content"] = "changed"

    assert llm.calls[0].knows("printer")
    assert not llm.calls[0].knows("changed")


async def test_a_hold_waits_until_it_is_released() -> None:
    """At a PausedStep the model sends nothing until the test releases it."""
    llm, hold = ScriptedLLM(), PausedStep()
    llm.script("before", hold, "after")
    hearing = asyncio.create_task(heard(llm))

    await hold.reached()
    assert not hearing.done()
    hold.release()

    assert (await hearing)[:2] == ["before", "after"]


async def test_a_stream_closed_early_is_counted() -> None:
    """closed_early counts streams that are closed before their end, and no others."""
    llm = ScriptedLLM()
    llm.script("one", "two")
    llm.script("three")

    async with aclosing(llm.stream(asking())) as stream:
        assert await anext(stream) == "one"
    await heard(llm)

    assert llm.closed_early == 1


async def test_waiting_for_a_call() -> None:
    """`called` waits for the n-th call and returns it."""
    llm = ScriptedLLM()
    llm.script("a")
    llm.script("b")
    second = asyncio.create_task(llm.called(2))

    await heard(llm, "first")
    assert not second.done()
    await heard(llm, "second")

    assert (await second).knows("second")


def test_the_clock_moves_only_when_advanced() -> None:
    """now() returns the start, in UTC, until the clock is advanced."""
    clock = SettableClock(datetime(2026, 5, 1, 14, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now() == datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert clock.now().tzinfo is UTC

    clock.advance(timedelta(hours=25))

    assert clock.now() == datetime(2026, 5, 2, 13, tzinfo=UTC)


def test_the_clock_refuses_a_time_without_a_zone() -> None:
    """A naive start is refused, so that no test computes with local time."""
    with pytest.raises(ValueError, match="zone"):
        SettableClock(datetime(2026, 5, 1))  # noqa: DTZ001 - the naive time is what is refused
