"""The parser of streamed completions does no I/O and accepts any bytes."""

from __future__ import annotations

import contextlib
import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.errors import ModelError, Trouble
from bot.llm import Done, ToolCall, Usage
from bot.llm.stream_parser import (
    MAX_ANSWER_CHARACTERS,
    MAX_BLANK_CHARACTERS,
    MAX_LINE_BYTES,
    MAX_TOOL_CALLS,
    StreamParser,
)
from tests.support.openai_server import delta, event

DONE = b"data: [DONE]\n\n"
END = event({"choices": [{"delta": {}, "finish_reason": "stop"}]})


def read(body: bytes, *cuts: int) -> tuple[str, Done]:
    """Parse a body that arrives in pieces, split at these offsets."""
    completion = StreamParser("asked-for")
    edges = [0, *sorted(cuts), len(body)]
    text = "".join(completion.feed(body[a:b]) for a, b in itertools.pairwise(edges))
    return text, completion.end()


def trouble(body: bytes) -> ModelError:
    """Return the error of a body."""
    with pytest.raises(ModelError) as caught:
        read(body)
    return caught.value


def finishing(reason: str, text: str = "") -> bytes:
    return event({"choices": [{"delta": {"content": text}, "finish_reason": reason}]})


def chunks(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(["choices", "delta", "content", "finish_reason", "usage", "error", "refusal", "model"])
    return st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=3)


WHOLE = event(delta("Grüße 👋\u2028")) + b": keep-alive\n\nevent: x\r\n" + event(delta("dort\x85")) + END + DONE


@given(st.lists(st.integers(0, len(WHOLE)), max_size=6))
def test_the_division_into_pieces_makes_no_difference(cuts: list[int]) -> None:
    """The text is the same for any division of the body, even within a character or a line."""
    assert read(WHOLE, *cuts)[0] == "Grüße 👋\u2028dort\x85"


@settings(max_examples=50)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), chunks, max_leaves=8))
def test_any_json_is_parsed(chunk: Any) -> None:
    """No JSON makes the parser fail. Each stream ends with a Done or a ModelError."""
    with contextlib.suppress(ModelError):
        read(event(delta("x")) + b"data:" + json.dumps(chunk).encode() + b"\n" + END)


def test_unescaped_line_separators_do_not_cut_a_chunk() -> None:
    """Text that holds an unescaped U+2028 is read whole."""
    body = b'data: {"choices":[{"delta":{"content":"a\xe2\x80\xa8b"},"finish_reason":"stop"}]}\n\n'

    assert read(body)[0] == "a\u2028b"


def test_usage_and_model_are_reported() -> None:
    """The Done has the backend's name of the model and its last usage."""
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}

    done = read(event(delta("x")) + END + event({"model": "m-1", "choices": [], "usage": usage}) + DONE)[1]

    assert done == Done("m-1", Usage(prompt=9, cached=4, completion=2))


def test_a_body_without_model_and_usage() -> None:
    """The Done has the requested name of the model and no usage."""
    assert read(finishing("stop", "x"))[1] == Done("asked-for", None)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("m" * 300, "m" * 200),
        ("a\0b\ud83d\u202ec\nd", "abcd"),
        ("\0\n", "asked-for"),
    ],
)
def test_a_name_is_cleaned_and_clipped(told: str, expected: str) -> None:
    """A model name from a backend is reported in a form that can be stored and shown."""
    assert read(event(delta("x")) + event({"model": told}) + END)[1].model == expected


@pytest.mark.parametrize("count", [2**40, 2**31, -1, "12", 1.5, True, None, [3]])
def test_an_invalid_token_count_is_dropped(count: Any) -> None:
    """A number of tokens that no request can have is ignored."""
    usage = {"prompt_tokens": count, "completion_tokens": 2**31 - 1, "prompt_tokens_details": {"cached_tokens": count}}

    assert read(event(delta("x")) + END + event({"usage": usage}))[1].usage == Usage(completion=2**31 - 1)


def test_a_character_split_over_two_deltas_is_joined() -> None:
    """The two halves of a surrogate pair become one character, for any division of the body."""
    body = event(delta("hi \ud83d")) + event(delta("\ude00!")) + END

    assert read(body)[0] == "hi 😀!"
    assert read(body, len(event(delta("hi \ud83d"))))[0] == "hi 😀!"


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        (["a\ud83d", "b"], "a\ufffdb"),
        (["a", "\ude00b"], "a\ufffdb"),
        (["a\ud83d", "\ud83d", "\ude00"], "a\ufffd😀"),
        (["a", "\ud83d"], "a"),
    ],
)
def test_a_lone_surrogate_is_replaced(deltas: list[str], expected: str) -> None:
    """A lone surrogate is replaced. At the end of the text it is left out."""
    bodies = [*map(event, map(delta, deltas)), END]
    cuts = list(itertools.accumulate(map(len, bodies)))

    assert read(b"".join(bodies), *cuts)[0] == expected


def test_reasoning_is_reported() -> None:
    """Reasoning, in either of its fields, is not text. `thinking` is true until the next bytes arrive."""
    completion = StreamParser("m")
    for name in ("reasoning", "reasoning_content"):
        assert completion.feed(event({"choices": [{"delta": {"content": None, name: "Hm"}}]})) == ""
        assert completion.thinking
        completion.feed(event({"choices": [{"delta": {name: ""}}]}))
        assert not completion.thinking


def test_the_length_limit_is_reported() -> None:
    """The finish_reason `length` makes a complete but truncated answer."""
    assert read(finishing("length", "half a"))[1].truncated


def test_a_done_without_a_finish_reason_is_an_end() -> None:
    """An answer that ends with [DONE] alone is complete, because some backends send no finish_reason."""
    assert read(event(delta("all")) + DONE)[0] == "all"


def test_blank_space_comes_with_the_first_word() -> None:
    """An answer may begin with white space, such as indented code. It cannot consist of white space alone."""
    completion = StreamParser("m")
    assert completion.feed(event(delta("\n "))) == ""
    assert completion.feed(event(delta(" a "))) == "\n  a "
    assert trouble(event(delta(" \n")) + END).trouble is Trouble.EMPTY


def test_blank_space_without_end_is_not_kept() -> None:
    """Endless white space does not fill the memory."""
    completion = StreamParser("m")
    for _ in range(3):
        completion.feed(event(delta(" " * MAX_BLANK_CHARACTERS)))

    assert completion.feed(event(delta("a"))) == " " * MAX_BLANK_CHARACTERS + "a"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (event(delta("half")), Trouble.CUT),
        (b"", Trouble.CUT),
        (b"<html>welcome</html>", Trouble.CUT),
        (b"data: {not json\n\n" + END, Trouble.CUT),
        (b"data: \xff\n\n" + END, Trouble.CUT),
        (b"data: " + b"[" * 100_000 + b"\n\n" + END, Trouble.CUT),
        (END + DONE, Trouble.EMPTY),
        (finishing("length"), Trouble.EMPTY),
        (finishing("content_filter", "half"), Trouble.REFUSED),
        (event({"choices": [{"delta": {"refusal": "I will not"}}]}) + END, Trouble.REFUSED),
        (event({"error": {"message": "boo"}}), Trouble.CUT),
        (event({"error": "boo"}), Trouble.CUT),
        (event({"error": {"code": 502, "message": "upstream"}}), Trouble.UNAVAILABLE),
        (event({"error": {"code": 429, "message": "slow down"}}), Trouble.RATE_LIMITED),
        (event({"error": {"type": "server_error"}}), Trouble.UNAVAILABLE),
    ],
)
def test_each_incomplete_stream_has_its_trouble(body: bytes, expected: Trouble) -> None:
    """Each way in which a stream can fail has its Trouble."""
    assert trouble(body).trouble is expected


def test_text_before_a_broken_chunk_is_kept() -> None:
    """Text before the broken chunk is returned, even if both arrive together. Later text is dropped."""
    completion = StreamParser("m")

    assert completion.feed(event(delta("kept")) + b"data: {\n\n" + event(delta("not"))) == "kept"
    assert completion.ended


def test_an_event_without_end_is_not_waited_for() -> None:
    """A line that is longer than any event ends the parsing, so that it cannot fill the memory."""
    completion = StreamParser("m")
    completion.feed(b"data: " + b"x" * MAX_LINE_BYTES)

    assert completion.ended


def test_a_model_that_loops_is_stopped() -> None:
    """An answer that exceeds the limit of any model ends there, as truncated."""
    completion = StreamParser("m")
    completion.feed(event(delta("x" * (MAX_LINE_BYTES - 100))))
    assert not completion.ended
    completion.feed(event(delta("x" * (MAX_ANSWER_CHARACTERS // 2))))

    assert completion.ended
    assert completion.end().truncated


def test_an_error_contains_no_text() -> None:
    """The detail contains neither the backend's message nor a code that is too long."""
    error = {"message": "you wrote SECRET", "code": "SECRET " * 20, "param": "the SECRET words", "type": "odd_type"}

    found = trouble(event({"error": error}))

    assert "SECRET" not in str(found)
    assert "odd_type" in found.detail


def calling(*pieces: dict[str, Any]) -> bytes:
    return event({"choices": [{"delta": {"tool_calls": list(pieces)}}]})


def test_tool_calls_are_put_together_from_their_pieces() -> None:
    """The arguments of a call arrive in pieces with its index. An answer with calls needs no text."""
    first = calling({"index": 0, "id": "call_1", "function": {"name": "note", "arguments": '{"na'}})
    second = calling({"index": 1, "id": "call_2", "function": {"name": "ask", "arguments": "{}"}})
    more = calling({"index": 0, "function": {"arguments": 'me": 1}'}})
    text, done = read(first + second + more + finishing("tool_calls"))
    assert text == ""
    assert done.tool_calls == (ToolCall("call_1", "note", '{"name": 1}'), ToolCall("call_2", "ask", "{}"))


def test_tool_calls_are_bounded() -> None:
    """The number of calls and their length are limited."""
    many = b"".join(calling({"index": index, "id": "x"}) for index in range(MAX_TOOL_CALLS + 5))
    assert len(read(many + END)[1].tool_calls) == MAX_TOOL_CALLS
    piece = calling({"index": 0, "function": {"arguments": "x" * (MAX_LINE_BYTES // 2)}})
    assert trouble(piece * 3 + END).trouble is Trouble.CUT
