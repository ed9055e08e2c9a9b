"""Language names: the language that a preference or a locale names."""

from __future__ import annotations

import pytest

from bot.domain.language_names import language_of, named, of_tag

each = pytest.mark.parametrize

WISHES = {
    "en": ("English", "englisch", "en", "en-GB", "EN_us", "plain English, please", "anglais", "英語", "Inglés"),
    "de": (
        "Deutsch",
        "german",
        "auf Deutsch bitte",
        "de",
        "de-AT",
        "de_DE",
        "allemand",
        "Alemão",
        "ドイツ語で",
    ),
    "fr": ("French", "français", "FRANÇAIS", "fr-CA", "Französisch", "francese", "フランス語", "en français"),
    "es": ("Spanish", "español", "castellano", "es-419", "español de México", "Spanisch", "スペイン語", "espanhol"),
    "pt": ("Portuguese", "português do Brasil", "pt-BR", "pt", "portugiesisch", "por", "ポルトガル語", "português"),
    "ja": ("Japanese", "日本語", "日本語でお願いします", "ja", "ja-JP", "japonés", "Japanisch", "nihongo", "JPN"),
}


@each(("language", "wish"), [(language, wish) for language, wishes in WISHES.items() for wish in wishes])
def test_a_preference_names_a_language(language: str, wish: str) -> None:
    """People write its name in their own language, its tag, or a sentence that names it."""
    assert named(wish) == language
    assert language_of(wish, "sv-SE") == language


@each("wish", ["", "Italiano", "sv", "Klingon", "the language I write in", "Germany", "frenchify", "de la casa"])
def test_another_preference_names_none(wish: str) -> None:
    """A word that only looks like a name does not count, nor does a language without a catalogue."""
    assert named(wish) is None
    assert language_of(wish, "") == "en"
    assert language_of(wish, "fr-FR") == "fr"


def test_the_first_of_several_counts() -> None:
    """The one that is named first is preferred."""
    assert named("German or English") == "de"
    assert named("français, sinon anglais") == "fr"


@each(
    ("locale", "language"),
    [("de-DE", "de"), ("pt-PT", "pt"), ("es-LA", "es"), ("ja-JP", "ja"), ("en-US", "en"), ("zh-CN", None), ("", None)],
)
def test_a_locale_names_a_language(locale: str, language: str | None) -> None:
    """Slack's locales are IETF's tags. A language without a catalogue is none."""
    assert of_tag(locale) == language
