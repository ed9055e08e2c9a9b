"""Lookalikes: a text is read as a person sees it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.domain.lookalikes import CLOSING_BRACKETS, COLONS, OPENING_BRACKETS, folded

# "system" in small capitals, accented, Cyrillic, fullwidth, squared, circled, mathematical, and with a soft hyphen.
SYSTEM = [
    "\ua731\u028f\ua731\u1d1b\u1d07\u1d0d",
    "s\u1e8fst\u00e9m",
    "\u0455\u0443\u0455\u0442\u0435\u043c",
    "\uff33\uff39\uff33\uff34\uff25\uff2d",
    "\U0001f182\U0001f188\U0001f182\U0001f183\U0001f174\U0001f17c",
    "\u24e2\u24e8\u24e2\u24e3\u24d4\u24dc",
    "\U0001d530\U0001d536\U0001d530\U0001d531\U0001d522\U0001d52a",
    "sys\u00adtem",
    "systern",
]
NORMALIZE = unicodedata.normalize


@pytest.mark.parametrize("text", SYSTEM)
def test_every_style_and_script_reads_the_same(text: str) -> None:
    """Text in another style or script folds like the plain Latin text."""
    assert folded(text) == folded("system")


@given(st.text())
def test_folding_is_stable(text: str) -> None:
    """A folded text folds to itself, whatever the text is, and every character has a reading."""
    once = folded(text)

    assert folded(once) == once
    assert once == once.lower()


@given(st.text())
@example("\ufdfa" * 100)
def test_folding_is_bounded(text: str) -> None:
    """No character becomes more than four, so that a text cannot grow while it is folded."""
    assert len(folded(text)) <= 4 * len(text)


def test_folding_normalises_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A character is decomposed once, however often it occurs: no text is normalised as a whole."""
    normalised: list[str] = []

    def normalize(form: str, text: str) -> str:
        normalised.append(text)
        return NORMALIZE(form, text)  # type: ignore[arg-type]

    monkeypatch.setattr(unicodedata, "normalize", normalize)
    folded("[\ufdfa\u3316\uac00" * 10_000)
    folded("[\ufdfa\u3316\uac00" * 10_000)

    assert len("".join(normalised)) <= len("[\ufdfa\u3316\uac00")


def test_brackets_come_in_pairs() -> None:
    """Each opening bracket has its closing one at the same place, and no character stands for two."""
    assert len(OPENING_BRACKETS) == len(CLOSING_BRACKETS)
    assert len(set(OPENING_BRACKETS + CLOSING_BRACKETS + COLONS)) == len(OPENING_BRACKETS + CLOSING_BRACKETS + COLONS)
    assert {unicodedata.category(bracket) for bracket in OPENING_BRACKETS} <= {"Ps", "Sm"}


def test_every_bracket_of_unicode_counts() -> None:
    """Each opening and closing mark of Unicode counts, except quotation marks, and round and curly brackets."""
    for char in map(chr, range(0x110000)):
        kind, plain = unicodedata.category(char), unicodedata.normalize("NFKC", char)
        if kind in ("Ps", "Pe") and plain not in tuple("(){}") and "QUOTATION" not in unicodedata.name(char):
            assert char in OPENING_BRACKETS + CLOSING_BRACKETS
        if plain in OPENING_BRACKETS + CLOSING_BRACKETS + COLONS:
            assert char in OPENING_BRACKETS + CLOSING_BRACKETS + COLONS
