"""How long a model is waited for, on a clock that the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine

import pytest

from bot.llm.stream_parser import StreamParser
from bot.llm.timeouts import TimedReader
from tests.support.openai_server import delta, event

SILENCE_S, WHOLE_S = 60.0, 600.0
THOUGHT = event({"choices": [{"delta": {"reasoning_content": "Hm"}}]})
WORD = event(delta("word "))
END = event({"choices": [{"delta": {}, "finish_reason": "stop"}]}) + b"data: [DONE]\n\n"

Step = float | bytes  # seconds that go by, or what comes then


class SettableLoop(asyncio.SelectorEventLoop):
    """An event loop whose time can be moved on."""

    moved_s = 0.0

    def time(self) -> float:
        """The time its timers go by."""
        return super().time() + self.moved_s


async def passes(seconds: float) -> None:
    """Let this time go by at once, and every timer that is due go off."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SettableLoop)
    loop.moved_s += seconds
    for _ in range(3):
        await asyncio.sleep(0)


async def body(*steps: Step) -> AsyncGenerator[bytes]:
    """The bytes of an answer, as time goes by."""
    for step in steps:
        if isinstance(step, bytes):
            yield step
        else:
            await passes(step)


def over(times: int, *steps: Step) -> tuple[Step, ...]:
    """The steps, over and over."""
    return steps * times


def heard(*steps: Step, reader_takes_s: float = 0) -> list[str]:
    """The text that came before the body had ended, or the patience."""

    async def read() -> list[str]:
        said: list[str] = []
        reader = TimedReader(body(*steps), StreamParser("m"), silence_s=SILENCE_S, whole_s=WHOLE_S)
        try:
            while (text := await reader.next()) is not None:
                said.append(text)
                await passes(reader_takes_s)
        except TimeoutError:
            said.append("(given up)")
        return said

    return run(read())


def run(reading: Coroutine[None, None, list[str]]) -> list[str]:
    """What it returns, on a loop of its own."""
    with asyncio.Runner(loop_factory=SettableLoop) as runner:
        return runner.run(reading)


def test_a_long_thought_is_waited_for() -> None:
    """Reasoning breaks the silence, for longer than the silence allowed."""
    assert heard(*over(5, 50.0, THOUGHT), 50.0, WORD, END) == ["word "]


def test_text_breaks_the_silence() -> None:
    """The limit is on each silence, not on their sum."""
    assert heard(*over(5, 50.0, WORD), END) == ["word "] * 5


@pytest.mark.parametrize("nothing", [b": wait\n\n", event(delta("")), event({"choices": []}), b"data: {"])
def test_what_says_nothing_does_not_break_the_silence(nothing: bytes) -> None:
    """Comments, empty deltas and bytes that make no event are not waited on for longer than for nothing at all."""
    assert heard(WORD, *over(2, 25.0, nothing), 25.0, WORD, END) == ["word ", "(given up)"]


def test_an_answer_without_end_is_given_up() -> None:
    """Neither words nor thoughts that go on and on hold a turn for ever."""
    assert heard(*over(100, 50.0, WORD))[-2:] == ["word ", "(given up)"]
    assert heard(*over(100, 50.0, THOUGHT)) == ["(given up)"]


def test_a_slow_reader_costs_no_patience() -> None:
    """The time that the reader takes over a text is not the model's."""
    assert heard(*over(20, 1.0, WORD), END, reader_takes_s=100.0) == ["word "] * 20


def test_nothing_is_read_beyond_the_end() -> None:
    """A body that stays open after the answer's end is not waited for."""
    assert heard(WORD, END, 100.0) == ["word "]


def test_a_body_that_ends_early_ends_the_text() -> None:
    """Whether the answer was whole is the completion's to say."""
    assert heard(WORD) == ["word "]
