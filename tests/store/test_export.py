"""Export: everything that is stored of a person. On both databases."""

from __future__ import annotations

from datetime import timedelta

from bot.domain.personal_data import PersonalDataExport
from bot.prompt.thread_context import EarlierMessage, ThreadContext
from bot.store import export, thread_context
from tests.support.builders import ANA, BEN, CHI, NOON, deletion, edit, mention, reply, stop, thread
from tests.support.store_driver import StoreDriver


async def export_of(driver: StoreDriver, limit: int = 10) -> PersonalDataExport:
    """Return Ana's export."""
    return await driver.store.run(export.of_person, "chat", "T1", ANA.id, limit=limit)


async def test_every_message_with_its_answer(driver: StoreDriver) -> None:
    """The export is oldest first, without other people's messages, commands and deleted messages."""
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


async def test_an_answer_to_several_is_nobodys(driver: StoreDriver) -> None:
    """The answer to several people is in nobody's export, also after the others were forgotten."""
    await driver.accepted(mention("mine", "1.0"))
    await driver.accepted(reply("mine, too", "1.1"))
    await driver.answer(reply("ben's", "2.0", by=BEN), "to both")
    assert [message.answer for message in (await export_of(driver)).messages] == [None, None]
    await driver.forget(BEN)

    assert [message.answer for message in (await export_of(driver)).messages] == [None, None]


async def test_a_stop_by_somebody_else_takes_no_answer_away(driver: StoreDriver) -> None:
    """Somebody who stops an answer has not asked, so that it stays in the asker's export."""
    claim = await driver.claimed(await driver.accepted(mention("one")))
    await driver.accept_stop(stop("2.0"))
    await driver.settle(claim, "to o")

    assert [message.answer for message in (await export_of(driver)).messages] == ["to o"]


async def test_what_was_said_before_the_bot_was_called(driver: StoreDriver) -> None:
    """The person's own messages in a thread context are exported, and nobody else's."""
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


async def test_of_too_much_the_newest_is_handed_over(driver: StoreDriver) -> None:
    """Beyond the limit the newest messages are exported, and the export says that it is incomplete."""
    for number in range(3):
        await driver.answer(mention(str(number), in_=thread(number)))

    assert [message.text for message in (await export_of(driver, limit=2)).messages] == ["1", "2"]
    assert [(await export_of(driver, limit=limit)).complete for limit in (2, 3)] == [False, True]
