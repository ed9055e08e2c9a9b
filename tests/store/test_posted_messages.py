"""Posted messages: a takeover finds the messages of its own turn. On both databases."""

from __future__ import annotations

from bot.domain import texts
from bot.prompt.summary_parts import SummaryPart
from bot.store import posted_messages, summaries
from bot.store.claims import Claim
from bot.store.tables import TURNS
from tests.support.builders import deletion, mention, reply, thread
from tests.support.store_driver import StoreDriver


async def posted(driver: StoreDriver, claim: Claim, *ids: str) -> None:
    """Store that these messages were posted in this order."""
    for answer_id in ids:
        await driver.store.run(posted_messages.posted, claim, answer_id)


async def mine(driver: StoreDriver, claim: Claim) -> list[str]:
    """Return the posted messages of the claimed turn."""
    return await driver.store.run(posted_messages.of_turn, claim)


async def test_a_turns_posted_messages_are_read_in_posting_order(driver: StoreDriver) -> None:
    """The messages of all attempts are returned once, in posting order. The platform's ids do not set the order."""
    first = await driver.claimed(await driver.accepted(mention("hello")))
    assert await mine(driver, first) == []
    await posted(driver, first, "3", "1", "3")
    second = await driver.taken_over(first)
    await posted(driver, second, "2", "1")

    assert await mine(driver, second) == ["3", "1", "2"]


async def test_a_late_workers_message_belongs_to_the_turn(driver: StoreDriver) -> None:
    """A message that a late worker posted is in the thread, so the takeover must find it."""
    late = await driver.claimed(await driver.accepted(mention("hello")))
    current = await driver.taken_over(late)
    await posted(driver, late, "1")

    assert await mine(driver, current) == ["1"]


async def test_a_takeover_finds_no_messages_of_other_turns(driver: StoreDriver) -> None:
    """A takeover ignores messages in the thread that hold other turns' answers."""
    await posted(driver, await driver.answer(mention("hello", "1.0")), "A1", "A2")
    elsewhere = await driver.answer(mention("hello", "1.0", in_=thread(2)))
    await posted(driver, elsewhere, "B1")
    claim = await driver.claimed(await driver.accepted(reply("more", "2.0")))
    await posted(driver, claim, "A3", "A1")

    others = await driver.store.run(posted_messages.of_other_turns, claim, ["A1", "A2", "A3", "B1", "unknown"])
    assert others == {"A1", "A2"}
    assert await mine(driver, claim) == ["A3"]
    assert await driver.store.run(posted_messages.of_other_turns, claim, []) == set()


async def answer_of(driver: StoreDriver, turn_id: int) -> str | None:
    """Return the stored answer of a turn."""
    answers_by_turn: dict[int, str | None] = {turn.id: turn.answer for turn in await driver.rows(TURNS)}
    return answers_by_turn[turn_id]


async def test_deleting_any_message_of_an_answer_erases_the_answer(driver: StoreDriver) -> None:
    """Answers of other turns stay, also in another thread with the same message ids."""
    first = await driver.answer(mention("hello", "1.0"), "hi")
    second = await driver.answer(reply("more", "2.0"), "and hi")
    elsewhere = await driver.answer(mention("hello", "1.0", in_=thread(2)), "hi there")
    await posted(driver, first, "1.5", "1.6")
    await posted(driver, second, "2.5")
    await posted(driver, elsewhere, "1.6")

    assert not await driver.accept_deletion(deletion("1.6"))
    assert await answer_of(driver, first.turn_id) == texts.ANSWER_ERASED
    assert await answer_of(driver, second.turn_id) == "and hi"
    assert await answer_of(driver, elsewhere.turn_id) == "hi there"


async def test_a_message_that_the_bot_deleted_erases_no_answer(driver: StoreDriver) -> None:
    """Slack reports the bot's own deletions, during the turn or later. The answer stays."""
    claim = await driver.claimed(await driver.accepted(mention("hello")))
    await posted(driver, claim, "1.5", "1.6")
    await driver.accept_deletion(deletion("1.6"))
    await driver.store.run(posted_messages.removed, claim, "1.6")
    assert await mine(driver, claim) == ["1.5"]
    await driver.settle(claim, "hi")
    await driver.accept_deletion(deletion("1.6"))

    assert await answer_of(driver, claim.turn_id) == "hi"


async def test_an_answer_of_a_closed_session_gets_no_note(driver: StoreDriver) -> None:
    """The answers of a closed session stay empty, without a note about the deletion."""
    claim = await driver.answer(mention("hello"), "hi")
    await posted(driver, claim, "1.5")
    await driver.reset(claim.thread, claim.author)
    await driver.accept_deletion(deletion("1.5"))

    assert await answer_of(driver, claim.turn_id) is None


async def test_deleting_a_summarised_answer_voids_the_summary(driver: StoreDriver) -> None:
    """The summary may repeat the deleted answer."""
    claim = await driver.answer(mention("hello"), "the code is 4711")
    await posted(driver, claim, "1.5")
    assert claim.session_id is not None
    compaction = await driver.store.run(summaries.begin, driver.lease(), claim.session_id)
    assert compaction is not None
    part = SummaryPart(0, 0, claim.turn_id, "4711 was told")
    assert await driver.store.run(summaries.finish, compaction, part, several=False)

    await driver.accept_deletion(deletion("1.5"))

    assert (await driver.store.run(summaries.window_of, claim.session_id)).summary == ""
