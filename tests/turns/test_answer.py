"""One turn with the model: its text passes through, its troubles become sentences, its stream is closed in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from bot.domain import texts
from bot.domain.sessions import Interrupted
from bot.errors import ModelError, Trouble
from bot.llm import LLM, NO_PARAMETERS, Done, Parameters, ToolCall, Usage
from bot.prompt.budget import Budget
from bot.prompt.compose import NOTE_ENDS, PromptParts
from bot.prompt.history import WHOLE_HISTORY, ChatMessage, HistoryWindow, Past, Turn, Utterance
from bot.testing import PausedStep, ScriptedLLM
from bot.tools import Arguments, Outcome, Tool
from bot.turns.answer import AnswerStream
from bot.turns.assistant import Assistant
from bot.turns.interruption import Interruption
from tests.support.timeouts import GENEROUS_S

PERSONA = "You are helpful."
NOW = Turn((Utterance("U1", "now"),))


def answer_of(llm: LLM, *before: Turn, budget: int = 1_000, interruption: Interruption | None = None) -> AnswerStream:
    """The answer to a turn after these."""
    assistant = Assistant(llm, persona=PERSONA, budget=budget_of(budget))
    return assistant.answer(parts(*before, NOW), interruption=interruption)


def budget_of(history_tokens: int) -> Budget:
    """A budget that the model's window does not narrow."""
    return Budget(window_tokens=100_000, answer_tokens=1_000, history_tokens=history_tokens)


def long_turns(count: int) -> list[Turn]:
    """Turns of about 150 tokens each."""
    return [Turn((Utterance("U1", "x" * 350),), "y" * 350, number) for number in range(1, count + 1)]


def parts(*turns: Turn, cut: HistoryWindow = WHOLE_HISTORY, about: str = "") -> PromptParts:
    """The parts of a prompt for the last of these turns."""
    *earlier, newest = turns
    return PromptParts(Past(tuple(earlier), cut), newest, about=about)


async def read(answer: AnswerStream) -> list[str]:
    """All of it, with the text that follows the model's words."""
    words = [word async for word in answer.words()]
    return [*words, ending] if (ending := answer.ending()) else words


class Talkative:
    """A model that never ends, and counts what it has said."""

    def __init__(self) -> None:
        self.said = 0
        self.closed = False

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[str | Done]:
        """Words without end."""
        del messages, parameters
        try:
            while True:
                self.said += 1
                yield "word "
                await asyncio.sleep(0)
        finally:
            self.closed = True


class Broken:
    """A model whose stream breaks as none should."""

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[str | Done]:
        """Some text, then a surprise."""
        del messages, parameters
        yield "half "
        raise ZeroDivisionError


class Endless:
    """A model whose stream ends without its Done."""

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[str | Done]:
        """Some text, and no more."""
        del messages, parameters
        yield "half"


async def test_the_text_passes_through_piece_by_piece(llm: ScriptedLLM) -> None:
    """Every piece comes as it was said, and in the end what was said is known whole, with its cost."""
    usage = Usage(10, 4, 2)
    llm.script("Hello, ", "Ana", "!", usage=usage)
    answer = answer_of(llm)

    assert await read(answer) == ["Hello, ", "Ana", "!"]
    assert (answer.result.text, answer.result.trouble) == ("Hello, Ana!", None)
    assert answer.result.done == Done("scripted", usage)


async def test_the_first_piece_does_not_wait_for_the_rest(llm: ScriptedLLM) -> None:
    """What the model said is there to be read while the model still thinks."""
    hold = PausedStep()
    llm.script("Hello", hold, "!")
    async with aclosing(answer_of(llm).words()) as words:
        assert await anext(words) == "Hello"
        hold.release()
        assert await anext(words) == "!"


async def test_the_model_is_shown_persona_history_and_question(llm: ScriptedLLM) -> None:
    """The persona comes first, then whole turns, oldest first, then what is to be answered."""
    llm.script("ok")
    await read(answer_of(llm, Turn((Utterance("U1", "before"),), "answered")))

    assert [(message["role"], message["content"]) for message in llm.calls[0].messages] == [
        ("system", PERSONA),
        ("user", "before"),
        ("assistant", "answered"),
        ("user", "now"),
    ]


async def test_history_stays_within_the_budget_and_persona_and_question_always_fit(llm: ScriptedLLM) -> None:
    """When it is too much the newest half is shown, and where that begins is told; what is asked is always there."""
    llm.script("ok")
    whole = answer_of(llm, *long_turns(3), budget=500)
    await read(whole)
    llm.script("ok")
    half = answer_of(llm, *long_turns(4), budget=500)
    await read(half)

    assert len(llm.calls[0].messages) == 1 + 2 * 3 + 1
    assert whole.cut is None
    assert len(llm.calls[1].messages) == 1 + 2 * 1 + 1
    assert half.cut == HistoryWindow(after=3)


async def test_what_holds_for_this_moment_stands_right_before_the_question(llm: ScriptedLLM) -> None:
    """With it, after the history, so that it changes nothing of what requests begin with."""
    llm.script("ok")
    assistant = Assistant(llm, persona=PERSONA, budget=budget_of(1_000))
    await read(
        assistant.answer(parts(*long_turns(1), NOW, about="Call her Ana.", cut=HistoryWindow(0, "The code is 7319.")))
    )

    assert [message["role"] for message in llm.calls[0].messages] == ["system", "user", "assistant", "user"]
    assert "The code is 7319." in llm.calls[0].messages[1]["content"]
    assert llm.calls[0].messages[-1]["content"].endswith(f"\n  Call her Ana.\n\n{NOTE_ENDS}\n\nnow")


async def test_whoever_writes_too_much_is_told(llm: ScriptedLLM) -> None:
    """The model sees both ends of a message that exceeds the budget; the person reads so, below the answer."""
    llm.script("Well, ", "that was long")
    long = Turn((Utterance("U1", f"begins {'so it is ' * 1_000} ends"),))
    answer = Assistant(llm, persona=PERSONA, budget=budget_of(500)).answer(parts(long))

    assert (await read(answer))[-1] == f"\n\n{texts.SHORTENED}"
    assert answer.result.text == "Well, that was long"
    shown = llm.calls[0].messages[-1]["content"]
    assert (shown[:6], shown[-4:]) == ("begins", "ends")
    assert "characters left out" in shown


async def test_the_backends_count_makes_the_next_request_shorter(llm: ScriptedLLM) -> None:
    """A model that takes twice the tokens is shown half as much, from the next turn on."""
    llm.script("ok", usage=Usage(2_000, 0, 2))
    llm.script("ok")
    assistant = Assistant(llm, persona=PERSONA, budget=budget_of(1_200))
    for _ in range(2):
        await read(assistant.answer(parts(*long_turns(7), NOW)))

    first, second = (call.messages for call in llm.calls)
    assert len(second) < len(first) == 1 + 2 * 7 + 1


async def note(arguments: Arguments) -> Outcome:
    """A tool that does nothing."""
    return Outcome({"noted": len(arguments)})


NOTE = Tool("note", "Takes a note.", {}, note)


async def test_what_tools_cost_counts_against_the_window(llm: ScriptedLLM) -> None:
    """Their definitions are a part of the request, so that less of the history is."""
    budget, past = Budget(window_tokens=1_800, answer_tokens=100, history_tokens=10_000), Past(tuple(long_turns(2)))
    without, with_tool = (Assistant(llm, persona=PERSONA, budget=budget, besides=cost) for cost in (0, 700))
    for assistant in (without, with_tool):
        llm.script("ok")
        await read(assistant.answer(parts(*long_turns(7), NOW), tools=[NOTE]))

    assert [len(call.messages) < 16 for call in llm.calls] == [False, True]
    assert with_tool.room == without.room - 700
    assert with_tool.filled(past) > without.filled(past)


async def test_an_answer_in_rounds_teaches_nothing_of_the_prompts_cost(llm: ScriptedLLM) -> None:
    """The backend counts what came of the tools as well."""
    llm.script(tool_calls=[ToolCall("c1", "note", "{}")], usage=Usage(1_000, 0, 2))
    llm.script("ok", usage=Usage(2_000, 0, 2))
    llm.script("ok")
    assistant = Assistant(llm, persona=PERSONA, budget=budget_of(1_200))
    for _ in range(2):
        await read(assistant.answer(parts(*long_turns(7), NOW), tools=[NOTE]))

    assert [len(call.messages) for call in llm.calls] == [16, 18, 16]


@pytest.mark.parametrize("trouble", Trouble)
async def test_every_trouble_is_a_sentence(llm: ScriptedLLM, trouble: Trouble) -> None:
    """Before any text the sentence stands alone; the detail is kept for the operator."""
    llm.script(ModelError(trouble, "the detail"))
    answer = answer_of(llm)

    assert await read(answer) == [texts.trouble(trouble)]
    assert (answer.result.text, answer.result.trouble, answer.result.detail) == ("", trouble, "the detail")


@pytest.mark.parametrize("trouble", Trouble)
async def test_trouble_after_some_text_is_a_paragraph_below_it(llm: ScriptedLLM, trouble: Trouble) -> None:
    """What was said stays, and is remembered without the sentence."""
    llm.script("Half an", ModelError(trouble, "the detail"))
    answer = answer_of(llm)

    assert await read(answer) == ["Half an", f"\n\n{texts.trouble(trouble)}"]
    assert (answer.result.text, answer.result.trouble) == ("Half an", trouble)


async def test_an_answer_cut_at_the_backends_limit_says_so(llm: ScriptedLLM) -> None:
    """It is no failure, but the person should know that there is more."""
    llm.script("A long story", truncated=True)
    answer = answer_of(llm)

    assert await read(answer) == ["A long story", f"\n\n{texts.TRUNCATED}"]
    assert (answer.result.text, answer.result.trouble) == ("A long story", None)


async def test_an_exceeded_window_is_tried_once_more_with_less(llm: ScriptedLLM) -> None:
    """The second request holds the newest of the history; its answer counts, and where the history now begins."""
    llm.script(ModelError(Trouble.WINDOW_EXCEEDED, "too long"))
    llm.script("Now it fits")
    answer = answer_of(llm, *long_turns(4))

    assert await read(answer) == ["Now it fits"]
    assert answer.result.trouble is None
    assert answer.cut == HistoryWindow(after=3)
    first, second = (call.messages for call in llm.calls)
    assert len(second) < len(first)
    assert (second[0], second[-1]) == (first[0], first[-1])


async def test_an_exceeded_window_is_not_tried_for_ever(llm: ScriptedLLM) -> None:
    """When less is still too much, the person is told."""
    for _ in range(2):
        llm.script(ModelError(Trouble.WINDOW_EXCEEDED, "too long"))
    answer = answer_of(llm, *long_turns(4))

    assert await read(answer) == [texts.trouble(Trouble.WINDOW_EXCEEDED)]


async def test_what_cannot_be_shortened_is_not_sent_again(llm: ScriptedLLM) -> None:
    """The same request would only fail again."""
    llm.script(ModelError(Trouble.WINDOW_EXCEEDED, "too long"))

    assert await read(answer_of(llm)) == [texts.trouble(Trouble.WINDOW_EXCEEDED)]


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
async def test_a_callers_limit_of_the_answer_narrows_nobody_elses_window(llm: ScriptedLLM, limit: str) -> None:
    """A request that is refused because of it teaches nothing, and is not made again where less would not help."""
    llm.script(ModelError(Trouble.WINDOW_EXCEEDED, "too long", window=2_000))
    assistant = Assistant(llm, persona=PERSONA, budget=budget_of(50_000))
    room = assistant.room
    answer = assistant.answer(parts(*long_turns(4), NOW), parameters={limit: 90_000}, whole=True)

    assert await read(answer) == [texts.trouble(Trouble.WINDOW_EXCEEDED)]
    assert assistant.room == room
    llm.script("And so on")
    assert await read(assistant.answer(parts(*long_turns(8), NOW))) == ["And so on"]
    assert len(llm.calls[-1].messages) == 1 + 2 * 8 + 1


async def test_history_makes_room_for_as_long_an_answer_as_a_caller_wants(llm: ScriptedLLM) -> None:
    """Where the backend counts the two together, the request is made again with less of it, for this answer alone."""
    llm.script(ModelError(Trouble.WINDOW_EXCEEDED, "too long", window=8_000))
    llm.script("Now it fits")
    assistant = Assistant(llm, persona=PERSONA, budget=budget_of(50_000))
    room = assistant.room
    answer = assistant.answer(parts(*long_turns(40), NOW), parameters={"max_tokens": 4_000}, whole=True)

    assert await read(answer) == ["Now it fits"]
    assert answer.prompt.tokens + 4_000 < 8_000
    assert answer.cut is not None
    assert assistant.room == room


@pytest.mark.parametrize("model", [Broken, Endless])
async def test_what_nobody_foresaw_is_a_cut_answer(model: type[LLM], caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the model's stream does, its reader sees text and a sentence, never an exception."""
    answer = answer_of(model())

    assert "".join(await read(answer)).split("\n\n") == [answer.result.text, texts.trouble(Trouble.CUT)]
    assert answer.result.trouble is Trouble.CUT
    assert ("ZeroDivisionError" in caplog.text) is (model is Broken)


@pytest.mark.parametrize("why", Interrupted)
async def test_an_interrupted_answer_ends_at_once_and_says_so(llm: ScriptedLLM, why: Interrupted) -> None:
    """The model's stream is closed, not waited for; what was said stands above one last line."""
    hold, interruption = PausedStep(), Interruption()
    llm.script("My first ", hold, "never said")
    answer = answer_of(llm, interruption=interruption)
    reading = asyncio.create_task(read(answer))
    await hold.reached()
    interruption.interrupt(why)
    line = texts.interrupted(why)  # none where the answer begins again

    assert await reading == ["My first ", *([f"\n\n{line}"] if line else [])]
    assert llm.closed_early == 1
    assert (answer.result.text, answer.result.interrupted) == ("My first ", why)


@pytest.mark.parametrize("why", Interrupted)
async def test_an_answer_interrupted_before_it_began_asks_nothing(llm: ScriptedLLM, why: Interrupted) -> None:
    """The model is not even called; only somebody who asked for the end is told."""
    interruption = Interruption()
    answer = answer_of(llm, interruption=interruption)
    interruption.interrupt(why)

    assert await read(answer) == ([texts.interrupted(why)] if why is Interrupted.STOPPED else [])
    assert (answer.result.text, answer.result.interrupted, llm.calls) == ("", why, [])


async def test_an_answer_interrupted_while_it_begins_ends(llm: ScriptedLLM) -> None:
    """However early it comes, between any two steps, the reader is not left waiting."""
    interruption = Interruption()
    llm.script(PausedStep())
    reading = asyncio.create_task(read(answer_of(llm, interruption=interruption)))
    asyncio.get_running_loop().call_soon(interruption.interrupt, Interrupted.STOPPED)

    assert await asyncio.wait_for(reading, GENEROUS_S) == [texts.interrupted(Interrupted.STOPPED)]


async def test_an_answer_may_be_interrupted_again(llm: ScriptedLLM) -> None:
    """The interruption is polled until the turn is settled; the newest reason counts."""
    hold, interruption = PausedStep(), Interruption()
    llm.script("My first ", hold)
    reading = asyncio.create_task(read(answer_of(llm, interruption=interruption)))
    await hold.reached()
    for why in (Interrupted.STOPPED, Interrupted.STOPPED, Interrupted.RESET):
        interruption.interrupt(why)

    assert (await reading)[-1] == f"\n\n{texts.interrupted(Interrupted.RESET)}"
    interruption.interrupt(Interrupted.RESET)


async def test_an_interruption_drops_what_the_reader_has_not_read() -> None:
    """A slow platform does not go on showing it, and nothing is remembered that nobody saw."""
    interruption = Interruption()
    answer = answer_of(Talkative(), interruption=interruption)
    async with aclosing(answer.words()) as words:
        await anext(words)
        interruption.interrupt(Interrupted.STOPPED)
        assert [word async for word in words] == []

    assert answer.ending() == f"\n\n{texts.interrupted(Interrupted.STOPPED)}"
    assert answer.result.text == "word "


async def test_an_answer_of_a_quick_model_can_be_stopped_while_it_is_read(llm: ScriptedLLM) -> None:
    """The model has more to say at once, the platform is slow: the person stops what they see growing."""
    interruption = Interruption()
    llm.script("one ", "two ", "three")
    answer = answer_of(llm, interruption=interruption)
    async with aclosing(answer.words()) as words:
        assert await anext(words) == "one "
        for _ in range(10):
            await asyncio.sleep(0)
        interruption.interrupt(Interrupted.STOPPED)
        assert [word async for word in words] == []

    assert answer.ending() == f"\n\n{texts.interrupted(Interrupted.STOPPED)}"
    assert (answer.result.text, answer.result.interrupted) == ("one ", Interrupted.STOPPED)


async def test_a_slow_reader_holds_the_model_up() -> None:
    """Nothing is buffered here: the model waits until a piece is read."""
    model = Talkative()
    async with aclosing(answer_of(model).words()) as words:
        await anext(words)
        await anext(words)
        for _ in range(1_000):
            await asyncio.sleep(0)

    assert model.said <= 3


async def test_a_reader_that_leaves_closes_the_models_stream() -> None:
    """Also when the model has more to say."""
    model = Talkative()
    async with aclosing(answer_of(model).words()) as words:
        await anext(words)

    assert model.closed


async def test_a_cancelled_reader_closes_the_models_stream(llm: ScriptedLLM) -> None:
    """The cancellation comes through, and nothing is left running."""
    hold = PausedStep()
    llm.script("My first ", hold)
    answer = answer_of(llm)
    reading = asyncio.create_task(read(answer))
    await hold.reached()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert llm.closed_early == 1
    assert answer.result.text == "My first "
