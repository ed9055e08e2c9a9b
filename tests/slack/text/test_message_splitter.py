"""bot.slack.text.message_splitter: where a long text is split."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.text.message_splitter import divides, fits, rest_after, split_once, stable_length

FENCE = re.compile(r"[ \t]*(```+|~~~+)[^`~\n]*")
PARAGRAPH = st.text("ab .\n", max_size=150)
CODE = st.builds(
    "{1}{0}\n{2}\n{1}\n".format, st.sampled_from(["", "py"]), st.just("```"), st.text("xy \n", max_size=150)
)
DOCUMENT = st.lists(PARAGRAPH.map("{}\n\n".format) | CODE, max_size=12).map("".join)


def split(text: str, limit: int) -> list[str]:
    """Split the whole text into pieces."""
    pieces = []
    while len(text) > limit:
        piece, text = split_once(text, limit)
        pieces.append(piece)
    return [*pieces, text]


def without_seams(text: str) -> str:
    """Return the words of a text, without the space and the fence lines that a split may add."""
    return "".join("".join(line.split()) for line in text.split("\n") if not FENCE.fullmatch(line))


def fences(text: str) -> int:
    """Count the lines that open or close a fence."""
    return sum(FENCE.fullmatch(line) is not None for line in text.split("\n"))


@given(DOCUMENT)
def test_every_piece_fits(text: str) -> None:
    """No piece exceeds the limit."""
    assert all(len(piece) <= 200 for piece in split(text, 200))


@given(st.lists(st.sampled_from(["a", "ж", "漢", "😀", " ", "\n"]), min_size=201, max_size=900).map("".join))
def test_limits_are_in_bytes(text: str) -> None:
    """No piece has more bytes than the limit, in any script, and nothing is lost."""
    pieces, rest = [], text
    while not fits(rest, 200):
        piece, rest = split_once(rest, 200)
        pieces.append(piece)
    assert all(len(piece.encode()) <= 200 for piece in pieces)
    assert "".join([*pieces, rest]) == text


@given(st.text("ab \n|`", max_size=300), st.integers(0, 300))
def test_the_rest_goes_on_where_the_text_stands(text: str, at: int) -> None:
    """The rest ends with all of the text after the beginning that stands elsewhere."""
    assert rest_after(text, at).endswith(text[at:])


def test_the_rest_of_code_is_code() -> None:
    """Code whose beginning stands elsewhere is opened again in its language."""
    assert rest_after("```python\nx = 1\ny = 2\n```", len("```python\nx = 1\n")) == "```python\ny = 2\n```"


@pytest.mark.parametrize(
    ("text", "at", "divided"),
    [
        ("one two", 3, False),
        ("one two", 4, False),
        ("one two", 2, True),
        ("漢字", 1, True),
        ("end.Then", 4, True),
        ("👍\U0001f3fd", 1, True),
        ("| a | b |\n", 4, True),
        ("| a |\n| b |", 6, False),
        ("```py\nx", 3, True),
        ("abc", 0, False),
        ("abc", 3, False),
    ],
)
def test_a_word_a_row_or_a_fence_is_not_divided(text: str, at: int, divided: bool) -> None:  # noqa: FBT001 - a table's column
    """A text goes on in another message only where that divides no word, row or line of a fence."""
    assert divides(text, at) is divided


@given(DOCUMENT)
def test_nothing_is_lost(text: str) -> None:
    """The pieces hold all words of the text, in order."""
    assert without_seams("\n".join(split(text, 200))) == without_seams(text)


@given(DOCUMENT)
def test_fences_are_balanced(text: str) -> None:
    """Each piece closes the fences that it opens, if the text does."""
    assert [fences(piece) % 2 for piece in split(text, 200)] == [0] * len(split(text, 200))


@given(st.text("`~\n x", max_size=2_000))
def test_random_fences_are_split_within_the_limit(text: str) -> None:
    """With fence marks anywhere in the text, the split ends and every piece fits."""
    assert all(len(piece) <= 200 for piece in split(text, 200))


def test_split_after_a_paragraph() -> None:
    """The end of a paragraph is preferred to a later end of a line or a word."""
    first = "word " * 33 + "end.\n\n"
    assert split(first + "line\n" + "more " * 20, 200)[0] == first


def test_split_after_a_line_else_after_a_word() -> None:
    """Without the end of a paragraph near the limit, the split is after a line, else after a word."""
    lines = split("a" * 170 + "\n" + "b " * 60, 200)
    words = split("ab " * 100, 200)

    assert lines[0] == "a" * 170 + "\n"
    assert words[0].endswith("ab ")


def test_a_split_fence_is_opened_again_in_its_language() -> None:
    """Code that goes on in the next message has the same language there."""
    first, second = split("```python\n" + "x = 1\n" * 40 + "```", 200)

    assert first.endswith("x = 1\n```")
    assert second.startswith("```python\nx = 1\n")


def test_a_split_table_has_its_head_again() -> None:
    """A table that goes on in the next message has its head there. No row is lost or repeated."""
    head, rows = "| name | port |\n|:---|---:|\n", [f"| host-{number} | {number} |\n" for number in range(40)]
    pieces = split(f"These:\n\n{head}{''.join(rows)}", 200)

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
    """A split adds nothing where no table goes on, or where its head is too long."""
    assert "".join(split("".join(lines), 200)) == "".join(lines)


@given(st.text("|-: a\n", min_size=201, max_size=2_000))
def test_random_tables_are_split_within_the_limit(text: str) -> None:
    """With bars and dashes anywhere in the text, the split ends and every piece fits."""
    assert all(len(piece) <= 200 for piece in split(text, 200))


@pytest.mark.parametrize("family", ["👨\u200d👩\u200d👧", "👍\U0001f3fd", "❤\ufe0f", "e\u0301"])
def test_a_displayed_character_is_not_split(family: str) -> None:
    """A text without a single space is split between two displayed characters."""
    assert all(len(piece) % len(family) == 0 for piece in split(family * 200, 200))


@given(st.text("ab \n", min_size=201, max_size=400))
def test_the_stable_start_stays_in_the_first_piece(text: str) -> None:
    """The first `stable_length` characters of a text are the start of its first piece."""
    piece, _ = split_once(text, 200)
    assert piece.startswith(text[: stable_length(200)])
