"""The catalogues: every line of the bot is translated, whole, and within Slack's limits."""

from __future__ import annotations

import ast
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Message

from bot.domain import access_texts, texts
from bot.domain.language import ENGLISH, LANGUAGES, TRANSLATED, plural, speaking, translated
from bot.domain.preferences import NO_PREFERENCES
from bot.slack.views.forget_confirmation import forget_confirmation
from bot.slack.views.preferences_modal import preferences_modal
from bot.translations import catalogue
from bot.translations.catalogue import path_of
from tests.translations.extraction import ROOT, Module, UnknownLineError, lines, lines_in
from tests.translations.update import read, texts_of, updated, written

each = pytest.mark.parametrize
IN = each("language", TRANSLATED)

MOST_TITLE, MOST_BUTTON, MOST_SECTION, MOST_LABEL = 24, 75, 3_000, 2_000  # docs.slack.dev/reference/block-kit
BUTTONS = ("Edit", "Undo", "Forget", "Forget all", "Forget me")
IN_MODALS = ("Your preferences", "Save", "Cancel", "No access")

# What a translation must keep: placeholders, commands and names in code, and the marks of emphasis.
_PLACEHOLDERS = re.compile(r"\{[a-z_]*\}")
_CODE = re.compile(r"`[^`]+`")
_MARKS = re.compile(r"(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w)|\n|•")
# Sentences in the texts modules that are not translated: the model or callers over HTTP read them, or they are names.
NOT_TRANSLATED = {"FAILED_TURN", "ANSWER_ERASED", "EXPORT_FILE", "BUSY", "STOPPING"}


@IN
def test_no_line_is_missing(language: str) -> None:
    """Every line of the code is in the catalogue, with a translation for each plural form, and nothing else is."""
    catalog, expected = read(language), {line.id for line in lines()}
    found = {ids if len(ids := texts_of(message.id)) > 1 else ids[0]: message for message in messages(language)}
    untranslated = [id_ for id_, message in found.items() if not all(texts_of(message.string)) or message.fuzzy]

    assert sorted(map(str, expected - {*found})) == [], "not in the catalogue: run `make translations`"
    assert sorted(map(str, {*found} - expected)) == [], "no longer in the code: run `make translations`"
    assert untranslated == [], f"translate these in {path_of(language).relative_to(ROOT)}"
    assert not catalog.obsolete
    assert [id_ for id_, message in found.items() if len(texts_of(message.string)) != forms(language, message)] == []


@IN
def test_the_file_is_as_the_tool_writes_it(language: str) -> None:
    """`make translations` changes nothing, so that its diffs show translations alone."""
    assert path_of(language).read_text(encoding="utf-8") == written(updated(language))


@IN
def test_a_translation_keeps_what_is_no_word(language: str) -> None:
    """Placeholders, commands such as `!reset`, names in code, and marks of emphasis are those of the English line."""
    for message in messages(language):
        ids = texts_of(message.id)
        for text in texts_of(message.string):
            same = ids[-1] if len(ids) > 1 and "{count}" in text else ids[0]
            assert Counter(_CODE.findall(text)) == Counter(_CODE.findall(same)), text
            assert Counter(_MARKS.findall(text)) == Counter(_MARKS.findall(same)), text
            assert without_count(text) == without_count(same), text
            assert "{count}" not in text or len(ids) > 1, text


@IN
def test_every_form_says_how_many(language: str) -> None:
    """A form for several counts has the count in it. Only a form for exactly one may leave it out."""
    for message in messages(language):
        if len(texts_of(message.id)) > 1:
            assert all("{count}" in text for text in texts_of(message.string)[1:]), message.id
            assert forms(language, message) > 1 or "{count}" in texts_of(message.string)[0], message.id


@each("language", LANGUAGES)
def test_lines_keep_slacks_limits(language: str) -> None:
    """Titles and buttons of modals have at most 24 characters, other buttons 75, sections 3,000."""
    with speaking(language):
        assert [line for line in map(translated, IN_MODALS) if len(line) > MOST_TITLE] == []
        assert [line for line in map(translated, BUTTONS) if len(line) > MOST_BUTTON] == []
        assert len(texts.help_text("Attendant", "/attendant", "/reset")) < MOST_SECTION
        assert len(translated(texts.CONFIRM_FORGET_ME)) < MOST_SECTION
        assert str(forget_confirmation())
        assert str(preferences_modal(NO_PREFERENCES))
    assert access_texts.ACCESS_TITLE in IN_MODALS
    assert {*BUTTONS, *IN_MODALS} <= {line.one for line in lines()}


@IN
def test_every_line_can_be_shown(language: str) -> None:
    """Each line of the catalogue reads as its own language, and each plural is there for every kind of count."""
    with speaking(language):
        for line in lines():
            if line.many:
                values = dict.fromkeys(re.findall(r"\{(\w+)\}", line.one + line.many), "x")
                values.pop("count", None)
                assert all("{" not in plural(line.one, line.many, count, **values) for count in (0, 1, 2, 5, 1_000_000))
            elif len(line.one) > 12:
                assert translated(line.one) != line.one


@each("name", sorted(path.name for path in (ROOT / "bot/domain").glob("*texts.py") if path.name != "probe_texts.py"))
def test_every_sentence_of_a_texts_module_is_translated(name: str) -> None:
    """No sentence for people stands in a texts module without a call that translates it."""
    module, shown = Module.of(f"bot/domain/{name}"), {text for line in lines() for text in (line.one, line.many)}
    exempt = [module.constants[constant] for constant in NOT_TRANSLATED if constant in module.constants]
    stored = {text for constant in exempt for text in module.strings(constant)}
    missing = [text for text in sentences(module) if text not in shown | stored]

    assert missing == [], "wrap it where it is shown: translated(texts.NAME)"


def test_a_line_that_cannot_be_found_is_an_error() -> None:
    """Extraction never leaves a line out in silence."""
    source = "def f(line):\n    return translated(line)"
    with pytest.raises(UnknownLineError, match=r"x\.py:2 translates 'line'"):
        list(lines_in(Module("x.py", ast.parse(source))))


def test_a_line_without_a_translation_stays_english(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A catalogue that lags behind the code shows English, never an empty line."""
    shutil.copytree(path_of("de").parents[1], tmp_path / "de")
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path)
    catalogue.catalogue.cache_clear()
    try:
        with speaking("de"):
            assert translated("A new line.") == "A new line."
            assert plural("one thing", "{count} things", 3) == "3 things"
            assert translated(texts.SAVE) == "Speichern"
            assert translated("") == ""
    finally:
        catalogue.catalogue.cache_clear()


def test_english_needs_no_catalogue() -> None:
    """The code's own lines are the English ones."""
    assert ENGLISH not in TRANSLATED
    assert {file.parents[1].name for file in catalogue.FOLDER.rglob("*.po")} == {*TRANSLATED}


def messages(language: str) -> Iterator[Message]:
    """Yield the catalogue's messages, without its header."""
    return (message for message in read(language) if message.id)


def forms(language: str, message: Message) -> int:
    """Return how many forms a message has in a language."""
    return read(language).num_plurals if message.pluralizable else 1


def without_count(text: str) -> Counter[str]:
    """Return the placeholders of a text; the count may be left out where it is one."""
    return Counter(found for found in _PLACEHOLDERS.findall(text) if found != "{count}")


def sentences(module: Module) -> list[str]:
    """Return the texts of a module, without docstrings, keys, and the literals of formatting."""
    found = []
    for node in ast.walk(module.tree):
        match node:
            case ast.Assign(_, value) | ast.AnnAssign(_, _, ast.expr() as value):
                values = value.values if isinstance(value, ast.Dict) else [value]
                found += [part for each_value in values for part in ast.walk(each_value)]
            case ast.Return(ast.expr() as value):
                found += [*ast.walk(value)]
    texts_in = [part.value for part in found if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return [text for text in texts_in if re.search(r"[a-zA-Z]{2,}.*[\s….]", text)]
