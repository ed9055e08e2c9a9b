"""bot.tools.loop: the model calls for tools and goes on; whatever it does, the answer has an end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import aclosing

import pytest

from bot.errors import ModelError, Trouble
from bot.llm import Done, ToolCall, Usage
from bot.prompt.history import ChatMessage
from bot.testing import PausedStep, ScriptedLLM
from bot.tools import Arguments, Outcome, Tool
from bot.tools.loop import MOST_CALLS, MOST_CHARACTERS, Rounds

ASKED: list[ChatMessage] = [{"role": "user", "content": "hi"}]


class Notebook:
    """A tool that notes what it is called with."""

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
    """One that tells the person that it noted something."""
    return Notebook(Outcome({"noted": 1}, "(Noted.)"))


def call(arguments: str = "{}", *, id_: str = "c1", name: str = "note") -> ToolCall:
    """A call of the tool."""
    return ToolCall(id_, name, arguments)


async def heard(llm: ScriptedLLM, notebook: Notebook) -> tuple[str, Done]:
    """The whole answer."""
    pieces = [piece async for piece in Rounds(llm, [notebook.tool]).stream(ASKED, {"temperature": 0})]
    *texts, done = pieces
    assert isinstance(done, Done)
    return "".join(map(str, texts)), done


def later(llm: ScriptedLLM) -> Sequence[ChatMessage]:
    """What the last request showed besides what was asked."""
    return llm.calls[-1].messages[len(ASKED) :]


async def test_without_a_call_nothing_changes(llm: ScriptedLLM, notebook: Notebook) -> None:
    """The text passes through, the tool and the other parameters are in the request, and its Done is the end."""
    llm.script("Hello", " you", usage=Usage(10, 4, 2))

    assert await heard(llm, notebook) == ("Hello you", Done("scripted", Usage(10, 4, 2)))
    offered = {"name": "note", "description": "Note it.", "parameters": {"type": "object"}}
    assert llm.calls[0].parameters == {"temperature": 0, "tools": [{"type": "function", "function": offered}]}


async def test_blank_space_before_the_first_word_is_left_out(llm: ScriptedLLM, notebook: Notebook) -> None:
    """In a chat an answer does not begin with it, in no round."""
    llm.script("\n\n  One ", "moment.", tool_calls=[call()])
    llm.script("\n Noted.")

    assert (await heard(llm, notebook))[0] == "One moment.\n\nNoted.\n\n(Noted.)"


async def test_the_next_round_is_shown_what_came_of_the_calls(llm: ScriptedLLM, notebook: Notebook) -> None:
    """Each call has its result, in order, after what the model said with them."""
    llm.script("Wait.", tool_calls=[call('{"a": 1}'), call('{"a": 2}', id_="c2")])
    llm.script("Done.")
    await heard(llm, notebook)

    assert notebook.noted == [{"a": 1}, {"a": 2}]
    said, *results = later(llm)
    assert (said["role"], said["content"], [made["id"] for made in said["tool_calls"]]) == (
        "assistant",
        "Wait.",
        ["c1", "c2"],
    )
    assert [(result["role"], result["tool_call_id"], result["content"]) for result in results] == [
        ("tool", "c1", '{"noted": 1}'),
        ("tool", "c2", '{"noted": 1}'),
    ]


async def test_the_first_piece_does_not_wait_for_the_rounds(llm: ScriptedLLM, notebook: Notebook) -> None:
    """What is said before a call is there to be read while the next round still runs."""
    hold = PausedStep()
    llm.script("Wait.", tool_calls=[call()])
    llm.script(hold, "Done.")
    async with aclosing(Rounds(llm, [notebook.tool]).stream(ASKED)) as pieces:
        assert await anext(pieces) == "Wait."
        hold.release()
        assert await anext(pieces) == "\n\nDone."


async def test_the_usage_is_of_all_that_was_written(llm: ScriptedLLM, notebook: Notebook) -> None:
    """The prompt is the last request's, which holds the others; the completions are added up."""
    llm.script(usage=Usage(100, 50, 7), tool_calls=[call()])
    llm.script("Done.", usage=Usage(120, 100, 3))

    done = (await heard(llm, notebook))[1]
    assert (done.usage, done.rounds) == (Usage(120, 100, 10), 2)


@pytest.mark.parametrize("said", ["(Noted.) now", "I have WRITTEN it down."])
async def test_what_the_model_has_told_is_not_told_again(llm: ScriptedLLM, said: str) -> None:
    """The note is left out where the model has used all the words that tell it; without such words never."""
    notebook = Notebook(Outcome({}, "(Noted.)", ("written",)))
    llm.script(tool_calls=[call()])
    llm.script(said)

    assert (await heard(llm, notebook))[0] == (said if "WRITTEN" in said else f"{said}\n\n(Noted.)")


async def test_a_leaving_reader_closes_the_round(llm: ScriptedLLM, notebook: Notebook) -> None:
    """However many rounds there were, the stream under way is closed with the answer's."""
    llm.script("Wait.", tool_calls=[call()])
    llm.script("And ", PausedStep())
    async with aclosing(Rounds(llm, [notebook.tool]).stream(ASKED)) as pieces:
        assert [await anext(pieces), await anext(pieces)] == ["Wait.", "\n\nAnd "]

    assert llm.closed_early == 1


async def test_many_calls_at_once_are_cut(llm: ScriptedLLM, notebook: Notebook) -> None:
    """Of a flood of calls some are carried out, and the model is shown those alone, each with an id."""
    llm.script(tool_calls=[call(id_="")] * 100)
    llm.script("Done.")
    await heard(llm, notebook)

    ids = [made["id"] for made in later(llm)[0]["tool_calls"]]
    assert len(notebook.noted) == len(set(ids)) == len(later(llm)) - 1 == MOST_CALLS


async def test_what_a_backend_would_refuse_is_not_shown_again(llm: ScriptedLLM, notebook: Notebook) -> None:
    """A name with odd characters, and arguments that are no JSON or very long, stay out of the next request."""
    long = json.dumps({"a": "x" * MOST_CHARACTERS})
    llm.script(tool_calls=[call("{not json", name="no te!\n"), call("[]", name="…", id_="c2"), call(long, id_="c3")])
    llm.script("Done.")
    await heard(llm, notebook)

    functions = [made["function"] for made in later(llm)[0]["tool_calls"]]
    assert functions == [{"name": name, "arguments": "{}"} for name in ("note", "unknown", "note")]
    assert notebook.noted == []


@pytest.mark.parametrize("trouble", [each for each in Trouble if each is not Trouble.EMPTY])
async def test_trouble_in_a_later_round_comes_after_the_note(
    llm: ScriptedLLM, notebook: Notebook, trouble: Trouble
) -> None:
    """What was done is told before the trouble is raised, as it is where no tool was called."""
    llm.script(tool_calls=[call()])
    llm.script(ModelError(trouble, "the detail"))
    pieces = Rounds(llm, [notebook.tool]).stream(ASKED)

    assert await anext(pieces) == "(Noted.)"
    with pytest.raises(ModelError) as raised:
        await anext(pieces)
    assert raised.value.trouble is trouble


async def test_silence_after_something_was_done_is_an_end(llm: ScriptedLLM, notebook: Notebook) -> None:
    """The note is the answer then; its end is the end of the round that called."""
    llm.script(usage=Usage(10, 4, 2), tool_calls=[call()])
    llm.script(ModelError(Trouble.EMPTY, "no text"))

    assert await heard(llm, notebook) == ("(Noted.)", Done("scripted", Usage(10, 4, 2)))


async def test_only_calls_that_lead_to_nothing_are_no_answer(llm: ScriptedLLM, notebook: Notebook) -> None:
    """A model that calls what is not there until it may not, and says nothing, gave an empty answer."""
    for _ in range(3):
        llm.script(tool_calls=[call(name="elsewhere")])

    with pytest.raises(ModelError) as raised:
        await heard(llm, notebook)
    assert raised.value.trouble is Trouble.EMPTY
    assert [made.parameters.get("tool_choice") for made in llm.calls] == [None, None, "none"]
