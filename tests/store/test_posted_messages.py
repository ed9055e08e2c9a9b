"""Posted messages: a takeover finds the messages of its own turn. On both databases."""

from __future__ import annotations

from bot.domain import texts
from bot.store import posted_messages, summaries
from bot.store.claims import Claim
from bot.store.tables import TURNS
from tests.support.builders import deletion, mention, reply, thread
from tests.support.store_driver import Books


async def posted(books: Books, claim: Claim, *ids: str) -> None:
    """Store that these messages were posted in this order."""
    for answer_id in ids:
        await books.store.run(posted_messages.posted, claim, answer_id)


async def mine(books: Books, claim: Claim) -> list[str]:
    """Return the posted messages of the claimed turn."""
    return await books.store.run(posted_messages.of_turn, claim)


async def test_a_turns_messages_come_back_in_the_order_in_which_they_were_posted(books: Books) -> None:
    """All attempts' messages are returned once, in posting order and not by the platform's ids."""
    first = await books.claimed(await books.accepted(mention("hello")))
    assert await mine(books, first) == []
    await posted(books, first, "3", "1", "3")
    second = await books.taken_over(first)
    await posted(books, second, "2", "1")

    assert await mine(books, second) == ["3", "1", "2"]


async def test_what_a_late_worker_posted_belongs_to_the_turn(books: Books) -> None:
    """A message that a late worker posted is in the thread, so the takeover must find it."""
    late = await books.claimed(await books.accepted(mention("hello")))
    current = await books.taken_over(late)
    await posted(books, late, "1")

    assert await mine(books, current) == ["1"]


async def test_other_turns_messages_are_told_apart(books: Books) -> None:
    """A takeover leaves alone those messages in the thread that hold other turns' answers."""
    await posted(books, await books.answer(mention("hello", "1.0")), "A1", "A2")
    elsewhere = await books.answer(mention("hello", "1.0", in_=thread(2)))
    await posted(books, elsewhere, "B1")
    claim = await books.claimed(await books.accepted(reply("more", "2.0")))
    await posted(books, claim, "A3", "A1")

    others = await books.store.run(posted_messages.of_other_turns, claim, ["A1", "A2", "A3", "B1", "unknown"])
    assert others == {"A1", "A2"}
    assert await mine(books, claim) == ["A3"]
    assert await books.store.run(posted_messages.of_other_turns, claim, []) == set()


async def answer_of(books: Books, turn_id: int) -> str | None:
    """Return the stored answer of a turn."""
    answers_by_turn: dict[int, str | None] = {turn.id: turn.answer for turn in await books.rows(TURNS)}
    return answers_by_turn[turn_id]


async def test_an_answer_goes_with_any_of_its_messages(books: Books) -> None:
    """Answers of other turns stay, also in a thread with the same message ids."""
    first = await books.answer(mention("hello", "1.0"), "hi")
    second = await books.answer(reply("more", "2.0"), "and hi")
    elsewhere = await books.answer(mention("hello", "1.0", in_=thread(2)), "hi there")
    await posted(books, first, "1.5", "1.6")
    await posted(books, second, "2.5")
    await posted(books, elsewhere, "1.6")

    assert not await books.accept_deletion(deletion("1.6"))
    assert await answer_of(books, first.turn_id) == texts.ANSWER_ERASED
    assert await answer_of(books, second.turn_id) == "and hi"
    assert await answer_of(books, elsewhere.turn_id) == "hi there"


async def test_what_was_tidied_away_is_no_part_of_an_answer(books: Books) -> None:
    """Slack reports a message that the bot itself deleted, during the turn or later: the answer stays."""
    claim = await books.claimed(await books.accepted(mention("hello")))
    await posted(books, claim, "1.5", "1.6")
    await books.accept_deletion(deletion("1.6"))
    await books.store.run(posted_messages.removed, claim, "1.6")
    assert await mine(books, claim) == ["1.5"]
    await books.settle(claim, "hi")
    await books.accept_deletion(deletion("1.6"))

    assert await answer_of(books, claim.turn_id) == "hi"


async def test_what_is_forgotten_gets_no_remark(books: Books) -> None:
    """The answers of a closed session stay empty, without a note about the deletion."""
    claim = await books.answer(mention("hello"), "hi")
    await posted(books, claim, "1.5")
    await books.reset(claim.thread, claim.author)
    await books.accept_deletion(deletion("1.5"))

    assert await answer_of(books, claim.turn_id) is None


async def test_a_summary_goes_with_an_answer_that_it_was_made_of(books: Books) -> None:
    """The summary is voided, because it may repeat the answer."""
    claim = await books.answer(mention("hello"), "the code is 4711")
    await posted(books, claim, "1.5")
    assert claim.session_id is not None
    folding = await books.store.run(summaries.begin, books.lease(), claim.session_id)
    assert folding is not None
    assert await books.store.run(summaries.finish, folding, "4711 was told", reaches=claim.turn_id, several=False)

    await books.accept_deletion(deletion("1.5"))

    assert (await books.store.run(summaries.cut_of, claim.session_id)).summary == ""
