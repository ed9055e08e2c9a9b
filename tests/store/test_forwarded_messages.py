"""Forwarded messages in the store: kept with the message, bounded, exported, and erased with either person."""

from __future__ import annotations

from dataclasses import replace

from bot.domain.events import LONGEST_FORWARDED, MOST_FORWARDED, Attachment, Forwarded
from bot.domain.personal_data import ExportedFile, ExportedForward
from bot.domain.sessions import Interrupted
from bot.domain.texts import ANSWER_ERASED
from bot.prompt.history import Utterance
from bot.prompt.thread_context import EarlierMessage, ThreadContext
from bot.store import export, thread_context
from bot.store.tables import MESSAGES, SESSIONS, THREAD_CONTEXT, THREADS, TURNS
from tests.support.builders import ANA, BEN, CHI, edit, mention, reply, thread
from tests.support.store_driver import StoreDriver

FILE = Attachment("F1", "plan.pdf", "application/pdf", 9)
BY_BEN = Forwarded(BEN.id, "Ben", "the VPN is down", "https://x.y", (FILE,))
BY_CHI = Forwarded(CHI.id, "Chi", "it burns")
ERASED = Forwarded("", "", "")
PASSED_ON = replace(mention("look"), forwarded=(BY_BEN, BY_CHI))


async def test_a_forward_is_kept_with_its_message(driver: StoreDriver) -> None:
    """The claim, the history and the person's export hold it whole."""
    claim = await driver.answer(PASSED_ON)
    again = await driver.claimed(await driver.accepted(reply("and now?", "2.0")))
    ids, _ = await driver.store.run(export.newest, "chat", "T1", ANA.id, limit=9)
    exported = await driver.store.run(export.messages, ANA.id, ids)

    assert claim.utterances == (Utterance(ANA.id, "look", (), (BY_BEN, BY_CHI)),)
    assert (await driver.past(again))[0].messages == claim.utterances
    by_ben = ExportedForward(
        BEN.id, "Ben", "the VPN is down", "https://x.y", (ExportedFile("F1", "plan.pdf", "application/pdf", 9),)
    )
    assert [message.forwarded for message in exported] == [(), (by_ben, ExportedForward(CHI.id, "Chi", "it burns"))]


async def test_a_forward_is_bounded(driver: StoreDriver) -> None:
    """Too many forwards, and too long ones, are cut. Their bytes count for the session."""
    forwarded = (replace(BY_BEN, text="x" * 2 * LONGEST_FORWARDED),) * 2 * MOST_FORWARDED
    await driver.accepted(replace(PASSED_ON, forwarded=forwarded))
    [row], [session] = await driver.rows(MESSAGES), await driver.rows(SESSIONS)

    assert [len(each["text"]) for each in row.forwarded] == [LONGEST_FORWARDED] * MOST_FORWARDED
    assert session.stored_bytes > MOST_FORWARDED * LONGEST_FORWARDED


async def test_an_edit_replaces_forwards(driver: StoreDriver) -> None:
    """The newest state counts."""
    await driver.accepted(PASSED_ON)
    changed = edit("look")
    await driver.accept_edit(replace(changed, message=replace(changed.message, forwarded=(BY_CHI,))))

    [row] = await driver.rows(MESSAGES)
    assert [each["text"] for each in row.forwarded] == ["it burns"]


async def test_a_forgotten_author_leaves_the_messages_of_others(driver: StoreDriver) -> None:
    """Ben's words, name and file leave Ana's message, as does the answer that may quote them. Chi's words stay."""
    await driver.answer(PASSED_ON, "the VPN, as Ben says")
    await driver.answer(mention(f"unrelated, about {BEN.id}", in_=thread(2)), "fine")
    await driver.forget(BEN)
    [first, other], answers = await driver.rows(MESSAGES), [row.answer for row in await driver.rows(TURNS)]

    assert [each["text"] for each in first.forwarded] == ["", "it burns"]
    assert "Ben" not in str(first.forwarded)
    assert (first.text, other.forwarded) == ("look", None)
    assert answers == [ANSWER_ERASED, "fine"]


async def test_a_running_turn_starts_again_without_the_words(driver: StoreDriver) -> None:
    """An answer that was being given to them is given anew."""
    claim = await driver.claimed(await driver.accepted(PASSED_ON))
    await driver.forget(BEN)
    [row] = await driver.rows(THREADS)

    assert row.interrupted == Interrupted.EDITED.value
    assert (await driver.taken_over(claim)).utterances[0].forwarded == (ERASED, BY_CHI)


async def test_a_forgotten_author_leaves_thread_contexts(driver: StoreDriver) -> None:
    """The same holds for messages from before the bot was called."""
    claim = await driver.claimed(await driver.accepted(mention("well?", "3.0", in_=thread(1))))
    assert claim.session_id
    before = ThreadContext((EarlierMessage("2.0", ANA.id, "look", forwarded=(BY_BEN,)),))
    await driver.store.run(thread_context.save, claim.thread_id, claim.session_id, claim.turn_id, before)
    await driver.settle(claim, "as Ben says")
    await driver.forget(BEN)

    [row], [turn] = await driver.rows(THREAD_CONTEXT), await driver.rows(TURNS)
    assert ([each["text"] for each in row.forwarded], turn.answer) == ([""], ANSWER_ERASED)


async def test_forgetting_the_person_who_passed_it_on(driver: StoreDriver) -> None:
    """Ana's erasure takes the whole message."""
    await driver.answer(PASSED_ON, "an answer")
    await driver.forget(ANA)
    [row] = await driver.rows(MESSAGES)

    assert (row.text, row.forwarded) == ("", None)
