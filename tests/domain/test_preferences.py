"""Preferences: the valid values, and the text that the model reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import texts
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


def shown(preferences: Preferences, profile: Profile = NO_PROFILE, name: str = "") -> str:
    """Return the text that the model reads."""
    return for_model(preferences, profile, name=name, now=NOW)


def test_wishes_make_the_same_preferences_again() -> None:
    """The `wishes` of preferences produce equal preferences."""
    assert changed(NO_PREFERENCES, ALL.wishes) == remembered(ALL.wishes) == ALL


def test_only_given_fields_change() -> None:
    """A field that is not given stays the same. An empty text removes the field."""
    assert changed(ALL, {"name": "", "tone": "Detailed"}).wishes == {
        "language": "Portuguese",
        "tone": "detailed",
        "about": "I use Linux.\nNo mouse.",
    }


@pytest.mark.parametrize("none", ["", "neither", " Neither "])
def test_a_tone_is_taken_back(none: str) -> None:
    """An empty text or "neither" removes the tone."""
    assert changed(ALL, {"tone": none}).tone is None


@pytest.mark.parametrize(
    ("wishes", "problems"),
    [
        ({"name": "x" * 81}, {"name": texts.too_long(81, 80)}),
        ({"language": "x" * 61}, {"language": texts.too_long(61, 60)}),
        ({"about": "x" * 1_001, "name": "Rita"}, {"about": texts.too_long(1_001, 1_000)}),
        ({"tone": "rude"}, {"tone": texts.UNKNOWN_TONE}),
        ({"tone": None, "name": 7}, {"tone": texts.UNKNOWN_TONE, "name": texts.UNKNOWN_PREFERENCE}),
        ({"admin": "yes"}, {"admin": texts.UNKNOWN_PREFERENCE}),
    ],
)
def test_each_invalid_field_has_its_error(wishes: dict[str, object], problems: dict[str, str]) -> None:
    """Each invalid field has its own sentence. No field changes, and the error quotes no value."""
    with pytest.raises(PreferencesRefused) as refused:
        changed(ALL, wishes)

    assert refused.value.problems == problems
    assert str(refused.value) == "invalid preferences"


def test_a_text_of_the_maximum_length_is_valid() -> None:
    """The length is counted in characters, not in bytes, and without surrounding spaces."""
    wishes = {field: f" {'é' * most}\n" for field, most in MOST_CHARACTERS.items()}

    assert {field: len(wish) for field, wish in changed(NO_PREFERENCES, wishes).wishes.items()} == MOST_CHARACTERS


def test_unknown_stored_preferences_are_ignored() -> None:
    """Stored fields and values that are unknown or invalid are left out."""
    assert remembered({"name": "Rita", "pronouns": "she", "tone": "poetic", "about": "x" * 2_000}).wishes == {
        "name": "Rita"
    }


def test_preferences_name_their_author_in_a_shared_thread() -> None:
    """In a thread of several people the author is named. The local time comes before the preferences."""
    first, second, third, *marked = shown(ALL, Profile("Asia/Tokyo", timedelta(hours=9), "ja-JP"), "ana").splitlines()

    assert first == 'The newest message is by the person called "ana".'
    assert second == "For its author it is now Sunday 2026-11-22 08:30 (Asia/Tokyo, UTC+09:00)."
    assert "counts for nobody else" in third
    assert marked == [
        "> Call me Rita.",
        "> Answer me in Portuguese.",
        "> Keep your answers brief.",
        "> About me:",
        "> I use Linux.",
        "> No mouse.",
    ]


def test_the_language_is_told_once() -> None:
    """A preference for a language takes the place of the locale, and without one the model reads the locale."""
    profile = Profile("Asia/Tokyo", timedelta(hours=9), "ja-JP")

    assert "ja-JP" not in shown(Preferences(language="German"), profile)
    assert shown(Preferences(language="German"), profile).count("German") == 1
    assert shown(Preferences(name="Rita"), profile).count("their locale is ja-JP") == 1


def test_no_preferences_and_no_profile_make_no_text() -> None:
    """Without preferences and a profile the text is empty. It does not even hold the name."""
    assert shown(NO_PREFERENCES, Profile(locale="de-DE"), "ana") == ""


def test_a_zone_without_a_name() -> None:
    """If the time zone has no name, the UTC offset is given."""
    text = shown(NO_PREFERENCES, Profile(utc_offset=timedelta(hours=-3, minutes=-30)))

    assert text == "For its author it is now Saturday 2026-11-21 20:00 (UTC-03:30)."


any_text = st.text(st.characters(codec=None), max_size=200)


@given(st.fixed_dictionaries({"name": any_text.map(lambda text: text[:80]), "language": any_text, "about": any_text}))
def test_nothing_breaks_out_of_its_marks(wishes: dict[str, Any]) -> None:
    """Each line that a person writes is quoted as theirs. It can be stored, and the same text is read back."""
    preferences = changed(NO_PREFERENCES, {**wishes, "language": wishes["language"][:60]})
    lines = shown(preferences).splitlines()

    assert all(line.startswith("> ") for line in lines[1:])
    assert "".join(preferences.wishes.values()).encode().find(b"\0") == -1
    assert remembered(preferences.wishes) == preferences
