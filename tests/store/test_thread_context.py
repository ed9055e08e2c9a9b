"""Thread context in the store: read for a thread's first session only, stored with it, and deleted with it."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from bot.domain.events import Attachment, MessageReceived
from bot.prompt.thread_context import AuthorKind, ContextState, EarlierMessage, ThreadContext
from bot.store import posted_messages, tables, thread_context
from bot.store.claims import PlatformClaim
from tests.support.builders import ANA, BEN, DAY, THREAD, deletion, edit, mention, reply, reset, stop, thread
from tests.support.store_driver import MINUTE, StoreDriver, texts

FILE = Attachment("F1", "a.png", "image/png", 9)
ROOT = EarlierMessage("1.0", "U-BEN", "who knows printers?", (FILE,))
ALERT = EarlierMessage("2.0", "B1", "on fire", by=AuthorKind.BOT, name="deploys")
OWN = EarlierMessage("3.0", "U-BOT", "I see", by=AuthorKind.SELF)
SAID = ThreadContext((ROOT, ALERT, OWN))


def call(message_id: str = "5.0") -> MessageReceived:
    """Return a mention inside the thread."""
    return mention("what now?", message_id)


async def keep(driver: StoreDriver, claim: PlatformClaim, found: ThreadContext = SAID) -> None:
    """Store the context that was read for this turn."""
    assert claim.session_id is not None
    await driver.store.run(thread_context.save, claim.thread_id, claim.session_id, claim.turn_id, found)


async def known(driver: StoreDriver, claim: PlatformClaim) -> ThreadContext:
    """Return the context that this turn is shown."""
    assert claim.session_id is not None
    [*_, turn] = await driver.past(claim)
    [*_, turn] = await driver.store.run(thread_context.attached, claim.session_id, [turn])
    return turn.thread_context


async def test_it_comes_back_as_it_was_with_the_turn_that_it_was_read_for(driver: StoreDriver) -> None:
    """Authors, texts, order and files are unchanged. Later turns find the context with its turn."""
    first = await driver.claimed(await driver.accepted(call()))
    assert first.thread_context is ContextState.UNREAD
    await keep(driver, first)
    await driver.settle(first)
    second = await driver.claimed(await driver.accepted(reply("and?", "6.0")))

    assert second.thread_context is ContextState.COMPLETE
    assert await known(driver, second) == SAID
    assert await driver.store.run(thread_context.attached, "s1", []) == []


async def test_a_part_is_known_to_be_a_part(driver: StoreDriver) -> None:
    """An incomplete context is marked as such, also when nothing could be read."""
    first = await driver.claimed(await driver.accepted(call()))
    await keep(driver, first, ThreadContext(complete=False))
    await driver.settle(first)

    assert await known(driver, await driver.claimed(await driver.accepted(reply("and?", "6.0")))) == ThreadContext(
        complete=False
    )


async def test_only_a_threads_first_session_reads(driver: StoreDriver) -> None:
    """A session that begins with the thread, or follows a reset or an expiry, has no context."""
    assert (await driver.answer(mention("hi", "1.0"))).thread_context is None
    await driver.reset(THREAD, ANA)
    assert (await driver.answer(mention("hi", "2.0"))).thread_context is None
    driver.now += DAY + MINUTE
    assert (await driver.answer(mention("hi", "3.0"))).thread_context is None


async def test_a_reset_before_all_forbids_to_read(driver: StoreDriver) -> None:
    """A reset in an unknown thread applies to the messages above it."""
    await driver.accept_reset(dataclasses.replace(reset("4.0"), mentions_bot=True))
    await driver.settle(await driver.claimed(1))

    assert (await driver.answer(call())).thread_context is None


async def test_the_reading_is_not_used_up_by_a_question_that_was_stopped(driver: StoreDriver) -> None:
    """The next turn reads the context, without the stopped question, which has its own row."""
    await driver.accept(call("4.0"))
    await driver.accept_stop(stop("4.5"))
    await driver.settle(await driver.claimed(1))
    claim = await driver.claimed(await driver.accepted(call()))
    await keep(driver, claim, ThreadContext((*SAID.messages, EarlierMessage("4.0", "U-ANA", "what now?"))))

    assert [row.message_id for row in await driver.rows(tables.THREAD_CONTEXT)] == ["1.0", "2.0", "3.0"]


async def test_what_the_bot_answered_already_is_not_kept_twice(driver: StoreDriver) -> None:
    """The bot's reply to a command is not stored as context."""
    claim = await driver.claimed(await driver.accepted(call()))
    await driver.store.run(posted_messages.posted, claim, "3.0")
    await keep(driver, claim)

    assert [row.message_id for row in await driver.rows(tables.THREAD_CONTEXT)] == ["1.0", "2.0"]


async def test_it_is_kept_once(driver: StoreDriver) -> None:
    """A late worker that lost its turn changes nothing."""
    claim = await driver.claimed(await driver.accepted(call()))
    await keep(driver, claim)
    await keep(driver, claim, ThreadContext((EarlierMessage("4.0", "U-ANA", "late"),)))

    assert len(await driver.rows(tables.THREAD_CONTEXT)) == 3


async def test_a_closed_session_keeps_nothing(driver: StoreDriver) -> None:
    """A session that was reset while its context was read stores none."""
    claim = await driver.claimed(await driver.accepted(call()))
    await driver.reset(THREAD, ANA)
    await keep(driver, claim)

    assert await driver.rows(tables.THREAD_CONTEXT) == []


async def test_a_reading_and_a_reset_at_once_leave_nothing(driver: StoreDriver) -> None:
    """In either order, nothing is left."""
    claim = await driver.claimed(await driver.accepted(call()))
    await asyncio.gather(keep(driver, claim), driver.reset(THREAD, ANA), keep(driver, claim))

    assert await driver.rows(tables.THREAD_CONTEXT) == []


async def test_a_deleted_message_is_erased(driver: StoreDriver) -> None:
    """The message is erased, the others stay, and no turn is interrupted."""
    claim = await driver.claimed(await driver.accepted(call()))
    await keep(driver, claim)

    assert not await driver.accept_deletion(deletion("2.0"))
    assert await driver.claim(1) is None
    await driver.settle(claim)
    later = await driver.claimed(await driver.accepted(reply("and?", "6.0")))
    assert await known(driver, later) == ThreadContext((ROOT, OWN))


async def test_a_message_that_is_deleted_while_it_is_read_is_not_kept(driver: StoreDriver) -> None:
    """The platform's answer may be older than the deletion."""
    claim = await driver.claimed(await driver.accepted(call()))
    await driver.accept_deletion(deletion("1.0"))
    await keep(driver, claim)
    await driver.settle(claim)

    later = await driver.claimed(await driver.accepted(reply("and?", "6.0")))
    assert await known(driver, later) == ThreadContext((ALERT, OWN))
    assert "printers" not in str(await driver.rows(tables.THREAD_CONTEXT))


@pytest.mark.parametrize("edits", [1, 2])
@pytest.mark.parametrize("came", ["before", "after"])
async def test_a_message_that_is_edited_while_it_is_read_says_what_it_does_now(
    driver: StoreDriver, came: str, edits: int
) -> None:
    """The newest text is stored, whether the edit or the context comes first."""
    claim = await driver.claimed(await driver.accepted(call()))
    if came == "after":
        await keep(driver, claim)
    for text in ("who knows pelargonium?", "who knows screens?")[2 - edits :]:
        await driver.accept_edit(edit(text, "1.0"))
    if came == "before":
        await keep(driver, claim)
    await driver.settle(claim)

    later = await driver.claimed(await driver.accepted(reply("and?", "6.0")))
    edited = EarlierMessage("1.0", "U-BEN", "who knows screens?")
    assert await known(driver, later) == ThreadContext((edited, ALERT, OWN))
    assert [row.text for row in await driver.rows(tables.THREAD_CONTEXT)] == ["who knows screens?", "on fire", "I see"]


async def test_a_message_that_is_edited_and_deleted_while_it_is_read_is_not_kept(driver: StoreDriver) -> None:
    """A deletion counts in either order."""
    claim = await driver.claimed(await driver.accepted(call()))
    await driver.accept_edit(edit("who knows screens?", "1.0"))
    await driver.accept_deletion(deletion("1.0"))
    await driver.accept_edit(edit("who knows anything?", "1.0", at=2))
    await keep(driver, claim)

    assert [row.message_id for row in await driver.rows(tables.THREAD_CONTEXT)] == ["2.0", "3.0"]


async def test_what_is_noted_of_a_message_that_was_not_read_is_not_kept(driver: StoreDriver) -> None:
    """Markers of messages that are not in the context are deleted."""
    claim = await driver.claimed(await driver.accepted(call()))
    await driver.accept_edit(edit("my secret", "4.5"))
    await driver.accept_deletion(deletion("4.6"))
    await keep(driver, claim)

    assert [row.message_id for row in await driver.rows(tables.THREAD_CONTEXT)] == ["1.0", "2.0", "3.0"]


@pytest.mark.parametrize("came", ["before", "after", "at once"])
async def test_who_is_forgotten_while_the_thread_is_read_is_not_kept(driver: StoreDriver, came: str) -> None:
    """Neither their messages nor their id are stored, also after an edit of theirs. Other people's messages are."""
    await driver.accepted(mention("hello", "0.5", by=BEN, in_=thread(7)))
    claim = await driver.claimed(await driver.accepted(call()))
    await driver.accept_edit(edit("who knows screens?", "1.0", by=BEN))
    if came == "at once":
        await asyncio.gather(keep(driver, claim), driver.forget(BEN))
    for forgets in (True, False) if came == "before" else (False, True):
        await (driver.forget(BEN) if forgets else keep(driver, claim))
    await driver.settle(claim)

    later = await driver.claimed(await driver.accepted(reply("and?", "6.0")))
    assert await known(driver, later) == ThreadContext((ALERT, OWN))
    assert BEN.id not in str(await driver.rows(tables.THREAD_CONTEXT))


async def test_an_edited_message_reads_as_it_does_now(driver: StoreDriver) -> None:
    """Text and files are replaced. A message that is not stored or was deleted is not edited."""
    claim = await driver.claimed(await driver.accepted(call()))
    await driver.accept_deletion(deletion("3.0"))
    await keep(driver, claim)

    assert await driver.store.run(thread_context.edit, 1, reply("who knows screens?", "1.0"))
    assert not await driver.store.run(thread_context.edit, 1, reply("I see nothing", "3.0"))
    assert not await driver.store.run(thread_context.edit, 1, reply("hm", "9.0"))
    await driver.settle(claim)
    later = await driver.claimed(await driver.accepted(reply("and?", "6.0")))
    assert await known(driver, later) == ThreadContext((EarlierMessage("1.0", "U-BEN", "who knows screens?"), ALERT))


async def test_whoever_wrote_before_may_not_reset(driver: StoreDriver) -> None:
    """Authors of the context did not take part in the session."""
    await keep(driver, await driver.claimed(await driver.accepted(call())))

    assert (await driver.reset(THREAD, BEN)).value == "not_yours"


@pytest.mark.parametrize("text", ["nul \0", "half \ud800", "x" * 50_000])
async def test_anything_can_be_kept(driver: StoreDriver, text: str) -> None:
    """Every text that a platform sends can be stored."""
    claim = await driver.claimed(await driver.accepted(call()))
    await keep(driver, claim, ThreadContext((EarlierMessage("1.0", "U-BEN", text, by=AuthorKind.BOT, name=text),)))

    [row] = await driver.rows(tables.THREAD_CONTEXT)
    assert row.text == text.replace("\0", "").replace("\ud800", "?")


async def test_what_was_said_before_is_not_answered_when_it_arrives_late(driver: StoreDriver) -> None:
    """A message from before the call was not for the bot, even if the platform delivers it later."""
    claim = await driver.claimed(await driver.accepted(call()))
    await keep(driver, claim)

    assert await driver.accept(reply("who knows printers?", "1.0", by=BEN)) is None
    assert await driver.accept(reply("go on", "6.0", by=BEN)) is not None


@pytest.mark.parametrize("read", [True, False])
async def test_a_question_that_arrives_late_is_not_background_as_well(driver: StoreDriver, *, read: bool) -> None:
    """A late mention is answered and shown once, whether or not it was read before."""
    claim = await driver.claimed(await driver.accepted(call()))
    if read:
        await keep(driver, claim)
    assert await driver.accept(mention("who knows printers?", "1.0", by=BEN)) is not None
    if not read:
        await keep(driver, claim)
    await driver.settle(claim)
    late = await driver.claimed(1)

    assert texts(late) == ["who knows printers?"]
    assert await known(driver, late) == ThreadContext((ALERT, OWN))
