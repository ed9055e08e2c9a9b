"""Reader languages: whose language is known, for how long, and what a failing look-up changes."""

from __future__ import annotations

import asyncio

import pytest

from bot.domain.events import Author, Thread
from bot.domain.language import current
from bot.domain.preferences import NO_PROFILE, Profile
from bot.store import preferences
from bot.turns.reader_languages import ReaderLanguages
from tests.support.recording_adapter import RecordingAdapter
from tests.support.store_driver import StoreDriver

PERSON = ("chat", "T1", "ana")
THREAD, ANA = Thread("chat", "T1", "C1", "1"), Author("ana", "T1")


async def prefer(driver: StoreDriver, language: str) -> None:
    """Store the person's preference."""
    await driver.store.run(preferences.change, *PERSON, {"language": language}, now=driver.now)


async def test_the_last_known_language_outlives_a_failing_look_up(driver: StoreDriver) -> None:
    """A locale is remembered while the platform does not answer. A preference that was taken back is not."""
    adapter = RecordingAdapter()
    languages = ReaderLanguages(driver.store, {"chat": adapter})
    assert await languages.find(*PERSON) == "en"
    adapter.profiles["ana"] = Profile(locale="de-DE")
    assert await languages.find(*PERSON) == "de"
    adapter.profiles["ana"] = NO_PROFILE
    assert await languages.find(*PERSON) == languages.last_known(THREAD, "ana") == "de"

    await prefer(driver, "日本語")
    assert await languages.find(*PERSON) == "ja"
    await prefer(driver, "")

    assert await languages.find(*PERSON) == languages.last_known(THREAD, "ana") == "en"


async def test_nothing_waits_for_a_language(driver: StoreDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block begins at once in the language that was known last, and speaks another when that becomes known."""
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def profile(workspace: str, person: str) -> Profile:
        del workspace, person
        asked.set()
        await may_answer.wait()
        return Profile(locale="fr-FR")

    adapter = RecordingAdapter()
    monkeypatch.setattr(adapter, "profile", profile)
    languages = ReaderLanguages(driver.store, {"chat": adapter})

    assert await languages.find(*PERSON, within_s=0.01) == "en"
    async with languages.speaking_to(THREAD, ANA) as addressee:
        assert current() == "en"
        await asked.wait()
        may_answer.set()
        await addressee.found()
        assert current() == "fr"
        assert addressee.is_other
    async with languages.speaking_to(THREAD, ANA) as addressee:
        assert current() == "fr"
        assert not addressee.is_other
