"""bot.slack.text.message_length: where a long text is cut."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.text import message_length

FENCE = re.compile(r"[ \t]*(```+|~~~+)[^`~\n]*")
PARAGRAPH = st.text("ab .\n", max_size=150)
CODE = st.builds(
    "{1}{0}\n{2}\n{1}\n".format, st.sampled_from(["", "py"]), st.just("```"), st.text("xy \n", max_size=150)
)
DOCUMENT = st.lists(PARAGRAPH.map("{}\n\n".format) | CODE, max_size=12).map("".join)


def without_seams(text: str) -> str:
    """The words of a text; neither space nor fence lines, which a cut may add."""
    return "".join("".join(line.split()) for line in text.split("\n") if not FENCE.fullmatch(line))


def fences(text: str) -> int:
    """How many lines of a text open or close a fence."""
    return sum(FENCE.fullmatch(line) is not None for line in text.split("\n"))


@given(DOCUMENT)
def test_every_piece_fits(text: str) -> None:
    """No piece exceeds the limit."""
    assert all(len(piece) <= 200 for piece in message_length.split(text, 200))


@given(DOCUMENT)
def test_nothing_is_lost(text: str) -> None:
    """The pieces say what the text says, in its order."""
    assert without_seams("\n".join(message_length.split(text, 200))) == without_seams(text)


@given(DOCUMENT)
def test_fences_are_balanced(text: str) -> None:
    """Each piece closes the fences that it opens, when the text does."""
    assert [fences(piece) % 2 for piece in message_length.split(text, 200)] == [0] * len(
        message_length.split(text, 200)
    )


@given(st.text("`~\n x", max_size=2_000))
def test_wild_fences_are_cut_within_the_limit(text: str) -> None:
    """However fence marks are strewn about, the cutting ends and every piece fits."""
    assert all(len(piece) <= 200 for piece in message_length.split(text, 200))


def test_cut_at_a_paragraph() -> None:
    """A text is cut where a paragraph ends, rather than later at a line or a word."""
    first = "word " * 33 + "end.\n\n"
    assert message_length.split(first + "line\n" + "more " * 20, 200)[0] == first


def test_cut_at_a_line_then_at_a_word() -> None:
    """Without a paragraph's end near the limit a line's end is taken; without one, a word's."""
    lines = message_length.split("a" * 170 + "\n" + "b " * 60, 200)
    words = message_length.split("ab " * 100, 200)

    assert lines[0] == "a" * 170 + "\n"
    assert words[0].endswith("ab ")


def test_a_cut_fence_is_opened_again_in_its_language() -> None:
    """Code that goes on in the next message is code of the same language there."""
    first, second = message_length.split("```python\n" + "x = 1\n" * 40 + "```", 200)

    assert first.endswith("x = 1\n```")
    assert second.startswith("```python\nx = 1\n")


def test_a_cut_table_has_its_head_again() -> None:
    """A table that goes on in the next message has its head there, and no row is lost or said twice."""
    head, rows = "| name | port |\n|:---|---:|\n", [f"| host-{number} | {number} |\n" for number in range(40)]
    pieces = message_length.split(f"These:\n\n{head}{''.join(rows)}", 200)

    assert len(pieces) > 3
    assert all(piece.startswith(head) and len(piece) <= 200 for piece in pieces[1:])
    assert "".join(piece.removeprefix(head) for piece in pieces[1:]) == "".join(rows)[len(pieces[0]) - len(head) - 8 :]


@pytest.mark.parametrize(
    "lines",
    [
        ["a | b | c\n"] * 40,  # no head
        ["| " + "long " * 12 + "|\n", "|---|\n", *["| a | b |\n"] * 40],  # a head too long to be repeated
        ["| a | b |\n", "|---|---|\n", *["| c | d |\n"] * 14, *["no table\n"] * 40],
    ],
)
def test_other_lines_are_not_repeated(lines: list[str]) -> None:
    """Where no table goes on, or its head would take too much of the message, a cut adds nothing."""
    assert "".join(message_length.split("".join(lines), 200)) == "".join(lines)


@given(st.text("|-: a\n", min_size=201, max_size=2_000))
def test_wild_tables_are_cut_within_the_limit(text: str) -> None:
    """However bars and dashes are strewn about, the cutting ends and every piece fits."""
    assert all(len(piece) <= 200 for piece in message_length.split(text, 200))


@pytest.mark.parametrize("family", ["👨\u200d👩\u200d👧", "👍\U0001f3fd", "❤\ufe0f", "e\u0301"])
def test_what_is_seen_as_one_character_is_not_cut(family: str) -> None:
    """Even a text without a single space is cut between what a reader takes for characters."""
    assert all(len(piece) % len(family) == 0 for piece in message_length.split(family * 200, 200))


def test_a_text_within_the_limit_is_left_alone() -> None:
    """A text that fits is one piece, and itself."""
    assert message_length.split("short") == ["short"]


@given(st.text("ab \n", min_size=201, max_size=400))
def test_what_is_shown_early_stays(text: str) -> None:
    """What `uncut` says is in a message for certain is at the beginning of its first piece."""
    piece, _ = message_length.cut(text, 200)
    assert piece.startswith(text[: message_length.uncut(200)])
