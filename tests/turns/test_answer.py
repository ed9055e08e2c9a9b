"""The answer to one turn: its text, its failures, its window, and its interruption."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from bot.domain import texts
from bot.domain.sessions import Interrupted
from bot.errors import ModelError, Trouble
from bot.llm import LLM, NO_PARAMETERS, Done, Parameters, Piece, Retry, ToolCall, Usage
from bot.prompt.budget import Budget
from bot.prompt.compose import PromptParts
from bot.prompt.history import WHOLE_HISTORY, ChatMessage, HistoryWindow, Past, Turn, Utterance
from bot.prompt.marks import NOTE_ENDS
from bot.prompt.tokens import TOKENS_PER_MESSAGE
from bot.testing import PausedStep, ScriptedLLM
from bot.tools import Arguments, Outcome, Tool
from bot.turns import token_accounts
from bot.turns.answer import AnswerStream
from bot.turns.assistant import Assistant
from bot.turns.interruption import Interruption
from tests.support.timeouts import GENEROUS_S

PERSONA = "You are helpful."
NOW = Turn((Utterance("U1", "now"),))


def answer_of(llm: LLM, *before: Turn, budget: int = 1_000, interruption: Interruption | None = None) -> AnswerStream:
    """Return the answer to a turn after these."""
    assistant = Assistant(llm, persona=PERSONA, budget=budget_of(budget))
    return assistant.answer(parts(*before, NOW), interruption=interruption)


def budget_of(history_tokens: int) -> Budget:
    """Return a budget that the model's window does not limit."""
    return Budget(window_tokens=100_000, answer_tokens=1_000, history_tokens=history_tokens)


def long_turns(count: int) -> list[Turn]:
    """Return turns of about 150 tokens each."""
    return [Turn((Utterance("U1", "x" * 350),), "y" * 350, number) for number in range(1, count + 1)]


def parts(*turns: Turn, window: HistoryWindow = WHOLE_HISTORY, about: str = "") -> PromptParts:
    """Return the parts of a prompt for the last of these turns."""
    *earlier, newest = turns
    return PromptParts(Past(tuple(earlier), window), newest, about=about)


async def read(answer: AnswerStream) -> list[str]:
    """Read an answer to its end, and add the text that follows the model's words."""
    words = [word async for word in answer.words() if isinstance(word, str)]
    return [*words, ending] if (ending := answer.ending()) else words


class Talkative:
    """A model that never stops. It counts its pieces."""

    def __init__(self) -> None:
        self.yielded = 0
        self.closed = False

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[str | Done]:
        """Yield text without end."""
        del messages, parameters
        try:
            while True:
                self.yielded += 1
                yield "word "
                await asyncio.sleep(0)
        finally:
            self.closed = True


class Broken:
    """A model whose stream raises an unexpected exception."""

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[str | Done]:
        """Yield some text, then raise an unexpected exception."""
        del messages, parameters
        yield "half "
        raise ZeroDivisionError


class Endless:
    """A model whose stream ends without a Done."""

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[str | Done]:
        """Yield some text, and no Done."""
        del messages, parameters
        yield "half"


async def test_the_text_passes_through_piece_by_piece(llm: ScriptedLLM) -> None:
    """Every piece is passed on as the model gave it. At the end the result has the whole text and the usage."""
    usage = Usage(10, 4, 2)
    llm.script("Hello, ", "Ana", "!", usage=usage)
    answer = answer_of(llm)

    assert await read(answer) == ["Hello, ", "Ana", "!"]
    assert (answer.result.text, answer.result.trouble) == ("Hello, Ana!", None)
    assert answer.result.done == Done("scripted", usage)


async def test_the_first_piece_does_not_wait_for_the_rest(llm: ScriptedLLM) -> None:
    """A piece can be read while the model works on the next one."""
    hold = PausedStep()
    llm.script("Hello", hold, "!")
    async with aclosing(answer_of(llm).words()) as words:
        assert await anext(words) == "Hello"
        hold.release()
        assert await anext(words) == "!"


async def test_the_model_is_shown_persona_history_and_question(llm: ScriptedLLM) -> None:
    """The prompt is the persona, then whole turns, oldest first, then the question."""
    llm.script("ok")
    await read(answer_of(llm, Turn((Utterance("U1", "before"),), "answered")))

    assert [(message["role"], message["content"]) for message in llm.calls[0].messages] == [
        ("system", PERSONA),
        ("user", "before"),
        ("assistant", "answered"),
        ("user", "now"),
    ]


async def test_history_stays_within_the_budget_and_persona_and_question_always_fit(llm: ScriptedLLM) -> None:
    """A history above the budget is cut to its newest half, and the result has the new window.

    The question always fits.
    """
    llm.script("ok")
    whole = answer_of(llm, *long_turns(3), budget=500)
    await read(whole)
    llm.script("ok")
    half = answer_of(llm, *long_turns(4), budget=500)
    await read(half)

    assert len(llm.calls[0].messages) == 1 + 2 * 3 + 1
    assert whole.new_window is None
    assert len(llm.calls[1].messages) == 1 + 2 * 1 + 1
    assert half.new_window == HistoryWindow(after=3)


async def test_what_holds_for_this_moment_stands_right_before_the_question(llm: ScriptedLLM) -> None:
    """The note stands after the history, so that the prefix of the requests stays the same."""
    llm.script("ok")
    assistant = Assistant(llm, persona=PERSONA, budget=budget_of(1_000))
    await read(
        assistant.answer(
            parts(*long_turns(1), NOW, about="Call her Ana.", window=HistoryWindow(0, "The code is 7319."))
        )
    )

    assert [message["role"] for message in llm.calls[0].messages] == ["system", "user", "assistant", "user"]
    assert "The code is 7319." in llm.calls[0].messages[1]["content"]
    assert llm.calls[0].messages[-1]["content"].endswith(f"\n  Call her Ana.\n\n{NOTE_ENDS}\n\nnow")


async def test_a_shortened_question_is_reported(llm: ScriptedLLM) -> None:
    """The model sees both ends of a message that exceeds the budget. A sentence below the answer tells the person."""
    llm.script("Well, ", "that was long")
    long = Turn((Utterance("U1", f"begins {'so it is ' * 1_000} ends"),))
    answer = Assistant(llm, persona=PERSONA, budget=budget_of(500)).answer(parts(long))

    assert (await read(answer))[-1] == f"\n\n{texts.SHORTENED}"
    assert answer.result.text == "Well, that was long"
    shown = llm.calls[0].messages[-1]["content"]
    assert (shown[:6], shown[-4:]) == ("begins", "ends")
    assert "characters left out" in shown


async def test_the_backends_count_makes_the_next_request_shorter(llm: ScriptedLLM) -> None:
    """After a backend has counted twice the estimated tokens, the next request has half as much history."""
    llm.script("ok", usage=Usage(2_000, 0, 2))
    llm.script("ok")
    assistant = Assistant(llm, persona=PERSONA, budget=budget_of(1_200))
    for _ in range(2):
        await read(assistant.answer(parts(*long_turns(7), NOW)))

    first, second = (call.messages for call in llm.calls)
    assert len(second) < len(first) == 1 + 2 * 7 + 1


async def note(arguments: Arguments) -> Outcome:
    """Return an outcome without an effect."""
    return Outcome({"noted": len(arguments)})


NOTE = Tool("note", "Takes a note.", {}, note)


async def test_what_tools_cost_counts_against_the_window(llm: ScriptedLLM) -> None:
    """The definitions of tools are part of the request, and leave less room for the history."""
    budget, past = Budget(window_tokens=1_800, answer_tokens=100, history_tokens=10_000), Past(tuple(long_turns(2)))
    without, with_tool = (Assistant(llm, persona=PERSONA, budget=budget, extra_tokens=cost) for cost in (0, 700))
    for assistant in (without, with_tool):
        llm.script("ok")
        await read(assistant.answer(parts(*long_turns(7), NOW), tools=[NOTE]))

    assert [len(call.messages) < 16 for call in llm.calls] == [False, True]
    assert with_tool.room == without.room - 700
    assert with_tool.filled(past) > without.filled(past)


async def test_an_answer_in_rounds_teaches_nothing_of_the_prompts_cost(llm: ScriptedLLM) -> None:
    """The usage of several rounds does not change the budget, because it counts the tools' results too."""
    llm.script(tool_calls=[ToolCall("c1", "note", "{}")], usage=Usage(1_000, 0, 2))
    llm.script("ok", usage=Usage(2_000, 0, 2))
    llm.script("ok")
    assistant = Assistant(llm, persona=PERSONA, budget=budget_of(1_200))
    for _ in range(2):
        await read(assistant.answer(parts(*long_turns(7), NOW), tools=[NOTE]))

    assert [len(call.messages) for call in llm.calls] == [16, 18, 16]


@pytest.mark.parametrize("trouble", Trouble)
async def test_every_model_failure_is_a_sentence(llm: ScriptedLLM, trouble: Trouble) -> None:
    """Without any text, the sentence is the whole answer. The detail is for the operator."""
    llm.script(ModelError(trouble, "the detail"))
    answer = answer_of(llm)

    assert await read(answer) == [texts.trouble(trouble)]
    assert (answer.result.text, answer.result.trouble, answer.result.detail) == ("", trouble, "the detail")


@pytest.mark.parametrize("trouble", Trouble)
async def test_a_model_failure_after_some_text_is_a_paragraph_below_it(llm: ScriptedLLM, trouble: Trouble) -> None:
    """The text so far stays, and is stored without the sentence."""
    llm.script("Half an", ModelError(trouble, "the detail"))
    answer = answer_of(llm)

    assert await read(answer) == ["Half an", f"\n\n{texts.trouble(trouble)}"]
    assert (answer.result.text, answer.result.trouble) == ("Half an", trouble)


class Retrying:
    """A model whose answer breaks off once, after these pieces."""

    def __init__(self, *before: Piece) -> None:
        self._before = before

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[Piece]:
        del messages, parameters
        for piece in self._before:
            yield piece
        yield Retry(ModelError(Trouble.CUT, "the detail"))
        yield "A whole answer"
        yield Done("retrying", None)


async def test_a_retry_voids_the_text_so_far() -> None:
    """A reader that can restart gets the retry, and the result has the new text alone."""
    assistant = Assistant(Retrying("Half an"), persona=PERSONA, budget=budget_of(1_000))
    answer = assistant.answer(parts(NOW), can_restart=True)
    pieces = [piece async for piece in answer.words()]

    assert [type(piece) for piece in pieces] == [str, Retry, str]
    assert (answer.result.text, answer.result.trouble, answer.ending()) == ("A whole answer", None, "")


async def test_a_reader_that_has_passed_text_on_gets_a_failure() -> None:
    """A reader that cannot restart gets the trouble instead of a second text. Before any text it gets the answer."""
    answer = answer_of(Retrying("Half an"))
    assert await read(answer) == ["Half an", f"\n\n{texts.trouble(Trouble.CUT)}"]
    assert (answer.result.text, answer.result.trouble, answer.result.detail) == ("Half an", Trouble.CUT, "the detail")

    assert await read(answer_of(Retrying())) == ["A whole answer"]


async def test_an_answer_cut_at_the_backends_limit_says_so(llm: ScriptedLLM) -> None:
    """An answer that reached the length limit is no failure, but a sentence says that it is incomplete."""
    llm.script("A long story", truncated=True)
    answer = answer_of(llm)

    assert await read(answer) == ["A long story", f"\n\n{texts.TRUNCATED}"]
    assert (answer.result.text, answer.result.trouble) == ("A long story", None)


async def test_an_exceeded_window_is_tried_once_more_with_less(llm: ScriptedLLM) -> None:
    """The second request has the newest part of the history. Its answer counts, and so does its window."""
    llm.script(ModelError(Trouble.WINDOW_EXCEEDED, "too long"))
    llm.script("Now it fits")
    answer = answer_of(llm, *long_turns(4))

    assert await read(answer) == ["Now it fits"]
    assert answer.result.trouble is None
    assert answer.new_window == HistoryWindow(after=3)
    first, second = (call.messages for call in llm.calls)
    assert len(second) < len(first)
    assert (second[0], second[-1]) == (first[0], first[-1])


async def test_an_exceeded_window_is_not_tried_for_ever(llm: ScriptedLLM) -> None:
    """If the shorter request is too long as well, a sentence tells the person."""
    for _ in range(2):
        llm.script(ModelError(Trouble.WINDOW_EXCEEDED, "too long"))
    answer = answer_of(llm, *long_turns(4))

    assert await read(answer) == [texts.trouble(Trouble.WINDOW_EXCEEDED)]


async def test_what_cannot_be_shortened_is_not_sent_again(llm: ScriptedLLM) -> None:
    """A request that cannot be shortened is not repeated, because it would fail again."""
    llm.script(ModelError(Trouble.WINDOW_EXCEEDED, "too long"))

    assert await read(answer_of(llm)) == [texts.trouble(Trouble.WINDOW_EXCEEDED)]


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
async def test_a_callers_limit_of_the_answer_narrows_nobody_elses_window(llm: ScriptedLLM, limit: str) -> None:
    """A refusal because of the caller's limit does not change the shared budget.

    The request is not repeated where less history would not help.
    """
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
    """Where the backend adds up prompt and answer, the request is repeated with less history, for this answer only."""
    llm.script(ModelError(Trouble.WINDOW_EXCEEDED, "too long", window=8_000))
    llm.script("Now it fits")
    assistant = Assistant(llm, persona=PERSONA, budget=budget_of(50_000))
    room = assistant.room
    answer = assistant.answer(parts(*long_turns(40), NOW), parameters={"max_tokens": 4_000}, whole=True)

    assert await read(answer) == ["Now it fits"]
    assert answer.prompt.tokens + 4_000 < 8_000
    assert answer.new_window is not None
    assert assistant.room == room


@pytest.mark.parametrize("model", [Broken, Endless])
async def test_an_unexpected_exception_is_a_cut_answer(model: type[LLM], caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception of the model ends as text and a sentence. The reader sees no exception."""
    answer = answer_of(model())

    assert "".join(await read(answer)).split("\n\n") == [answer.result.text, texts.trouble(Trouble.CUT)]
    assert answer.result.trouble is Trouble.CUT
    assert any("ZeroDivisionError" in vars(record).get("traceback", "") for record in caplog.records) is (
        model is Broken
    )


@pytest.mark.parametrize("why", Interrupted)
async def test_an_interrupted_answer_ends_at_once_and_says_so(llm: ScriptedLLM, why: Interrupted) -> None:
    """An interruption closes the model's stream at once. A last sentence follows the text so far."""
    hold, interruption = PausedStep(), Interruption()
    llm.script("My first ", hold, "never shown")
    answer = answer_of(llm, interruption=interruption)
    reading = asyncio.create_task(read(answer))
    await hold.reached()
    interruption.interrupt(why)
    sentence = texts.interrupted(why)  # none where the answer begins again

    assert await reading == ["My first ", *([f"\n\n{sentence}"] if sentence else [])]
    assert llm.closed_early == 1
    assert (answer.result.text, answer.result.interrupted) == ("My first ", why)


@pytest.mark.parametrize("why", Interrupted)
async def test_an_answer_interrupted_before_it_began_calls_no_model(llm: ScriptedLLM, why: Interrupted) -> None:
    """The model is not called. Only a stop has a sentence for the person."""
    interruption = Interruption()
    answer = answer_of(llm, interruption=interruption)
    interruption.interrupt(why)

    assert await read(answer) == ([texts.interrupted(why)] if why is Interrupted.STOPPED else [])
    assert (answer.result.text, answer.result.interrupted, llm.calls) == ("", why, [])


async def test_an_answer_interrupted_while_it_begins_ends(llm: ScriptedLLM) -> None:
    """An interruption between any two of the first steps ends the answer."""
    interruption = Interruption()
    llm.script(PausedStep())
    reading = asyncio.create_task(read(answer_of(llm, interruption=interruption)))
    asyncio.get_running_loop().call_soon(interruption.interrupt, Interrupted.STOPPED)

    assert await asyncio.wait_for(reading, GENEROUS_S) == [texts.interrupted(Interrupted.STOPPED)]


async def test_an_answer_may_be_interrupted_again(llm: ScriptedLLM) -> None:
    """The newest reason counts, because interruptions are polled until the turn is settled."""
    hold, interruption = PausedStep(), Interruption()
    llm.script("My first ", hold)
    reading = asyncio.create_task(read(answer_of(llm, interruption=interruption)))
    await hold.reached()
    for why in (Interrupted.STOPPED, Interrupted.STOPPED, Interrupted.RESET):
        interruption.interrupt(why)

    assert (await reading)[-1] == f"\n\n{texts.interrupted(Interrupted.RESET)}"
    interruption.interrupt(Interrupted.RESET)


async def test_an_interruption_drops_what_the_reader_has_not_read() -> None:
    """A slow platform shows no further text after an interruption, and only the text that was read is stored."""
    interruption = Interruption()
    answer = answer_of(Talkative(), interruption=interruption)
    async with aclosing(answer.words()) as words:
        await anext(words)
        interruption.interrupt(Interrupted.STOPPED)
        assert [word async for word in words] == []

    assert answer.ending() == f"\n\n{texts.interrupted(Interrupted.STOPPED)}"
    assert answer.result.text == "word "


async def test_an_answer_of_a_quick_model_can_be_stopped_while_it_is_read(llm: ScriptedLLM) -> None:
    """A stop ends an answer that a slow platform is still showing, although the model has more text ready."""
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


async def test_a_slow_reader_delays_the_model() -> None:
    """Nothing is buffered: the model waits until the reader has taken a piece."""
    model = Talkative()
    async with aclosing(answer_of(model).words()) as words:
        await anext(words)
        await anext(words)
        for _ in range(1_000):
            await asyncio.sleep(0)

    assert model.yielded <= 3


async def test_a_reader_that_leaves_closes_the_models_stream() -> None:
    """A reader that closes the answer early closes the model's stream."""
    model = Talkative()
    async with aclosing(answer_of(model).words()) as words:
        await anext(words)

    assert model.closed


async def test_a_cancelled_reader_closes_the_models_stream(llm: ScriptedLLM) -> None:
    """The cancellation is passed on, and no task is left."""
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


async def test_the_cost_of_an_answer_is_counted_as_it_arrives(
    llm: ScriptedLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece is estimated once, so that many answers that end at once cost no time."""
    counted: list[str] = []

    def estimate(piece: str) -> int:
        counted.append(piece)
        return len(piece)

    monkeypatch.setattr(token_accounts, "estimate_piece", estimate)
    llm.script("Try ", "again.")
    answer = answer_of(llm)
    await read(answer)

    assert answer.cost.tokens == answer.prompt.tokens + answer.cost.completion_tokens
    assert answer.cost.completion_tokens == TOKENS_PER_MESSAGE + len("Try again.")
    assert counted == ["Try ", "again."]
