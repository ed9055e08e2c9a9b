"""Languages: each person reads the bot's own lines in their language, by preference, then by their Slack locale."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from bot.domain import session_texts, texts
from bot.domain.language import speaking, translated
from bot.domain.preferences import MOST_CHARACTERS
from bot.domain.sessions import ResetOutcome, StopOutcome
from bot.errors import Trouble
from bot.playground.workspace.surfaces import View
from bot.slack.outbound.user_directory import UserDirectory
from tests.support.openai_server import Fails
from tests.support.room import Guest, Room, note_in, shown

GERMAN, JAPANESE = "Emma", "Ben"  # by her locale; by his preference, in an English workspace


async def prefers_japanese(room: Room) -> Guest:
    """Return a person of an English workspace who prefers Japanese."""
    ben = room.guest(JAPANESE)
    await ben.prefers(language="日本語")
    return ben


async def test_a_persons_locale_is_their_language(room: Room) -> None:
    """Commands, errors and the Home tab speak German to a person whose Slack does, without any setting."""
    emma = room.guest(GERMAN)
    with speaking("de"):
        help_text = texts.help_text("attendant", "/attendant", "/reset")
        nothing, unknown = translated(texts.SLASH_NOTHING), translated(texts.UNKNOWN_COMMAND)
        trouble, home = texts.trouble(Trouble.REFUSED_KEY), translated(texts.YOUR_PREFERENCES)

    assert (await emma.commands("/attendant", "help")).text == help_text
    assert (await emma.commands("/attendant", "tanzen")).text == f"{unknown}\n{help_text}"
    assert (await emma.commands("/reset")).text == nothing
    assert home in await emma.opens_home()
    room.model.script(Fails(401))
    assert await emma.mentions("hallo").answers(1) == [trouble]
    assert "Ich kann gerade nicht antworten" in trouble


async def test_a_preference_comes_before_the_locale(room: Room) -> None:
    """The lines after a saved preference have its language: the Home tab at once, then commands and answers."""
    ben = await prefers_japanese(room)
    with speaking("ja"):
        home, reset = translated(texts.YOUR_PREFERENCES), texts.fixed_reply(ResetOutcome.NOTHING)

    await room.until(lambda: home in str(room.workspace.surfaces.of(ben.person, "home")))
    assert await ben.mentions("!reset").answers(1) == [reset]
    assert "こんにちは" in (await ben.commands("/attendant", "help")).text


async def test_two_people_in_one_thread_read_their_own_languages(room: Room) -> None:
    """Each command is answered in the language of the person who wrote it, and nobody else's."""
    emma, ana = room.guest(GERMAN), room.guest("Ana")
    talk = emma.mentions("hallo")
    await talk.answers(1)
    await room.settled()  # or there is something to stop
    talk.says("!stop")
    with speaking("de"):
        german = texts.fixed_reply(StopOutcome.NOTHING_RUNS)
    assert (await talk.answers(2))[-1] == german

    talk.says("@attendant hello", by=ana)
    await talk.answers(3)
    await room.settled()
    talk.says("!stop", by=ana)

    assert (await talk.answers(4))[-1] == texts.fixed_reply(StopOutcome.NOTHING_RUNS)


async def test_a_bystander_is_refused_in_their_own_language(room: Room) -> None:
    """While a German person's answer grows, an English bystander's command is refused in English."""
    hold = room.hold_model("Moment. ")
    talk = room.guest(GERMAN).mentions("hallo")
    await hold.reached()
    talk.says("!reset", by=room.guest("Ana"))

    await room.until(lambda: texts.fixed_reply(ResetOutcome.NOT_YOURS) in talk.texts())
    hold.release()


async def test_the_model_and_the_database_read_english(room: Room) -> None:
    """A stop reads German in Slack. The model reads it in English with the next question, and the locale once."""
    hold = room.hold_model("Moment")
    talk = room.guest(GERMAN).mentions("hallo")
    await hold.reached()
    talk.says("!stop")
    with speaking("de"):
        stopped = translated(texts.ANSWER_STOPPED)
    await talk.reads(f"Moment\n\n{stopped}")
    await room.settled()
    talk.says("und jetzt?")
    await room.until(lambda: len(room.model.requests) == 2)
    await room.settled()

    asked = room.model.requests[-1]
    assert texts.ANSWER_STOPPED in str(shown(asked))
    assert stopped not in str(shown(asked))
    assert note_in(asked).count("de-DE") == 1


async def test_the_modal_speaks_and_refuses_in_the_persons_language(room: Room) -> None:
    """Its title, labels and errors are Japanese. A refused value is explained with the numbers of the language."""
    ben = await prefers_japanese(room)
    room.workspace.interactions.command(ben.person, room.workspace.channel("help-desk"), "/attendant", "preferences")
    await ben.sees_modal()
    view = modal(ben)
    with speaking("ja"):
        title, label = translated(texts.PREFERENCES_TITLE), translated(texts.PREFERENCE_LABELS["language"])
        too_long = texts.too_long(MOST_CHARACTERS["name"] + 1, MOST_CHARACTERS["name"])

    assert view.body["title"]["text"] == title
    assert label in str(view.body["blocks"])
    assert await ben.submits(name="x" * (MOST_CHARACTERS["name"] + 1)) == {"name": too_long}


async def test_the_status_speaks_the_readers_language(room: Room) -> None:
    """While the model thinks, the status reads German. It is never late because of a language that is not known."""
    hold = room.hold_model("Moment")
    talk = room.guest(GERMAN).mentions("hallo")
    with speaking("de"):
        thinking = translated(texts.WORKING)

    await room.until(lambda: room.workspace.statuses.text(talk.channel, talk.root) == thinking)
    hold.release()
    await talk.answers(1)


@pytest.mark.parametrize("room_settings", [{"expiry_warning_minutes": 30.0}])
async def test_the_expiry_warning_speaks_to_the_last_asker(room: Room) -> None:
    """A thread has no reader of its own, so the warning has the language of the person who asked last."""
    talk = room.guest("Ana").mentions("hello")
    await talk.answers(1)
    talk.says("@attendant hallo", by=room.guest(GERMAN))
    await talk.answers(2)
    await room.settled()
    room.clock.advance(timedelta(hours=23, minutes=40))
    with speaking("de"):
        warning = session_texts.expires_soon(timedelta(minutes=20))

    await warn(room)

    assert (await talk.answers(3))[-1] == warning


async def test_a_command_waits_for_no_profile(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """If Slack's users.info hangs, a command is acknowledged in time, in the language known last or English."""

    async def hangs(self: UserDirectory, user_id: str) -> None:
        del self, user_id
        await asyncio.Event().wait()

    monkeypatch.setattr(UserDirectory, "profile", hangs)
    said = await room.guest(GERMAN).commands("/reset")

    assert said.text == texts.SLASH_NOTHING
    assert all(delivery.acknowledged for delivery in room.server.deliveries.all())


async def warn(room: Room) -> None:
    """Run the job that posts the warnings."""
    jobs = room.services.scheduler._scheduler.get_jobs()  # noqa: SLF001 - not waiting for its time
    await next(job.func for job in jobs if job.name == "warn_of_expiry")()


def modal(guest: Guest) -> View:
    """Return the modal that the person sees."""
    view = guest.room.workspace.surfaces.of(guest.person, "modal")
    assert view is not None
    return view
