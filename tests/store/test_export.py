"""Export: everything that is stored of a person. On both databases."""

from __future__ import annotations

from datetime import timedelta

from bot.domain.personal_data import PersonalDataExport
from bot.prompt.thread_context import EarlierMessage, ThreadContext
from bot.store import export, thread_context
from tests.support.builders import ANA, BEN, CHI, NOON, deletion, edit, mention, reply, stop, thread
from tests.support.store_driver import Books


async def export_of(books: Books, limit: int = 10) -> PersonalDataExport:
    """Return Ana's export."""
    return await books.store.run(export.of_person, "desk", "T1", ANA.id, limit=limit)


async def test_every_message_with_its_answer(books: Books) -> None:
    """The export is oldest first, without other people's messages, commands and deleted messages."""
    await books.answer(mention("one", "1.0"), "to one")
    await books.answer(reply("ben's", "2.0", by=BEN), "to ben")
    await books.accept_edit(edit("first", "1.0"))
    await books.answer(reply("gone", "3.0"))
    await books.accept_deletion(deletion("3.0"))
    await books.accept_stop(stop("4.0", by=ANA))
    await books.accepted(reply("waits", "5.0"))

    exported = await export_of(books)
    assert [(message.id, message.text, message.answer) for message in exported.messages] == [
        ("1.0", "first", "to one"),
        ("5.0", "waits", None),
    ]
    first = exported.messages[0]
    assert (first.channel, first.thread, first.edited_at) == ("C1", "1.0", NOON + timedelta(seconds=1))


async def test_an_answer_to_several_is_nobodys(books: Books) -> None:
    """The answer to several people is in nobody's export, also after the others were forgotten."""
    await books.accepted(mention("mine", "1.0"))
    await books.accepted(reply("mine, too", "1.1"))
    await books.answer(reply("ben's", "2.0", by=BEN), "to both")
    assert [message.answer for message in (await export_of(books)).messages] == [None, None]
    await books.forget(BEN)

    assert [message.answer for message in (await export_of(books)).messages] == [None, None]


async def test_a_stop_by_somebody_else_takes_no_answer_away(books: Books) -> None:
    """Somebody who stops an answer has not asked, so that it stays in the asker's export."""
    claim = await books.claimed(await books.accepted(mention("one")))
    await books.accept_stop(stop("2.0"))
    await books.settle(claim, "to o")

    assert [message.answer for message in (await export_of(books)).messages] == ["to o"]


async def test_what_was_said_before_the_bot_was_called(books: Books) -> None:
    """The person's own messages in a thread context are exported, and nobody else's."""
    claim = await books.claimed(await books.accepted(mention("help", "5.0", by=CHI)))
    messages = (EarlierMessage("1.0", ANA.id, "who knows printers?"), EarlierMessage("2.0", BEN.id, "I do"))
    assert claim.session_id is not None
    await books.store.run(
        thread_context.keep, claim.thread_id, claim.session_id, claim.turn_id, ThreadContext(messages)
    )

    exported = await export_of(books)
    assert exported.messages == ()
    assert [(message.channel, message.thread, message.id, message.text) for message in exported.thread_context] == [
        ("C1", "1.0", "1.0", "who knows printers?")
    ]


async def test_of_too_much_the_newest_is_handed_over(books: Books) -> None:
    """Beyond the limit the newest messages are exported, and the export says that it is incomplete."""
    for number in range(3):
        await books.answer(mention(str(number), in_=thread(number)))

    assert [message.text for message in (await export_of(books, limit=2)).messages] == ["1", "2"]
    assert [(await export_of(books, limit=limit)).complete for limit in (2, 3)] == [False, True]
