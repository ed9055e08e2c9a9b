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
from tests.support.store_driver import MINUTE, Books, texts

FILE = Attachment("F1", "a.png", "image/png", 9)
ROOT = EarlierMessage("1.0", "U-BEN", "who knows printers?", (FILE,))
ALERT = EarlierMessage("2.0", "B1", "on fire", by=AuthorKind.BOT, name="deploys")
OWN = EarlierMessage("3.0", "U-BOT", "I see", by=AuthorKind.SELF)
SAID = ThreadContext((ROOT, ALERT, OWN))


def call(message_id: str = "5.0") -> MessageReceived:
    """Return a mention inside the thread."""
    return mention("what now?", message_id)


async def keep(books: Books, claim: PlatformClaim, found: ThreadContext = SAID) -> None:
    """Store the context that was read for this turn."""
    assert claim.session_id is not None
    await books.store.run(thread_context.keep, claim.thread_id, claim.session_id, claim.turn_id, found)


async def known(books: Books, claim: PlatformClaim) -> ThreadContext:
    """Return the context that this turn is shown."""
    assert claim.session_id is not None
    [*_, turn] = await books.past(claim)
    [*_, turn] = await books.store.run(thread_context.attached, claim.session_id, [turn])
    return turn.thread_context


async def test_it_comes_back_as_it_was_with_the_turn_that_it_was_read_for(books: Books) -> None:
    """Authors, texts, order and files are unchanged. Later turns find the context with its turn."""
    first = await books.claimed(await books.accepted(call()))
    assert first.thread_context is ContextState.UNREAD
    await keep(books, first)
    await books.settle(first)
    second = await books.claimed(await books.accepted(reply("and?", "6.0")))

    assert second.thread_context is ContextState.COMPLETE
    assert await known(books, second) == SAID
    assert await books.store.run(thread_context.attached, "s1", []) == []


async def test_a_part_is_known_to_be_a_part(books: Books) -> None:
    """An incomplete context is marked as such, also when nothing could be read."""
    first = await books.claimed(await books.accepted(call()))
    await keep(books, first, ThreadContext(complete=False))
    await books.settle(first)

    assert await known(books, await books.claimed(await books.accepted(reply("and?", "6.0")))) == ThreadContext(
        complete=False
    )


async def test_only_a_threads_first_session_reads(books: Books) -> None:
    """A session that begins with the thread, or follows a reset or an expiry, has no context."""
    assert (await books.answer(mention("hi", "1.0"))).thread_context is None
    await books.reset(THREAD, ANA)
    assert (await books.answer(mention("hi", "2.0"))).thread_context is None
    books.now += DAY + MINUTE
    assert (await books.answer(mention("hi", "3.0"))).thread_context is None


async def test_a_reset_before_all_forbids_to_read(books: Books) -> None:
    """A reset in an unknown thread applies to the messages above it."""
    await books.accept_reset(dataclasses.replace(reset("4.0"), mentions_bot=True))
    await books.settle(await books.claimed(1))

    assert (await books.answer(call())).thread_context is None


async def test_the_reading_is_not_used_up_by_a_question_that_was_stopped(books: Books) -> None:
    """The next turn reads the context, without the stopped question, which has its own row."""
    await books.accept(call("4.0"))
    await books.accept_stop(stop("4.5"))
    await books.settle(await books.claimed(1))
    claim = await books.claimed(await books.accepted(call()))
    await keep(books, claim, ThreadContext((*SAID.messages, EarlierMessage("4.0", "U-ANA", "what now?"))))

    assert [row.message_id for row in await books.rows(tables.THREAD_CONTEXT)] == ["1.0", "2.0", "3.0"]


async def test_what_the_bot_answered_already_is_not_kept_twice(books: Books) -> None:
    """The bot's reply to a command is not stored as context."""
    claim = await books.claimed(await books.accepted(call()))
    await books.store.run(posted_messages.posted, claim, "3.0")
    await keep(books, claim)

    assert [row.message_id for row in await books.rows(tables.THREAD_CONTEXT)] == ["1.0", "2.0"]


async def test_it_is_kept_once(books: Books) -> None:
    """A late worker that lost its turn changes nothing."""
    claim = await books.claimed(await books.accepted(call()))
    await keep(books, claim)
    await keep(books, claim, ThreadContext((EarlierMessage("4.0", "U-ANA", "late"),)))

    assert len(await books.rows(tables.THREAD_CONTEXT)) == 3


async def test_a_closed_session_keeps_nothing(books: Books) -> None:
    """A session that was reset while its context was read stores none."""
    claim = await books.claimed(await books.accepted(call()))
    await books.reset(THREAD, ANA)
    await keep(books, claim)

    assert await books.rows(tables.THREAD_CONTEXT) == []


async def test_a_reading_and_a_reset_at_once_leave_nothing(books: Books) -> None:
    """In either order, nothing is left."""
    claim = await books.claimed(await books.accepted(call()))
    await asyncio.gather(keep(books, claim), books.reset(THREAD, ANA), keep(books, claim))

    assert await books.rows(tables.THREAD_CONTEXT) == []


async def test_a_deleted_message_is_erased(books: Books) -> None:
    """The message is erased, the others stay, and no turn is interrupted."""
    claim = await books.claimed(await books.accepted(call()))
    await keep(books, claim)

    assert not await books.accept_deletion(deletion("2.0"))
    assert await books.claim(1) is None
    await books.settle(claim)
    later = await books.claimed(await books.accepted(reply("and?", "6.0")))
    assert await known(books, later) == ThreadContext((ROOT, OWN))


async def test_a_message_that_is_deleted_while_it_is_read_is_not_kept(books: Books) -> None:
    """The platform's answer may be older than the deletion."""
    claim = await books.claimed(await books.accepted(call()))
    await books.accept_deletion(deletion("1.0"))
    await keep(books, claim)
    await books.settle(claim)

    later = await books.claimed(await books.accepted(reply("and?", "6.0")))
    assert await known(books, later) == ThreadContext((ALERT, OWN))
    assert "printers" not in str(await books.rows(tables.THREAD_CONTEXT))


@pytest.mark.parametrize("edits", [1, 2])
@pytest.mark.parametrize("came", ["before", "after"])
async def test_a_message_that_is_edited_while_it_is_read_says_what_it_does_now(
    books: Books, came: str, edits: int
) -> None:
    """The newest text is stored, whether the edit or the context comes first."""
    claim = await books.claimed(await books.accepted(call()))
    if came == "after":
        await keep(books, claim)
    for text in ("who knows pelargonium?", "who knows screens?")[2 - edits :]:
        await books.accept_edit(edit(text, "1.0"))
    if came == "before":
        await keep(books, claim)
    await books.settle(claim)

    later = await books.claimed(await books.accepted(reply("and?", "6.0")))
    edited = EarlierMessage("1.0", "U-BEN", "who knows screens?")
    assert await known(books, later) == ThreadContext((edited, ALERT, OWN))
    assert [row.text for row in await books.rows(tables.THREAD_CONTEXT)] == ["who knows screens?", "on fire", "I see"]


async def test_a_message_that_is_edited_and_deleted_while_it_is_read_is_not_kept(books: Books) -> None:
    """A deletion counts in either order."""
    claim = await books.claimed(await books.accepted(call()))
    await books.accept_edit(edit("who knows screens?", "1.0"))
    await books.accept_deletion(deletion("1.0"))
    await books.accept_edit(edit("who knows anything?", "1.0", at=2))
    await keep(books, claim)

    assert [row.message_id for row in await books.rows(tables.THREAD_CONTEXT)] == ["2.0", "3.0"]


async def test_what_is_noted_of_a_message_that_was_not_read_is_not_kept(books: Books) -> None:
    """Markers of messages that are not in the context are deleted."""
    claim = await books.claimed(await books.accepted(call()))
    await books.accept_edit(edit("my secret", "4.5"))
    await books.accept_deletion(deletion("4.6"))
    await keep(books, claim)

    assert [row.message_id for row in await books.rows(tables.THREAD_CONTEXT)] == ["1.0", "2.0", "3.0"]


@pytest.mark.parametrize("came", ["before", "after", "at once"])
async def test_who_is_forgotten_while_the_thread_is_read_is_not_kept(books: Books, came: str) -> None:
    """Neither their messages nor their id are stored, also after an edit of theirs. Other people's messages are."""
    await books.accepted(mention("hello", "0.5", by=BEN, in_=thread(7)))
    claim = await books.claimed(await books.accepted(call()))
    await books.accept_edit(edit("who knows screens?", "1.0", by=BEN))
    if came == "at once":
        await asyncio.gather(keep(books, claim), books.forget(BEN))
    for forgets in (True, False) if came == "before" else (False, True):
        await (books.forget(BEN) if forgets else keep(books, claim))
    await books.settle(claim)

    later = await books.claimed(await books.accepted(reply("and?", "6.0")))
    assert await known(books, later) == ThreadContext((ALERT, OWN))
    assert BEN.id not in str(await books.rows(tables.THREAD_CONTEXT))


async def test_an_edited_message_reads_as_it_does_now(books: Books) -> None:
    """Text and files are replaced. A message that is not stored or was deleted is not edited."""
    claim = await books.claimed(await books.accepted(call()))
    await books.accept_deletion(deletion("3.0"))
    await keep(books, claim)

    assert await books.store.run(thread_context.edit, 1, reply("who knows screens?", "1.0"))
    assert not await books.store.run(thread_context.edit, 1, reply("I see nothing", "3.0"))
    assert not await books.store.run(thread_context.edit, 1, reply("hm", "9.0"))
    await books.settle(claim)
    later = await books.claimed(await books.accepted(reply("and?", "6.0")))
    assert await known(books, later) == ThreadContext((EarlierMessage("1.0", "U-BEN", "who knows screens?"), ALERT))


async def test_whoever_wrote_before_may_not_reset(books: Books) -> None:
    """Authors of the context did not take part in the session."""
    await keep(books, await books.claimed(await books.accepted(call())))

    assert (await books.reset(THREAD, BEN)).value == "not_yours"


@pytest.mark.parametrize("text", ["nul \0", "half \ud800", "x" * 50_000])
async def test_anything_can_be_kept(books: Books, text: str) -> None:
    """Every text that a platform sends can be stored."""
    claim = await books.claimed(await books.accepted(call()))
    await keep(books, claim, ThreadContext((EarlierMessage("1.0", "U-BEN", text, by=AuthorKind.BOT, name=text),)))

    [row] = await books.rows(tables.THREAD_CONTEXT)
    assert row.text == text.replace("\0", "").replace("\ud800", "?")


async def test_what_was_said_before_is_not_answered_when_it_arrives_late(books: Books) -> None:
    """A message from before the call was not for the bot, even if the platform delivers it later."""
    claim = await books.claimed(await books.accepted(call()))
    await keep(books, claim)

    assert await books.accept(reply("who knows printers?", "1.0", by=BEN)) is None
    assert await books.accept(reply("go on", "6.0", by=BEN)) is not None


@pytest.mark.parametrize("read", [True, False])
async def test_a_question_that_arrives_late_is_not_background_as_well(books: Books, *, read: bool) -> None:
    """A late mention is answered and shown once, whether or not it was read before."""
    claim = await books.claimed(await books.accepted(call()))
    if read:
        await keep(books, claim)
    assert await books.accept(mention("who knows printers?", "1.0", by=BEN)) is not None
    if not read:
        await keep(books, claim)
    await books.settle(claim)
    late = await books.claimed(1)

    assert texts(late) == ["who knows printers?"]
    assert await known(books, late) == ThreadContext((ALERT, OWN))
