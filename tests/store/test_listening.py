"""Listening: quiet threads, ANSWER_IN_THREADS, and the messages that the bot only overhears. On both databases."""

from __future__ import annotations

import dataclasses

import pytest

from bot.domain.events import Author, MessageReceived, QuietRequested
from bot.domain.listening import QuietOutcome, ThreadAnswers
from bot.domain.sessions import EditOutcome, ResetOutcome
from bot.store import erasure, sessions
from bot.store.erasure import Scope
from bot.store.tables import MESSAGES, SESSIONS, THREADS, TURNS
from tests.support.builders import (
    ANA,
    BEN,
    CHI,
    DAY,
    DIRECT,
    THREAD,
    back,
    deletion,
    edit,
    mention,
    quiet,
    reply,
    reset,
)
from tests.support.store_driver import A_DAY, HOUR, StoreDriver

PLACES = [("chat", "T1")]


def to_ben(text: str, message_id: str, *, by: Author = ANA) -> MessageReceived:
    """Return a message that begins with a mention of Ben."""
    return dataclasses.replace(reply(text, message_id, by=by), addresses_other=True)


async def outcome(driver: StoreDriver, event: QuietRequested) -> QuietOutcome | None:
    """Accept the command, settle what is owed, and return the command's outcome; None when it was ignored."""
    if (thread_id := await driver.accept_quiet(event)) is None:
        return None
    found = None
    while claim := await driver.claim(thread_id):
        found = claim.fixed_reply
        await driver.settle(claim)
    assert isinstance(found, QuietOutcome)
    return found


async def shown(driver: StoreDriver, message_id: str) -> list[tuple[str, bool]]:
    """Ask the bot by a mention. Return the earlier texts that the model reads, and whether each was overheard."""
    while waiting := await driver.claim(1):  # commands
        await driver.settle(waiting)
    turns = await driver.past(await driver.answer(mention("what now?", message_id)))
    return [(message.text, message.overheard) for turn in turns for message in turn.messages]


async def test_a_quiet_thread_answers_no_reply_until_back(driver: StoreDriver) -> None:
    """After `!quiet` replies are not answered, after `!back` they are. Both are replied to."""
    await driver.answer(mention("hello"))

    assert await outcome(driver, quiet("2.0", by=BEN)) is QuietOutcome.QUIET
    assert await driver.accept(reply("lunch?", "3.0", by=BEN)) is None
    assert await driver.claim(1) is None
    assert await outcome(driver, quiet("4.0")) is QuietOutcome.ALREADY_QUIET
    assert await outcome(driver, back("5.0", by=CHI)) is QuietOutcome.BACK
    assert await driver.accept(reply("and now?", "6.0")) is not None
    assert await outcome(driver, back("7.0")) is QuietOutcome.NOT_QUIET


async def test_a_mention_ends_the_quiet(driver: StoreDriver) -> None:
    """The mention is answered, and so are replies after it."""
    await driver.answer(mention("hello"))
    await outcome(driver, quiet("2.0"))

    await driver.answer(mention("and now?", "3.0"))
    assert await driver.accept(reply("thanks", "4.0", by=BEN)) is not None


async def test_the_model_reads_what_was_said_meanwhile(driver: StoreDriver) -> None:
    """An overheard message is shown with the later questions, marked, and counts for the session's size."""
    await driver.answer(mention("hello"))
    await outcome(driver, quiet("2.0"))
    before = (await driver.rows(SESSIONS))[0].stored_bytes
    await driver.accept(reply("it was the router", "3.0", by=BEN))

    assert (await driver.rows(SESSIONS))[0].stored_bytes > before
    assert await shown(driver, "4.0") == [("hello", False), ("it was the router", True)]


async def test_a_message_to_somebody_else_is_overheard(driver: StoreDriver) -> None:
    """It is not answered, its author has not taken part by it, and a redelivery changes nothing."""
    await driver.answer(mention("hello"))

    assert await driver.accept(to_ben("can you look?", "2.0", by=CHI)) is None
    assert await driver.accept(to_ben("can you look?", "2.0", by=CHI)) is None
    assert await driver.accept_reset(reset("3.0", by=CHI)) is ResetOutcome.NOT_YOURS
    assert await shown(driver, "4.0") == [("hello", False), ("can you look?", True)]


async def test_nothing_is_overheard_without_an_open_session(driver: StoreDriver) -> None:
    """Neither after a reset, nor after the session has expired, nor where the bot takes no part, nor from before it."""
    await driver.accept(to_ben("look", "0.5"))
    await driver.answer(mention("hello"))
    await driver.accept(to_ben("look", "0.6"))
    await driver.accept_reset(reset("2.0"))
    await driver.accept(to_ben("look", "3.0"))
    await driver.answer(mention("hello again", "4.0"))
    driver.now += 2 * DAY
    await driver.accept(to_ben("look", "5.0"))

    assert not any(row.overheard for row in await driver.rows(MESSAGES))


async def test_an_overheard_message_keeps_the_session_alive(driver: StoreDriver) -> None:
    """The status promises that: somebody writes in the thread."""
    await driver.answer(mention("hello"))
    driver.now += DAY - HOUR
    await driver.accept(to_ben("look", "2.0"))
    driver.now += 2 * HOUR

    assert await driver.sweep() == 0


async def test_a_quiet_thread_is_not_warned_of_expiry(driver: StoreDriver) -> None:
    """The bot says nothing there that nobody asked for."""
    await driver.answer(mention("hello"))
    await outcome(driver, quiet("2.0"))
    driver.now += DAY - HOUR / 2
    warned = sessions.claim_expiry_warnings

    assert await driver.store.run(warned, PLACES, now=driver.now, idle=A_DAY, ahead=HOUR, batch=10) == []


async def test_a_reset_ends_the_quiet(driver: StoreDriver) -> None:
    """The reset's line says that the next message begins a new conversation."""
    await driver.answer(mention("hello"))
    await outcome(driver, quiet("2.0"))
    await driver.accept_reset(reset("3.0"))

    assert await driver.accept(reply("hello", "4.0")) is not None


async def test_a_message_from_before_the_quiet_is_answered(driver: StoreDriver) -> None:
    """Slack promises no order. An older mention does not end the quiet, and an older command changes nothing."""
    await driver.answer(mention("hello"))
    await outcome(driver, quiet("5.0"))

    assert await driver.accept(reply("my phone too", "3.0")) is not None
    assert await driver.accept(mention("and my tablet", "4.0")) is not None
    assert await driver.accept(reply("lunch?", "6.0")) is None
    await driver.settle(await driver.claimed(1))
    assert await outcome(driver, back("4.5")) is QuietOutcome.ALREADY_QUIET
    assert await outcome(driver, back("8.0")) is QuietOutcome.BACK
    assert await outcome(driver, quiet("7.0")) is QuietOutcome.NOT_QUIET


async def test_quiet_elsewhere_gets_a_sentence(driver: StoreDriver) -> None:
    """In a direct message the bot answers everything. Where it takes no part, a bare command is not for it."""
    assert await driver.accept_quiet(quiet("1.0")) is None
    called = dataclasses.replace(quiet("1.0"), mentions_bot=True)

    assert await outcome(driver, called) is QuietOutcome.OUTSIDE
    assert await outcome(driver, quiet("2.0", in_=DIRECT)) is QuietOutcome.DIRECT
    assert await driver.accept(reply("hello", "3.0", in_=DIRECT)) is not None


async def test_a_command_is_accepted_once(driver: StoreDriver) -> None:
    """A redelivered `!quiet` does not end what came after it."""
    await driver.answer(mention("hello"))
    await driver.accept_quiet(quiet("2.0"))
    await driver.accept_quiet(back("3.0"))

    assert await driver.accept_quiet(quiet("2.0")) is None
    assert not (await driver.rows(THREADS))[0].quiet


async def test_participants_are_those_who_have_asked_in_the_thread(driver: StoreDriver) -> None:
    """Others are overheard until they mention the bot; a reset does not change who they are."""
    await driver.answer(mention("hello"))
    some = ThreadAnswers.PARTICIPANTS

    assert await driver.accept(reply("I know that", "2.0", by=BEN), some) is None
    assert await driver.accept(reply("still down", "3.0"), some) is not None
    assert await driver.accept(reply("me too", "4.0", by=BEN), some) is None
    assert await driver.accept(mention("me too", "5.0", by=BEN), some) is not None
    assert await driver.accept(reply("since noon", "6.0", by=BEN), some) is not None
    await driver.accept_reset(reset("7.0"))
    assert await driver.accept(reply("once more", "8.0", by=BEN), some) is not None
    assert await driver.accept(reply("hm", "9.0", by=CHI), some) is None


async def test_mentions_only(driver: StoreDriver) -> None:
    """No reply in a thread is answered without a mention. A direct message is."""
    await driver.answer(mention("hello"))
    only = ThreadAnswers.MENTIONS

    assert await driver.accept(reply("still down", "2.0"), only) is None
    assert await driver.accept(reply("hello", "1.0", in_=DIRECT), only) is not None
    assert await shown(driver, "3.0") == [("hello", False), ("still down", True)]


async def test_an_edit_that_mentions_the_bot_makes_an_overheard_message_a_question(driver: StoreDriver) -> None:
    """It is answered once, is no longer overheard, and ends the quiet."""
    await driver.answer(mention("hello"))
    await outcome(driver, quiet("2.0"))
    await driver.accept(reply("is it the router?", "3.0", by=BEN))

    calls = dataclasses.replace(edit("bot, is it the router?", "3.0", by=BEN), calls_bot=True)
    assert await driver.accept_edit(calls) is EditOutcome.ASKED
    claim = await driver.claimed(1)
    assert [message.overheard for message in claim.utterances] == [False]
    assert len(await driver.rows(TURNS)) == 3
    assert await driver.accept(reply("well?", "4.0")) is not None


async def test_a_later_event_of_an_overheard_message_may_mention_the_bot(driver: StoreDriver) -> None:
    """The `message` event of a mention may not show it. The `app_mention` of the same message is answered."""
    await driver.answer(mention("hello"))
    await driver.accept(to_ben("can you look?", "2.0"))

    assert await driver.accept(mention("can you look?", "2.0")) is not None
    assert [row.overheard for row in await driver.rows(MESSAGES)] == [False, False]


async def test_an_overheard_message_is_edited_and_deleted(driver: StoreDriver) -> None:
    """The model reads its current text, or nothing, also if the deletion is delivered before the message."""
    await driver.answer(mention("hello"))
    await driver.accept(to_ben("the password is x", "2.0"))
    await driver.accept(to_ben("the other is y", "3.0"))
    unseen = to_ben("and z", "4.0")

    assert await driver.accept_edit(edit("the password is secret", "2.0")) is EditOutcome.REPLACED
    await driver.accept_deletion(deletion("3.0"))
    await driver.accept_deletion(deletion("4.0", was=unseen))
    await driver.accept(unseen)
    assert await shown(driver, "5.0") == [("hello", False), ("the password is secret", True)]


async def test_an_edit_may_be_delivered_before_its_message(driver: StoreDriver) -> None:
    """The old text does not come back with the late message."""
    await driver.answer(mention("hello"))
    edited = edit("later text", "2.0")
    await driver.accept_edit(dataclasses.replace(edited, message=to_ben("later text", "2.0")))
    await driver.accept(to_ben("first text", "2.0"))

    assert await shown(driver, "3.0") == [("hello", False), ("later text", True)]


async def test_forgetting_erases_what_was_overheard(driver: StoreDriver) -> None:
    """Of the person who is forgotten; and of everybody, when nobody is left who asked."""
    await driver.answer(mention("hello"))
    await driver.accept(to_ben("I told you", "2.0", by=BEN))
    await driver.accept(to_ben("me neither", "3.0", by=CHI))

    assert await driver.forget(BEN) == 1
    assert "I told you" not in [row.text for row in await driver.rows(MESSAGES)]
    await driver.forget(ANA)
    assert {row.text for row in await driver.rows(MESSAGES)} == {""}
    assert await driver.store.run(erasure.count, Scope("chat", "T1", person="U-CHI")) == erasure.Erasable(1, 1)


@pytest.mark.parametrize("waits", [True, False])
async def test_the_first_turn_is_the_first_that_asks(driver: StoreDriver, *, waits: bool) -> None:
    """A message that is overheard before the first answer does not hide that the last conversation expired."""
    await driver.answer(mention("hello"))
    driver.now += 2 * DAY
    await driver.accepted(mention("me again", "2.0"))
    if waits:
        await driver.accept(to_ben("look", "3.0"))

    assert (await driver.claimed(1)).follows_expired
    assert (await driver.rows(THREADS))[0].root == THREAD.root
