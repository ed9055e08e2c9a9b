"""Markdown on a terminal: bold text, shown as soon as its marks are complete."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cli.terminal_text import BOLD, NORMAL, TerminalText

PARTS = ["**", "*", "_", "`", "```", "#", " ", "\n", "word", "two words", "snake_case", "2 * 3"]


def shown(*pieces: str) -> str:
    """Return what a terminal shows of these pieces, with `<b>` for the codes of bold text."""
    text = TerminalText()
    whole = "".join([*map(text.feed, pieces), text.end()])
    return whole.replace(BOLD, "<b>").replace(NORMAL, "</b>")


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("Turn it **off** and on", "Turn it <b>off</b> and on"),
        ("*Stop me*: write", "<b>Stop me</b>: write"),
        ("_(Stopped.)_", "<b>(Stopped.)</b>"),
        ("## Steps\nfirst", "<b>Steps</b>\nfirst"),
        ("# The **first** step", "<b>The first step</b>"),
        ("**a** and **b**", "<b>a</b> and <b>b</b>"),
        ("* one\n* two", "* one\n* two"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("a_snake_case_name", "a_snake_case_name"),
        ("`a*b*c` **x**", "`a*b*c` <b>x</b>"),
        ("```\n*x*\n# y\n```\n*z*", "```\n*x*\n# y\n```\n<b>z</b>"),
        ("**not closed", "**not closed"),
        ("#1 is no heading", "#1 is no heading"),
    ],
)
def test_marks_become_bold_text(markdown: str, expected: str) -> None:
    """Emphasis and headings are bold. Bullets, products, names with underscores and code stay as they are."""
    assert shown(markdown) == expected
    assert shown(*markdown) == expected  # also character by character


@given(st.lists(st.sampled_from(PARTS)))
def test_the_pieces_of_a_stream_do_not_matter(parts: list[str]) -> None:
    """However a text is split into pieces, the terminal shows the same. Nothing but marks is left out."""
    whole = shown("".join(parts))

    assert shown(*parts) == shown(*"".join(parts)) == whole
    kept = [letter for letter in whole.replace("<b>", "").replace("</b>", "") if letter.isalnum()]
    assert kept == [letter for letter in "".join(parts) if letter.isalnum()]


def test_text_is_shown_at_once() -> None:
    """Only an open mark holds text back, until it is closed or the line ends."""
    text = TerminalText()

    assert text.feed("Turn it ") == "Turn it "
    assert text.feed("**of") == ""
    assert text.feed("f** and") == f"{BOLD}off{NORMAL} and"
    assert text.feed(" *on") == " "
    assert text.feed(" again\n") == "*on again\n"
