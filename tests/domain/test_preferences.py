"""bot.preferences: what can be kept, and how the model reads it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import texts as wording
from bot.domain.preferences import (
    MOST_CHARACTERS,
    NO_PREFERENCES,
    NO_PROFILE,
    Preferences,
    Profile,
    Tone,
    changed,
    for_model,
    remembered,
)
from bot.errors import PreferencesRefused

NOW = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)
ALL = Preferences("Rita", "Portuguese", Tone.BRIEF, "I use Linux.\nNo mouse.")


def shown(kept: Preferences, profile: Profile = NO_PROFILE, name: str = "") -> str:
    """What the model reads."""
    return for_model(kept, profile, name=name, now=NOW)


def test_wishes_are_taken_in_as_they_are_told() -> None:
    """What a person's preferences tell of themselves makes the same preferences again."""
    assert changed(NO_PREFERENCES, ALL.wishes) == remembered(ALL.wishes) == ALL


def test_only_what_is_given_changes() -> None:
    """A wish that is not given stays, one that is given empty is taken back."""
    assert changed(ALL, {"name": "", "tone": "Detailed"}).wishes == {
        "language": "Portuguese",
        "tone": "detailed",
        "about": "I use Linux.\nNo mouse.",
    }


@pytest.mark.parametrize("none", ["", "neither", " Neither "])
def test_a_tone_is_taken_back(none: str) -> None:
    """By an empty text, or by the word for none of them."""
    assert changed(ALL, {"tone": none}).tone is None


@pytest.mark.parametrize(
    ("wishes", "problems"),
    [
        ({"name": "x" * 81}, {"name": wording.too_long(81, 80)}),
        ({"language": "x" * 61}, {"language": wording.too_long(61, 60)}),
        ({"about": "x" * 1_001, "name": "Rita"}, {"about": wording.too_long(1_001, 1_000)}),
        ({"tone": "rude"}, {"tone": wording.UNKNOWN_TONE}),
        ({"tone": None, "name": 7}, {"tone": wording.UNKNOWN_TONE, "name": wording.UNKNOWN_PREFERENCE}),
        ({"admin": "yes"}, {"admin": wording.UNKNOWN_PREFERENCE}),
    ],
)
def test_what_cannot_be_kept_is_told_by_field(wishes: dict[str, object], problems: dict[str, str]) -> None:
    """Each field that cannot be kept has its sentence, and none of the wishes is taken in; the error quotes nothing."""
    with pytest.raises(PreferencesRefused) as refused:
        changed(ALL, wishes)

    assert refused.value.problems == problems
    assert str(refused.value) == "invalid preferences"


def test_the_longest_wishes_are_kept() -> None:
    """A wish as long as allowed is kept, counted without the blanks around it, and in characters, not in bytes."""
    wishes = {field: f" {'é' * most}\n" for field, most in MOST_CHARACTERS.items()}

    assert {field: len(wish) for field, wish in changed(NO_PREFERENCES, wishes).wishes.items()} == MOST_CHARACTERS


def test_what_another_version_stored_does_no_harm() -> None:
    """Fields and values that this version does not keep are left out when they are read."""
    assert remembered({"name": "Rita", "pronouns": "she", "tone": "poetic", "about": "x" * 2_000}).wishes == {
        "name": "Rita"
    }


def test_the_model_reads_whose_wishes_these_are() -> None:
    """Where several take part the author is named; the time there stands before the wishes."""
    first, second, third, *marked = shown(ALL, Profile("Asia/Tokyo", timedelta(hours=9), "ja-JP"), "ana").splitlines()

    assert first == 'The newest message is by the person called "ana".'
    assert second == "For its author it is now Sunday 2026-11-22 08:30 (Asia/Tokyo, UTC+09:00); their locale is ja-JP."
    assert "counts for nobody else" in third
    assert marked == [
        "> Call me Rita.",
        "> Answer me in Portuguese.",
        "> Keep your answers brief.",
        "> About me:",
        "> I use Linux.",
        "> No mouse.",
    ]


def test_of_whom_nothing_is_known_nothing_is_said() -> None:
    """Not even a name: there is no text at all."""
    assert shown(NO_PREFERENCES, Profile(locale="de-DE"), "ana") == ""


def test_a_zone_without_a_name() -> None:
    """The time is told by its distance from UTC alone."""
    told = shown(NO_PREFERENCES, Profile(utc_offset=timedelta(hours=-3, minutes=-30)))

    assert told == "For its author it is now Saturday 2026-11-21 20:00 (UTC-03:30)."


texts = st.text(st.characters(codec=None), max_size=200)


@given(st.fixed_dictionaries({"name": texts.map(lambda text: text[:80]), "language": texts, "about": texts}))
def test_nothing_breaks_out_of_its_marks(wishes: dict[str, Any]) -> None:
    """Whatever a person writes, each line of it is marked as theirs, can be stored, and is read back the same."""
    kept = changed(NO_PREFERENCES, {**wishes, "language": wishes["language"][:60]})
    lines = shown(kept).splitlines()

    assert all(line.startswith("> ") for line in lines[1:])
    assert "".join(kept.wishes.values()).encode().find(b"\0") == -1
    assert remembered(kept.wishes) == kept
