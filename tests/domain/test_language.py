"""Language: whose language the bot's lines have, and how durations and numbers read in it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from bot.domain import texts
from bot.domain.activities import Activity, working
from bot.domain.durations import duration
from bot.domain.language import LANGUAGES, current, number, percent, speak, speaking, translated
from bot.errors import Trouble

each = pytest.mark.parametrize


def test_without_a_reader_lines_are_english() -> None:
    """Callers over HTTP and in Python, and the database's threads, have no reader."""
    assert current() == "en"
    assert translated(texts.SAVE) == "Save"


async def test_each_task_has_its_reader() -> None:
    """Two people are spoken to at the same time, each in their language. A task shares the reader of its parent."""

    async def says(language: str) -> str:
        with speaking(language):
            await asyncio.sleep(0)
            return await asyncio.create_task(line())

    async def line() -> str:
        return translated(texts.SAVE)

    assert await asyncio.gather(*map(says, LANGUAGES)) == [
        "Save",
        "Speichern",
        "Enregistrer",
        "Guardar",
        "Salvar",
        "保存",
    ]
    assert current() == "en"


async def test_a_language_that_becomes_known_counts_for_tasks_that_run() -> None:
    """The reader is shared, so that a status that is renewed later has the right language."""
    known = asyncio.Event()

    async def line() -> str:
        await known.wait()
        return translated(texts.SAVE)

    with speaking("en") as reader:
        task = asyncio.create_task(line())
        reader.language = "de"
        known.set()
        assert await task == "Speichern"


async def test_speaking_on_ends_with_the_task() -> None:
    """What a listener speaks does not reach the task that started it."""

    async def listener() -> str:
        speak("ja")
        return current()

    assert await asyncio.create_task(listener()) == "ja"
    assert current() == "en"


@each(
    ("language", "one", "several", "short"),
    [
        ("en", "1 minute", "2 days 1 hour", "1 hour 1 minute"),
        ("de", "1 Minute", "2 Tagen 1 Stunde", "1 Stunde 1 Minute"),
        ("fr", "1 minute", "2 jours 1 heure", "1 heure 1 minute"),
        ("es", "1 minuto", "2 días 1 hora", "1 hora 1 minuto"),
        ("pt", "1 minuto", "2 dias 1 hora", "1 hora 1 minuto"),
        ("ja", "1分", "2日 1時間", "1時間 1分"),
    ],
)
def test_durations_read_in_each_language(language: str, one: str, several: str, short: str) -> None:
    """The plural is that of the language."""
    with speaking(language):
        assert duration(timedelta(minutes=1)) == one
        assert duration(timedelta(days=2, hours=1, minutes=5)) == several
        assert duration(timedelta(minutes=61)) == short
        assert one in working(Activity.THINKING, timedelta(minutes=1))
        assert duration(timedelta(minutes=2)) in texts.trouble(Trouble.UNAVAILABLE, 119)


@each(
    ("language", "thousands", "share"),
    [("en", "12,345", "12%"), ("de", "12.345", "12\xa0%"), ("fr", "12\u202f345", "12\xa0%"), ("ja", "12,345", "12%")],
)
def test_numbers_read_in_each_language(language: str, thousands: str, share: str) -> None:
    """Separators and the sign of per cent are those of the language."""
    with speaking(language):
        assert number(12_345) == thousands
        assert percent(0.123) == share
        assert thousands in texts.too_long(12_345, 1_000)
