"""Export: all stored data of a person. On both databases."""

from __future__ import annotations

from datetime import timedelta

from bot.access.redaction import Redactor
from bot.domain.personal_data import PersonalDataExport
from bot.prompt.thread_context import EarlierMessage, ThreadContext
from bot.store import thread_context
from bot.turns.leases import LeaseKeeper
from bot.turns.personal_data import PersonalData
from bot.turns.reader_languages import ReaderLanguages
from tests.support.builders import ANA, BEN, CHI, NOON, deletion, edit, mention, reply, stop, thread
from tests.support.store_driver import StoreDriver


async def export_of(driver: StoreDriver, limit: int = 10) -> PersonalDataExport:
    """Return Ana's export."""
    leases = LeaseKeeper(driver.store, owner="one", clock=lambda: driver.now)
    languages = ReaderLanguages(driver.store, {})
    return await PersonalData(driver.store, leases, languages, clock=lambda: driver.now, redactor=Redactor.of()).export(
        "chat", "T1", ANA, limit=limit
    )


async def test_an_export_has_every_message_with_its_answer(driver: StoreDriver) -> None:
    """The export is oldest first. It has no messages of other people, no commands and no deleted messages."""
    await driver.answer(mention("one", "1.0"), "to one")
    await driver.answer(reply("ben's", "2.0", by=BEN), "to ben")
    await driver.accept_edit(edit("first", "1.0"))
    await driver.answer(reply("gone", "3.0"))
    await driver.accept_deletion(deletion("3.0"))
    await driver.accept_stop(stop("4.0", by=ANA))
    await driver.accepted(reply("waits", "5.0"))

    exported = await export_of(driver)
    assert [(message.id, message.text, message.answer) for message in exported.messages] == [
        ("1.0", "first", "to one"),
        ("5.0", "waits", None),
    ]
    first = exported.messages[0]
    assert (first.channel, first.thread, first.edited_at) == ("C1", "1.0", NOON + timedelta(seconds=1))


async def test_a_shared_answer_is_in_no_export(driver: StoreDriver) -> None:
    """No export has an answer to several people, also after the others were forgotten."""
    await driver.accepted(mention("mine", "1.0"))
    await driver.accepted(reply("mine, too", "1.1"))
    await driver.answer(reply("ben's", "2.0", by=BEN), "to both")
    assert [message.answer for message in (await export_of(driver)).messages] == [None, None]
    await driver.forget(BEN)

    assert [message.answer for message in (await export_of(driver)).messages] == [None, None]


async def test_a_stop_by_another_person_keeps_the_answer_in_the_export(driver: StoreDriver) -> None:
    """A person who stops an answer is not its asker. The answer stays in the asker's export."""
    claim = await driver.claimed(await driver.accepted(mention("one")))
    await driver.accept_stop(stop("2.0"))
    await driver.settle(claim, "to o")

    assert [message.answer for message in (await export_of(driver)).messages] == ["to o"]


async def test_an_export_has_the_persons_own_thread_context(driver: StoreDriver) -> None:
    """The export has the person's own messages from a thread context, and no other person's."""
    claim = await driver.claimed(await driver.accepted(mention("help", "5.0", by=CHI)))
    messages = (EarlierMessage("1.0", ANA.id, "who knows printers?"), EarlierMessage("2.0", BEN.id, "I do"))
    assert claim.session_id is not None
    await driver.store.run(
        thread_context.save, claim.thread_id, claim.session_id, claim.turn_id, ThreadContext(messages)
    )

    exported = await export_of(driver)
    assert exported.messages == ()
    assert [(message.channel, message.thread, message.id, message.text) for message in exported.thread_context] == [
        ("C1", "1.0", "1.0", "who knows printers?")
    ]


async def test_a_limited_export_has_the_newest_messages(driver: StoreDriver) -> None:
    """Beyond the limit the export has the newest messages, and says that it is incomplete."""
    for number in range(3):
        await driver.answer(mention(str(number), in_=thread(number)))

    assert [message.text for message in (await export_of(driver, limit=2)).messages] == ["1", "2"]
    assert [(await export_of(driver, limit=limit)).complete for limit in (2, 3)] == [False, True]
