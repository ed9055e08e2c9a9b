"""Thread context in the store: read for a thread's first session only, stored with it, and deleted with it."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from bot.domain.events import Attachment, MessageReceived
from bot.prompt.thread_context import AuthorKind, ContextState, EarlierMessage, ThreadContext
from bot.store import posted_messages, stored_bytes, tables, thread_context
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


async def test_the_context_is_read_back_unchanged_with_its_turn(driver: StoreDriver) -> None:
    """Authors, texts, order and files are unchanged. Later turns find the context with its own turn."""
    first = await driver.claimed(await driver.accepted(call()))
    assert first.thread_context is ContextState.UNREAD
    await keep(driver, first)
    await driver.settle(first)
    second = await driver.claimed(await driver.accepted(reply("and?", "6.0")))

    assert second.thread_context is ContextState.COMPLETE
    assert await known(driver, second) == SAID
    assert await driver.store.run(thread_context.attached, "s1", []) == []


async def test_an_incomplete_context_is_marked(driver: StoreDriver) -> None:
    """The mark is also set when no message could be read."""
    first = await driver.claimed(await driver.accepted(call()))
    await keep(driver, first, ThreadContext(complete=False))
    await driver.settle(first)

    assert await known(driver, await driver.claimed(await driver.accepted(reply("and?", "6.0")))) == ThreadContext(
        complete=False
    )


async def test_only_a_threads_first_session_reads_a_context(driver: StoreDriver) -> None:
    """The bot reads none if it was asked in the first message, nor after a reset or an expiry."""
    assert (await driver.answer(mention("hi", "1.0"))).thread_context is None
    await driver.reset(THREAD, ANA)
    assert (await driver.answer(mention("hi", "2.0"))).thread_context is None
    driver.now += DAY + MINUTE
    assert (await driver.answer(mention("hi", "3.0"))).thread_context is None


async def test_a_reset_in_an_unknown_thread_prevents_reading(driver: StoreDriver) -> None:
    """The reset applies to the messages above it."""
    await driver.accept_reset(dataclasses.replace(reset("4.0"), mentions_bot=True))
    await driver.settle(await driver.claimed(1))

    assert (await driver.answer(call())).thread_context is None


async def test_the_context_is_read_after_a_stopped_question(driver: StoreDriver) -> None:
    """The next turn reads the context. The stopped question is not part of it, because it has its own row."""
    await driver.accept(call("4.0"))
    await driver.accept_stop(stop("4.5"))
    await driver.settle(await driver.claimed(1))
    claim = await driver.claimed(await driver.accepted(call()))
    await keep(driver, claim, ThreadContext((*SAID.messages, EarlierMessage("4.0", "U-ANA", "what now?"))))

    assert [row.message_id for row in await driver.rows(tables.THREAD_CONTEXT)] == ["1.0", "2.0", "3.0"]


async def test_the_bots_own_replies_are_not_stored_as_context(driver: StoreDriver) -> None:
    """The bot's reply to a command is not stored as context."""
    claim = await driver.claimed(await driver.accepted(call()))
    await driver.store.run(posted_messages.posted, claim, "3.0")
    await keep(driver, claim)

    assert [row.message_id for row in await driver.rows(tables.THREAD_CONTEXT)] == ["1.0", "2.0"]


async def test_a_context_is_stored_once(driver: StoreDriver) -> None:
    """A worker that lost its turn cannot replace the context."""
    claim = await driver.claimed(await driver.accepted(call()))
    await keep(driver, claim)
    await keep(driver, claim, ThreadContext((EarlierMessage("4.0", "U-ANA", "late"),)))

    assert len(await driver.rows(tables.THREAD_CONTEXT)) == 3


async def test_a_closed_session_stores_no_context(driver: StoreDriver) -> None:
    """The session was reset while its context was read."""
    claim = await driver.claimed(await driver.accepted(call()))
    await driver.reset(THREAD, ANA)
    await keep(driver, claim)

    assert await driver.rows(tables.THREAD_CONTEXT) == []


async def test_a_concurrent_read_and_reset_store_no_context(driver: StoreDriver) -> None:
    """In either order, no context row remains."""
    claim = await driver.claimed(await driver.accepted(call()))
    await asyncio.gather(keep(driver, claim), driver.reset(THREAD, ANA), keep(driver, claim))

    assert await driver.rows(tables.THREAD_CONTEXT) == []


async def test_a_deleted_message_is_erased(driver: StoreDriver) -> None:
    """The deleted message is erased from the context. The others stay, and no turn is interrupted."""
    claim = await driver.claimed(await driver.accepted(call()))
    await keep(driver, claim)

    assert not await driver.accept_deletion(deletion("2.0"))
    assert await driver.claim(1) is None
    await driver.settle(claim)
    later = await driver.claimed(await driver.accepted(reply("and?", "6.0")))
    assert await known(driver, later) == ThreadContext((ROOT, OWN))


async def test_a_message_deleted_during_the_read_is_not_stored(driver: StoreDriver) -> None:
    """The platform's response may be older than the deletion."""
    claim = await driver.claimed(await driver.accepted(call()))
    await driver.accept_deletion(deletion("1.0"))
    await keep(driver, claim)
    await driver.settle(claim)

    later = await driver.claimed(await driver.accepted(reply("and?", "6.0")))
    assert await known(driver, later) == ThreadContext((ALERT, OWN))
    assert "printers" not in str(await driver.rows(tables.THREAD_CONTEXT))


@pytest.mark.parametrize("edits", [1, 2])
@pytest.mark.parametrize("came", ["before", "after"])
async def test_a_message_edited_during_the_read_has_its_newest_text(driver: StoreDriver, came: str, edits: int) -> None:
    """The newest text is stored. Either the edit or the context may come first."""
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


async def test_a_message_edited_and_deleted_during_the_read_is_not_stored(driver: StoreDriver) -> None:
    """The deletion applies whether it arrives before or after the edit."""
    claim = await driver.claimed(await driver.accepted(call()))
    await driver.accept_edit(edit("who knows screens?", "1.0"))
    await driver.accept_deletion(deletion("1.0"))
    await driver.accept_edit(edit("who knows anything?", "1.0", at=2))
    await keep(driver, claim)

    assert [row.message_id for row in await driver.rows(tables.THREAD_CONTEXT)] == ["2.0", "3.0"]


async def test_markers_of_unread_messages_are_deleted(driver: StoreDriver) -> None:
    """Markers of messages that are not in the context are deleted."""
    claim = await driver.claimed(await driver.accepted(call()))
    await driver.accept_edit(edit("my secret", "4.5"))
    await driver.accept_deletion(deletion("4.6"))
    await keep(driver, claim)

    assert [row.message_id for row in await driver.rows(tables.THREAD_CONTEXT)] == ["1.0", "2.0", "3.0"]


@pytest.mark.parametrize("came", ["before", "after", "at once"])
async def test_a_person_forgotten_during_the_read_is_not_stored(driver: StoreDriver, came: str) -> None:
    """The person's messages and id are not stored, even after an edit. Other people's messages are."""
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


async def test_an_edit_replaces_a_message_of_the_context(driver: StoreDriver) -> None:
    """Text and files are replaced. An edit of a deleted or unknown message stores nothing."""
    claim = await driver.claimed(await driver.accepted(call()))
    await driver.accept_deletion(deletion("3.0"))
    await keep(driver, claim)

    assert await driver.store.run(thread_context.edit, 1, reply("who knows screens?", "1.0"))
    assert not await driver.store.run(thread_context.edit, 1, reply("I see nothing", "3.0"))
    assert not await driver.store.run(thread_context.edit, 1, reply("hm", "9.0"))
    await driver.settle(claim)
    later = await driver.claimed(await driver.accepted(reply("and?", "6.0")))
    assert await known(driver, later) == ThreadContext((EarlierMessage("1.0", "U-BEN", "who knows screens?"), ALERT))


async def test_authors_of_the_context_cannot_reset(driver: StoreDriver) -> None:
    """Authors of the context did not take part in the session."""
    await keep(driver, await driver.claimed(await driver.accepted(call())))

    assert (await driver.reset(THREAD, BEN)).value == "not_yours"


@pytest.mark.parametrize("text", ["nul \0", "half \ud800", "x" * 50_000])
async def test_any_text_can_be_stored_as_context(driver: StoreDriver, text: str) -> None:
    """Every text that a platform sends can be stored."""
    claim = await driver.claimed(await driver.accepted(call()))
    await keep(driver, claim, ThreadContext((EarlierMessage("1.0", "U-BEN", text, by=AuthorKind.BOT, name=text),)))

    [row] = await driver.rows(tables.THREAD_CONTEXT)
    assert row.text == text.replace("\0", "").replace("\ud800", "?")


async def test_a_late_message_from_before_the_mention_is_not_answered(driver: StoreDriver) -> None:
    """The message was not for the bot. The platform only delivered it late."""
    claim = await driver.claimed(await driver.accepted(call()))
    await keep(driver, claim)

    assert await driver.accept(reply("who knows printers?", "1.0", by=BEN)) is None
    assert await driver.accept(reply("go on", "6.0", by=BEN)) is not None


@pytest.mark.parametrize("read", [True, False])
async def test_a_late_mention_is_not_shown_as_context_too(driver: StoreDriver, *, read: bool) -> None:
    """A late mention is answered and shown once, whether or not the context contains it."""
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


@pytest.mark.parametrize("way", ["deletion", "edit", "forgetting"])
async def test_the_context_is_counted_as_it_is_stored(driver: StoreDriver, way: str) -> None:
    """An edit or an erasure of a context message changes what is counted for its session. A marker does not count."""
    claim = await driver.claimed(await driver.accepted(call()))
    assert not await driver.accept_deletion(deletion("3.0"))
    await keep(driver, claim)
    await driver.settle(claim)
    if way == "deletion":
        await driver.accept_deletion(deletion("2.0"))
    elif way == "edit":
        await driver.accept_edit(edit("ä longer text than before", "2.0", by=BEN))
    else:
        await driver.forget(BEN)
    [session] = await driver.rows(tables.SESSIONS)
    stored = [row.text for table in (tables.MESSAGES, tables.THREAD_CONTEXT) for row in await driver.rows(table)]
    answers = [row.answer for row in await driver.rows(tables.TURNS)]

    assert session.stored_bytes == stored_bytes.size(stored) + sum(map(stored_bytes.length, answers))
