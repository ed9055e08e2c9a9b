"""The requests for the parts of a summary: they stay within their room, whatever they sum up."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from bot.prompt import summary_request
from bot.prompt.history import Turn, Utterance
from bot.prompt.summary_request import INSTRUCTIONS_TOKENS
from bot.prompt.tokens import estimate_tokens

MOST = 100  # tokens of the summary
ROOM = 1_000
NAMES = {"U-ANA": "Ana"}


def turns_of(texts: Sequence[str]) -> list[Turn]:
    """Return a turn for each text; one whose message was deleted for an empty text."""
    return [
        Turn((Utterance("U-ANA", text),) if text else (), "fine" if text else None, number)
        for number, text in enumerate(texts, 1)
    ]


texts = st.lists(st.integers(0, 300).map("word ".__mul__), min_size=1, max_size=100)


@given(texts, st.integers(100, 3_000), st.booleans())
def test_a_request_of_turns_fits_into_its_room(texts: list[str], room: int, whole: bool) -> None:  # noqa: FBT001
    """It holds the first turns that fit, or all of them, the longest without their middle."""
    request = summary_request.of_turns(turns_of(texts), NAMES, room, MOST, whole=whole)

    assert 1 <= request.reaches <= len(texts)
    assert request.reaches == len(texts) or not whole
    if request.messages:
        assert estimate_tokens(request.messages[1]["content"]) <= room
        assert request.tokens <= room + INSTRUCTIONS_TOKENS


@given(st.lists(st.integers(1, 400).map("word ".__mul__), min_size=2, max_size=8), st.integers(100, 3_000))
def test_a_request_of_parts_fits_into_its_room(texts: list[str], room: int) -> None:
    """All parts are in it."""
    request = summary_request.of_parts(texts, room, MOST)

    assert estimate_tokens(request.messages[1]["content"]) <= room


def test_the_longest_turns_are_shortened_first() -> None:
    """A short turn beside a long one is shown whole."""
    texts = ["the code is 7319", "word " * 3_000, "the other is 4711"]
    request = summary_request.of_turns(turns_of(texts), NAMES, ROOM, MOST, whole=True)

    said = request.messages[1]["content"]
    assert "Ana: the code is 7319\nYou: fine" in said
    assert "characters left out" in said
    assert "Ana: the other is 4711\nYou: fine" in said


def test_deleted_turns_need_no_request() -> None:
    """There is nothing to sum up, and the part covers them all."""
    request = summary_request.of_turns(turns_of(["", "", ""]), NAMES, ROOM, MOST, whole=False)

    assert (request.messages, request.reaches) == ((), 3)


def test_the_model_is_told_what_it_is_given() -> None:
    """The instructions name turns or parts, and the number of words."""
    of_turns = summary_request.of_turns(turns_of(["hello"]), NAMES, ROOM, 90, whole=False)
    of_parts = summary_request.of_parts(["one", "two"], ROOM, 90)

    assert "the turns of a part of it" in of_turns.messages[0]["content"]
    assert "no more than 60 words" in of_turns.messages[0]["content"]
    assert "your summary so far, in parts" in of_parts.messages[0]["content"]
    assert of_parts.messages[1]["content"].endswith("  one\n\n  two")
