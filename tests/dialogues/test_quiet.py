"""Peace in a thread: `!quiet`, `!back`, ANSWER_IN_THREADS, and messages that are written to somebody else."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from bot import app
from bot.domain import quiet_texts
from bot.domain.listening import QuietOutcome
from bot.prompt.marks import ASIDE_BEGINS, ASIDE_ENDS
from tests.support.room import Room, Talk

QUIET, ALREADY_QUIET, BACK, NOT_QUIET, OUTSIDE, DIRECT = map(quiet_texts.reply, QuietOutcome)


def aside(text: str) -> str:
    """Return a message to somebody else as the model reads it."""
    return f"{ASIDE_BEGINS}\n\n{text}\n\n{ASIDE_ENDS}"


async def quieted(room: Room, typed: str = "!quiet") -> Talk:
    """Return a thread of Ana's in which Ben has written this after the first answer."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    talk.says(typed, by=room.guest("Ben"))
    assert (await talk.answers(2))[-1] == QUIET
    return talk


@pytest.mark.parametrize("typed", ["!quiet", "@attendant quiet", "!Quiet."])
@pytest.mark.parametrize("ends", ["!back", "@attendant back"])
async def test_quiet_until_back(room: Room, typed: str, ends: str) -> None:
    """The bot says once that it is quiet, answers nothing then, and answers again after `!back`."""
    talk = await quieted(room, typed)
    talk.says("is it the router?", by=room.guest("Chidi"))
    talk.says("it was!")
    await room.acknowledged()
    await room.settled()
    assert len(talk.messages()) == 2

    talk.says(ends)
    assert (await talk.answers(3))[-1] == BACK
    talk.says("so how do I reset it?")
    answer = (await talk.answers(4))[-1]
    assert aside("chidi: is it the router?") in answer
    assert aside("ana: it was!") in answer
    assert answer.endswith("ana: so how do I reset it?")


async def test_a_mention_is_answered_and_ends_the_quiet(room: Room) -> None:
    """It knows what was said meanwhile. Replies after it need no mention."""
    talk = await quieted(room)
    talk.says("it was the router")
    await room.acknowledged()

    talk.says("@attendant what was it?")
    assert aside("it was the router") in (await talk.answers(3))[-1]
    talk.says("thanks")
    await talk.answers(4)


async def test_quiet_survives_a_restart(room: Room) -> None:
    """Another process keeps quiet, and ends it."""
    talk = await quieted(room)
    async with AsyncExitStack() as stack:
        await room.services.worker.stop(drain_seconds=5)
        await stack.enter_async_context(app.slack_bot(room.settings, clock=room.clock.now))
        talk.says("still down")
        await room.acknowledged()
        talk.says("!back")

        assert (await talk.answers(3))[-1] == BACK


async def test_quiet_lasts_longer_than_the_session(room: Room) -> None:
    """After the conversation has expired, a reply without a mention is still not answered."""
    talk = await quieted(room)
    room.clock.advance(timedelta(days=2))
    talk.says("still down")
    await room.acknowledged()
    talk.says("!quiet")

    assert (await talk.answers(3))[-1] == ALREADY_QUIET


async def test_a_reset_ends_the_quiet(room: Room) -> None:
    """Its line promises that the next message begins a new conversation."""
    talk = await quieted(room)
    talk.says("!reset")
    await talk.answers(3)
    talk.says("hello again")

    assert (await talk.answers(4))[-1] == "I was shown: hello again"


async def test_quiet_where_it_changes_nothing(room: Room) -> None:
    """A person gets a plain sentence in a direct message, and where the bot takes no part."""
    direct = room.guest("Ana").writes("!quiet")
    assert await direct.answers(1) == [DIRECT]
    direct.says("hello")
    await direct.answers(2)

    outside = room.guest("Ana").mentions("quiet")
    assert await outside.answers(1) == [OUTSIDE]
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    talk.says("!back")
    assert (await talk.answers(2))[-1] == NOT_QUIET


async def test_quiet_while_an_answer_runs(room: Room) -> None:
    """The answer goes on to its end. Then the bot says that it is quiet."""
    hold = room.hold_model("Have you tried ")
    talk = room.guest("Ana").mentions("my VPN is down")
    await hold.reached()
    talk.says("!quiet")
    talk.says("is it the router?", by=room.guest("Ben"))
    await room.acknowledged()
    hold.release()

    assert await talk.answers(2) == ["Have you tried a held answer", QUIET]
    await room.settled()
    assert len(talk.messages()) == 2


@pytest.mark.parametrize("opening", ["@Ben Carter", "Thanks, @Ben Carter", "@here"])
async def test_a_message_to_somebody_else_is_left_alone(room: Room, opening: str) -> None:
    """The bot does not answer it, and knows of it later. With a mention of the bot it is answered."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    talk.says(f"{opening} was it the router?")
    await room.acknowledged()
    talk.says("@Ben Carter and what do you think, @attendant?")

    answer = (await talk.answers(2))[-1]
    assert "was it the router?" in answer.partition(ASIDE_ENDS)[0].partition(ASIDE_BEGINS)[2]


@pytest.mark.parametrize("room_settings", [{"answer_in_threads": "participants"}])
async def test_only_people_who_have_asked_are_answered(room: Room) -> None:
    """Ben is answered once he mentions the bot, and from then on."""
    talk, ben = room.guest("Ana").mentions("my VPN is down"), room.guest("Ben")
    await talk.answers(1)
    talk.says("mine works", by=ben)
    await room.acknowledged()
    talk.says("still down")
    assert aside("ben: mine works") in (await talk.answers(2))[-1]
    talk.says("@attendant now mine too", by=ben)
    await talk.answers(3)
    talk.says("since noon", by=ben)
    await talk.answers(4)


@pytest.mark.parametrize("room_settings", [{"answer_in_threads": "mentions"}])
async def test_only_mentions_are_answered(room: Room) -> None:
    """A reply without a mention is read along. In a direct message everything is answered."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    talk.says("still down")
    await room.acknowledged()
    talk.says("@attendant well?")
    assert aside("still down") in (await talk.answers(2))[-1]
    direct = room.guest("Ana").writes("hello")
    await direct.answers(1)
    direct.says("hello again")
    await direct.answers(2)


async def test_an_edit_that_mentions_the_bot_is_answered(room: Room) -> None:
    """A message that was overheard becomes a question."""
    talk = await quieted(room)
    message = talk.says("is it the router?")
    await room.acknowledged()
    talk.edits(message, "@attendant is it the router?")

    answer = (await talk.answers(3))[-1]
    assert answer.endswith("is it the router?")
    assert ASIDE_BEGINS not in answer
