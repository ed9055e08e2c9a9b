"""The timeouts of a model's answer, on a clock that the test sets."""

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

Step = float | bytes  # seconds to advance, or bytes that arrive


class SettableLoop(asyncio.SelectorEventLoop):
    """An event loop with a time that the test can advance."""

    moved_s = 0.0

    def time(self) -> float:
        """Return the time that the loop's timers use."""
        return super().time() + self.moved_s


async def advance(seconds: float) -> None:
    """Advance the time, and run every timer that is due."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SettableLoop)
    loop.moved_s += seconds
    for _ in range(3):
        await asyncio.sleep(0)


async def body(*steps: Step) -> AsyncGenerator[bytes]:
    """Yield the bytes of an answer, and advance the time between them."""
    for step in steps:
        if isinstance(step, bytes):
            yield step
        else:
            await advance(step)


def repeated(times: int, *steps: Step) -> tuple[Step, ...]:
    """Repeat the steps without an end."""
    return steps * times


def texts_of(*steps: Step, reader_takes_s: float = 0) -> list[str]:
    """Return the text that comes before the end of the body or the timeout."""

    async def read() -> list[str]:
        texts: list[str] = []
        reader = TimedReader(body(*steps), StreamParser("m"), silence_s=SILENCE_S, whole_s=WHOLE_S)
        try:
            while (text := await reader.next()) is not None:
                texts += [text] if text else []
                await advance(reader_takes_s)
        except TimeoutError:
            texts.append("(given up)")
        return texts

    return run(read())


def run(coroutine: Coroutine[None, None, list[str]]) -> list[str]:
    """Return the result of the coroutine, run on its own loop."""
    with asyncio.Runner(loop_factory=SettableLoop) as runner:
        return runner.run(coroutine)


def test_reasoning_resets_the_timeout() -> None:
    """Reasoning may last longer than the silence allowed."""
    assert texts_of(*repeated(5, 50.0, THOUGHT), 50.0, WORD, END) == ["word "]


def test_text_resets_the_timeout() -> None:
    """The timeout limits each silence, not the sum of them."""
    assert texts_of(*repeated(5, 50.0, WORD), END) == ["word "] * 5


@pytest.mark.parametrize("nothing", [b": wait\n\n", event(delta("")), event({"choices": []}), b"data: {"])
def test_comments_do_not_reset_the_timeout(nothing: bytes) -> None:
    """Comments, empty deltas and bytes without an event count as silence."""
    assert texts_of(WORD, *repeated(2, 25.0, nothing), 25.0, WORD, END) == ["word ", "(given up)"]


def test_an_endless_answer_times_out() -> None:
    """Endless text and endless reasoning both end at the limit of one answer."""
    assert texts_of(*repeated(100, 50.0, WORD))[-2:] == ["word ", "(given up)"]
    assert texts_of(*repeated(100, 50.0, THOUGHT)) == ["(given up)"]


def test_a_slow_reader_causes_no_timeout() -> None:
    """The time that the caller needs to process a text does not count."""
    assert texts_of(*repeated(20, 1.0, WORD), END, reader_takes_s=100.0) == ["word "] * 20


def test_nothing_is_read_beyond_the_end() -> None:
    """If the body stays open after the end of the answer, the client does not wait for it."""
    assert texts_of(WORD, END, 100.0) == ["word "]


def test_a_body_that_ends_early_ends_the_text() -> None:
    """An early end of the body raises nothing here. The parser decides whether the answer is complete."""
    assert texts_of(WORD) == ["word "]
