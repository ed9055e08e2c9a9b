"""The tool loop: the model calls tools and continues, and every answer ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import aclosing

import pytest

from bot.errors import ModelError, Trouble
from bot.llm import Done, Retry, ToolCall, Usage
from bot.llm.circuit_breaker import CircuitBreaker
from bot.llm.patience import PatientModel
from bot.prompt.history import ChatMessage
from bot.testing import PausedStep, ScriptedLLM, SettableClock
from bot.tools import Arguments, Outcome, Tool
from bot.tools.loop import MOST_CALLS, MOST_CHARACTERS, Rounds

ASKED: list[ChatMessage] = [{"role": "user", "content": "hi"}]


class Notebook:
    """A tool that records its calls."""

    def __init__(self, outcome: Outcome) -> None:
        self.noted: list[Arguments] = []
        self._outcome = outcome

    async def run(self, arguments: Arguments) -> Outcome:
        self.noted.append(arguments)
        return self._outcome

    @property
    def tool(self) -> Tool:
        return Tool("note", "Note it.", {"type": "object"}, self.run)


@pytest.fixture
def notebook() -> Notebook:
    """Return a tool whose note tells the person of the change."""
    return Notebook(Outcome({"noted": 1}, "(Noted.)"))


def call(arguments: str = "{}", *, id_: str = "c1", name: str = "note") -> ToolCall:
    """Return a call of the tool."""
    return ToolCall(id_, name, arguments)


async def answer_of(llm: ScriptedLLM, notebook: Notebook) -> tuple[str, Done]:
    """Read an answer to its end."""
    pieces = [piece async for piece in Rounds(llm, [notebook.tool]).stream(ASKED, {"temperature": 0})]
    *texts, done = pieces
    assert isinstance(done, Done)
    return "".join(map(str, texts)), done


def later(llm: ScriptedLLM) -> Sequence[ChatMessage]:
    """Return the messages that the last request adds to the first one."""
    return llm.calls[-1].messages[len(ASKED) :]


async def test_an_answer_without_a_call_is_unchanged(llm: ScriptedLLM, notebook: Notebook) -> None:
    """The text passes through. The request has the tool and the other parameters, and the Done is the model's."""
    llm.script("Hello", " you", usage=Usage(10, 4, 2))

    assert await answer_of(llm, notebook) == ("Hello you", Done("scripted", Usage(10, 4, 2)))
    offered = {"name": "note", "description": "Note it.", "parameters": {"type": "object"}}
    assert llm.calls[0].parameters == {"temperature": 0, "tools": [{"type": "function", "function": offered}]}


async def test_blank_space_before_the_first_word_is_left_out(llm: ScriptedLLM, notebook: Notebook) -> None:
    """Blank space before the first word is removed in every round."""
    llm.script("\n\n  One ", "moment.", tool_calls=[call()])
    llm.script("\n Noted.")

    assert (await answer_of(llm, notebook))[0] == "One moment.\n\nNoted.\n\n(Noted.)"


async def test_the_next_round_has_the_results_of_the_calls(llm: ScriptedLLM, notebook: Notebook) -> None:
    """Each call has its result, in order, after the model's text of that round."""
    llm.script("Wait.", tool_calls=[call('{"a": 1}'), call('{"a": 2}', id_="c2")])
    llm.script("Done.")
    await answer_of(llm, notebook)

    assert notebook.noted == [{"a": 1}, {"a": 2}]
    assistant, *results = later(llm)
    assert (assistant["role"], assistant["content"], [made["id"] for made in assistant["tool_calls"]]) == (
        "assistant",
        "Wait.",
        ["c1", "c2"],
    )
    assert [(result["role"], result["tool_call_id"], result["content"]) for result in results] == [
        ("tool", "c1", '{"noted": 1}'),
        ("tool", "c2", '{"noted": 1}'),
    ]


async def test_the_first_piece_does_not_wait_for_the_rounds(llm: ScriptedLLM, notebook: Notebook) -> None:
    """Text before a call can be read while the next round runs."""
    hold = PausedStep()
    llm.script("Wait.", tool_calls=[call()])
    llm.script(hold, "Done.")
    async with aclosing(Rounds(llm, [notebook.tool]).stream(ASKED)) as pieces:
        assert await anext(pieces) == "Wait."
        hold.release()
        assert await anext(pieces) == "\n\nDone."


async def test_the_usage_counts_all_rounds(llm: ScriptedLLM, notebook: Notebook) -> None:
    """The usage has the last request's prompt, which contains the others, and the sum of the completions."""
    llm.script(usage=Usage(100, 50, 7), tool_calls=[call()])
    llm.script("Done.", usage=Usage(120, 100, 3))

    done = (await answer_of(llm, notebook))[1]
    assert (done.usage, done.rounds) == (Usage(120, 100, 10), 2)


async def test_a_retry_repeats_its_own_round_alone(llm: ScriptedLLM, notebook: Notebook) -> None:
    """A round that breaks off is asked for again. The text of earlier rounds stays, and no tool runs twice."""
    llm.script("Wait.", tool_calls=[call()])
    llm.script("Half ", ModelError(Trouble.CUT, "cut"))
    llm.script("All ", "done.")
    patient = PatientModel(CircuitBreaker(llm, clock=SettableClock().now), patience_s=60, silence_s=60)
    pieces = [piece async for piece in Rounds(patient, [notebook.tool]).stream(ASKED)]

    kinds = ["\n\nHalf ", Retry, "Wait.", "\n\nAll ", "done.", "\n\n(Noted.)"]
    assert [piece if isinstance(piece, str) else type(piece) for piece in pieces[1:-1]] == kinds
    assert len(notebook.noted) == 1


@pytest.mark.parametrize("text", ["(Noted.) now", "I have WRITTEN it down."])
async def test_a_mentioned_change_is_not_noted_again(llm: ScriptedLLM, text: str) -> None:
    """The note is left out if the model used all of its words. A note without such words is always shown."""
    notebook = Notebook(Outcome({}, "(Noted.)", ("written",)))
    llm.script(tool_calls=[call()])
    llm.script(text)

    assert (await answer_of(llm, notebook))[0] == (text if "WRITTEN" in text else f"{text}\n\n(Noted.)")


async def test_a_leaving_reader_closes_the_round(llm: ScriptedLLM, notebook: Notebook) -> None:
    """A reader that closes the answer closes the stream of the running round."""
    llm.script("Wait.", tool_calls=[call()])
    llm.script("And ", PausedStep())
    async with aclosing(Rounds(llm, [notebook.tool]).stream(ASKED)) as pieces:
        assert [await anext(pieces), await anext(pieces)] == ["Wait.", "\n\nAnd "]

    assert llm.closed_early == 1


async def test_many_calls_at_once_are_cut(llm: ScriptedLLM, notebook: Notebook) -> None:
    """Only the first calls of a round are run and shown to the model, each with an id."""
    llm.script(tool_calls=[call(id_="")] * 100)
    llm.script("Done.")
    await answer_of(llm, notebook)

    ids = [made["id"] for made in later(llm)[0]["tool_calls"]]
    assert len(notebook.noted) == len(set(ids)) == len(later(llm)) - 1 == MOST_CALLS


async def test_invalid_names_and_arguments_are_not_sent_back(llm: ScriptedLLM, notebook: Notebook) -> None:
    """The next request leaves out invalid characters of a name, and arguments that are no JSON object or too long."""
    long = json.dumps({"a": "x" * MOST_CHARACTERS})
    llm.script(tool_calls=[call("{not json", name="no te!\n"), call("[]", name="…", id_="c2"), call(long, id_="c3")])
    llm.script("Done.")
    await answer_of(llm, notebook)

    functions = [made["function"] for made in later(llm)[0]["tool_calls"]]
    assert functions == [{"name": name, "arguments": "{}"} for name in ("note", "unknown", "note")]
    assert notebook.noted == []


@pytest.mark.parametrize("trouble", [each for each in Trouble if each is not Trouble.EMPTY])
async def test_a_failure_in_a_later_round_comes_after_the_note(
    llm: ScriptedLLM, notebook: Notebook, trouble: Trouble
) -> None:
    """The note on a change is shown before the error is raised."""
    llm.script(tool_calls=[call()])
    llm.script(ModelError(trouble, "the detail"))
    pieces = Rounds(llm, [notebook.tool]).stream(ASKED)

    assert await anext(pieces) == "(Noted.)"
    with pytest.raises(ModelError) as raised:
        await anext(pieces)
    assert raised.value.trouble is trouble


async def test_the_note_may_be_the_whole_answer(llm: ScriptedLLM, notebook: Notebook) -> None:
    """If the model adds no text after a change, the note is the answer. The Done is the calling round's."""
    llm.script(usage=Usage(10, 4, 2), tool_calls=[call()])
    llm.script(ModelError(Trouble.EMPTY, "no text"))

    assert await answer_of(llm, notebook) == ("(Noted.)", Done("scripted", Usage(10, 4, 2)))


async def test_unknown_tool_calls_alone_are_an_empty_answer(llm: ScriptedLLM, notebook: Notebook) -> None:
    """A model that only calls unknown tools, and writes no text, has given an empty answer."""
    for _ in range(3):
        llm.script(tool_calls=[call(name="elsewhere")])

    with pytest.raises(ModelError) as raised:
        await answer_of(llm, notebook)
    assert raised.value.trouble is Trouble.EMPTY
    assert [made.parameters.get("tool_choice") for made in llm.calls] == [None, None, "none"]
