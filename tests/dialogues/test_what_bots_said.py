"""Messages of bots, this one among them, are known as they read in Slack now: edited or deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain import texts
from bot.playground.workspace.messages import Message
from tests.support.openai_server import says
from tests.support.room import Room, Talk, shown

SECRET = "chrysanthemum"


async def called_into_an_alert(room: Room) -> tuple[Talk, Message]:
    """A thread under another app's alert, into which Ana calls the bot."""
    desk = room.workspace.channel("help-desk")
    alert = room.workspace.post_as_other_bot(desk, f"printer {SECRET} is on fire")
    talk = room.guest("Ana").talk(alert)
    talk.says("@attendant what can we do?")
    await talk.answers(1)
    await room.settled()
    return talk, alert


async def asked_again(room: Room, talk: Talk) -> str:
    """Have Ana write once more. Return the request to the model."""
    await room.acknowledged()
    before = len(room.model.requests)
    talk.says("go on")
    await room.until(lambda: len(room.model.requests) > before)
    return " | ".join(shown(room.model.requests[-1]))


@pytest.mark.parametrize("room_settings", [{}, {"slack_streaming": "off"}], ids=["streamed", "edited"])
async def test_an_answer_that_somebody_deletes_is_forgotten(room: Room) -> None:
    """The model knows that there was an answer, and no word of it is left in the database's files."""
    room.model.script(says(f"the vault code is {SECRET}"))
    talk = room.guest("Ana").mentions("what is the code?")
    await talk.answers(1)
    await room.settled()

    room.workspace.remove(talk.messages()[0])

    assert await asked_again(room, talk) == f"what is the code? | {texts.ANSWER_ERASED} | go on"
    await room.settled()
    await room.services.scheduler.vacuum()
    files = [Path(room.database + suffix) for suffix in ("", "-wal")]
    assert not any(SECRET.encode() in file.read_bytes() for file in files if file.exists())


async def test_a_part_of_a_long_answer_is_deleted(room: Room) -> None:
    """The bot cannot tell which words that part held, so it forgets the whole answer."""
    room.model.script(says(f"{SECRET} " * 2_000))
    talk = room.guest("Ana").mentions("tell me everything")
    await room.until(
        lambda: len(talk.messages()) > 1 and not any(message.streaming_since for message in talk.messages())
    )
    await room.settled()

    room.workspace.remove(talk.messages()[-1])

    assert SECRET not in await asked_again(room, talk)


async def test_what_the_bot_tidies_away_takes_no_answer_with_it(room: Room) -> None:
    """Slack reports the bot's own deletions of spare messages, and they remove no answer from the memory."""
    talk = await room.begins_again()
    await talk.reads("I was shown: be brief")
    await room.settled()

    for delivery in room.server.deliveries.events("message", subtype="message_deleted"):
        room.server.deliveries.redeliver(delivery)

    assert await asked_again(room, talk) == "be brief | I was shown: be brief | go on"


async def test_another_apps_message_is_known_as_it_reads_now(room: Room) -> None:
    """The model reads an alert as it reads after its last change."""
    talk, alert = await called_into_an_alert(room)

    room.workspace.change(alert, text="printer 3 is cold again")

    read = await asked_again(room, talk)
    assert "deploys (a bot): printer 3 is cold again" in read
    assert SECRET not in read.partition("printer 3")[0]


async def test_another_apps_message_is_deleted(room: Room) -> None:
    """It is not shown any more, also where it was the thread's first."""
    talk, alert = await called_into_an_alert(room)
    words = f"deploys (a bot): printer {SECRET}"
    assert words in room.model.requests[-1].texts[-1]

    room.workspace.remove(alert)

    assert words not in (await asked_again(room, talk)).partition(" | I was shown")[0]


async def test_another_apps_change_calls_nobody(room: Room) -> None:
    """Bots are not answered: not where they mention this one, nor in threads it takes part in."""
    talk, alert = await called_into_an_alert(room)
    elsewhere = room.workspace.post_as_other_bot(talk.channel, "all is well")

    for message in (alert, elsewhere):
        room.workspace.change(message, text=f"<@{room.workspace.app.user_id}> help")
    await room.acknowledged()
    await room.settled()

    assert len(room.model.requests) == 1
