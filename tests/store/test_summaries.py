"""Summaries in the store: one writer at a time; a window never moves back; erased texts void them.

On both databases.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest

from bot.domain.events import Author
from bot.prompt.history import WHOLE_HISTORY, HistoryWindow, Turn, Utterance
from bot.prompt.summary_parts import ADOPTED, FAN, SummaryPart, next_to_write
from bot.prompt.thread_context import NO_THREAD_CONTEXT, EarlierMessage, ThreadContext
from bot.store import history as settled_turns
from bot.store import summaries, thread_context
from bot.store.claims import Claim, settle
from bot.store.settlement import Settlement, TurnState
from bot.store.summaries import CompactionClaim
from bot.store.tables import SUMMARIES, SUMMARY_PARTS
from tests.support.builders import ANA, BEN, DAY, THREAD, deletion, edit, mention, reply
from tests.support.store_driver import StoreDriver

LEASE = timedelta(minutes=5)
SECOND = timedelta(seconds=1)


class Sessions:
    """Helpers for the summaries of one session."""

    def __init__(self, driver: StoreDriver) -> None:
        self.driver = driver

    async def turns(self, count: int) -> list[Claim]:
        """Answer so many turns. Return their claims."""
        return [
            await self.driver.answer(mention(f"question {n}", f"{n}.0"), f"answer {n}") for n in range(1, count + 1)
        ]

    async def begin(self, session_id: str = "s1") -> CompactionClaim | None:
        """Lease the next summary, if it is free."""
        return await self.driver.store.run(summaries.begin, self.driver.lease("one", LEASE), session_id)

    async def began(self) -> CompactionClaim:
        """Lease the next summary, which must be free."""
        compaction = await self.begin()
        assert compaction is not None
        return compaction

    async def finish(self, compaction: CompactionClaim, reaches: int, text: str = "The code is 7319.") -> bool:
        """Store a summary. Return whether it was stored."""
        run = self.driver.store.run
        part = SummaryPart(0, compaction.window.reaches, reaches, text)
        return await run(summaries.finish, compaction, part, several=False)

    async def summed_up(self, count: int) -> list[int]:
        """Answer so many turns, and write a part for each, "part 1" and so on, and those that merge them."""
        turn_ids = [claim.turn_id for claim in await self.turns(count)]
        await self.write_all(turn_ids, "part")
        return turn_ids

    async def write_all(self, turn_ids: Sequence[int], word: str) -> list[SummaryPart]:
        """Write all parts that are missing; return them."""
        written: list[SummaryPart] = []
        while (compaction := await self.began()) and (part := next_to_write(compaction.parts, turn_ids[-1])):
            reaches = part.reaches if part.merges else next(turn for turn in turn_ids if turn > part.after)
            number = turn_ids.index(reaches) + 1
            text = f"all to {number}" if part.merges else f"{word} {number}"
            written.append(dataclasses.replace(part, reaches=reaches, text=text))
            assert await self.driver.store.run(summaries.finish, compaction, written[-1], several=False)
        await self.driver.store.run(summaries.give_up, compaction)
        return written

    async def window(self, session_id: str = "s1") -> HistoryWindow:
        """Return the session's window."""
        return await self.driver.store.run(summaries.window_of, session_id)


@pytest.fixture
def sessions(driver: StoreDriver) -> Sessions:
    """Return the helpers for the first session."""
    return Sessions(driver)


async def test_the_next_turn_has_the_summary_and_the_turns_after_it(driver: StoreDriver, sessions: Sessions) -> None:
    """A stored summary replaces the turns that it covers."""
    turns = await sessions.turns(3)
    assert await sessions.finish(await sessions.began(), turns[1].turn_id)
    now = await driver.claimed(await driver.accepted(reply("now", "9.0")))
    past = await driver.store.run(settled_turns.before, "s1", now.turn_id, budget_tokens=1_000)

    assert past.window == HistoryWindow(turns[1].turn_id, "The code is 7319.", turns[1].turn_id)
    assert past.turns == (Turn((Utterance("U-ANA", "question 3"),), "answer 3"),)


async def test_turns_to_summarise_are_read_oldest_first(driver: StoreDriver, sessions: Sessions) -> None:
    """The read returns the turns after one id and up to another, oldest first, each with its id."""
    first, second, third, _ = [claim.turn_id for claim in await sessions.turns(4)]
    found = await driver.store.run(settled_turns.oldest, "s1", after=first, until=third)

    assert [turn.id for turn in found] == [second, third]
    assert [turn.answer for turn in found] == ["answer 2", "answer 3"]


async def test_one_replica_at_a_time_writes_a_summary(driver: StoreDriver, sessions: Sessions) -> None:
    """One of several concurrent replicas gets the lease. The lease of a dead replica expires."""
    await sessions.turns(1)
    begun = [compaction for compaction in await asyncio.gather(*(sessions.begin() for _ in range(4))) if compaction]
    assert len(begun) == 1
    assert await sessions.begin() is None
    await driver.lapse()

    assert await sessions.begin() is not None


async def test_a_writer_that_lost_its_lease_changes_nothing(driver: StoreDriver, sessions: Sessions) -> None:
    """A writer whose lease was taken over cannot replace the newer summary."""
    [turn] = await sessions.turns(1)
    slow = await sessions.began()
    await driver.lapse()
    quick = await sessions.began()

    assert await sessions.finish(quick, turn.turn_id, "quick")
    assert not await sessions.finish(slow, turn.turn_id, "slow")
    assert (await sessions.window()).summary == "quick"


async def test_the_lease_of_a_summary_ends_when_it_is_stored_or_given_up(
    driver: StoreDriver, sessions: Sessions
) -> None:
    """The next writer can begin at once. It reads the newest summary."""
    [turn] = await sessions.turns(1)
    await driver.store.run(summaries.give_up, await sessions.began())
    assert await sessions.finish(await sessions.began(), turn.turn_id)

    assert (await sessions.began()).window == HistoryWindow(turn.turn_id, "The code is 7319.", turn.turn_id)


async def test_a_window_is_stored_with_the_turn_that_moved_it(driver: StoreDriver) -> None:
    """Every replica shows the next turn from the stored window. The window never moves back."""
    for number, after in enumerate([7, 5]):
        claim = await driver.claimed(await driver.accepted(mention("hi", f"{number}.0")))
        settled = Settlement(TurnState.ANSWERED, "hello", new_window=HistoryWindow(after, several=after == 7))
        await driver.store.run(settle, claim, settled, now=driver.now)

    assert await driver.store.run(summaries.window_of, "s1") == HistoryWindow(7, several=True)


async def test_a_late_summary_does_not_move_the_window_back(driver: StoreDriver, sessions: Sessions) -> None:
    """Turns that were dropped meanwhile stay hidden. The next summary covers them."""
    first, second = await sessions.turns(2)
    compaction = await sessions.began()
    await driver.store.run(summaries.move, "s1", HistoryWindow(second.turn_id))
    await sessions.finish(compaction, first.turn_id)

    assert await sessions.window() == HistoryWindow(second.turn_id, "The code is 7319.", first.turn_id)


@pytest.mark.parametrize("how", ["reset", "expiry"])
async def test_closing_a_session_erases_its_summary(driver: StoreDriver, sessions: Sessions, how: str) -> None:
    """A closed session has no summary. A summary that is being written is not stored."""
    [turn] = await sessions.turns(1)
    await sessions.finish(await sessions.began(), turn.turn_id)
    late = await sessions.began()
    if how == "reset":
        await driver.reset(THREAD, ANA)
    else:
        driver.now += DAY + SECOND
        await driver.sweep()

    assert not await sessions.finish(late, turn.turn_id)
    assert await sessions.begin() is None
    assert await driver.rows(SUMMARIES) == []
    assert await driver.rows(SUMMARY_PARTS) == []


async def test_a_discarded_turn_does_not_move_the_window(driver: StoreDriver) -> None:
    """After a reset, both the late answer and its window are discarded."""
    claim = await driver.claimed(await driver.accepted(mention("hi", "1.0")))
    await driver.reset(THREAD, ANA)
    await driver.store.run(
        settle, claim, Settlement(TurnState.ANSWERED, "hello", new_window=HistoryWindow(7)), now=driver.now
    )

    assert await driver.store.run(summaries.window_of, "s1") == WHOLE_HISTORY


async def test_a_deletion_voids_the_summary_that_holds_the_message(driver: StoreDriver, sessions: Sessions) -> None:
    """The summary's text is erased. The turns before the window stay hidden until there is a new summary."""
    first, second = await sessions.turns(2)
    await sessions.finish(await sessions.began(), first.turn_id)
    await driver.accept_deletion(deletion("2.0"))
    assert (await sessions.window()).summary
    await driver.accept_deletion(deletion("1.0"))

    assert await sessions.window() == HistoryWindow(first.turn_id)
    assert second.turn_id > first.turn_id


async def edited(driver: StoreDriver) -> None:
    """Edit the first question."""
    await driver.accept_edit(edit("another question", "5.0"))


async def forgotten(driver: StoreDriver) -> None:
    """Erase the author of the first question."""
    await driver.forget(ANA)


async def edited_before(driver: StoreDriver) -> None:
    """Edit a message of the thread context."""
    await driver.accept_edit(edit("who knows VPNs?", "1.0"))


async def deleted_before(driver: StoreDriver) -> None:
    """Delete a message of the thread context."""
    await driver.accept_deletion(deletion("1.0"))


async def called_before(driver: StoreDriver) -> None:
    """Edit a message of the thread context, so that it mentions the bot."""
    await driver.accept_edit(dataclasses.replace(edit("@bot who knows printers?", "1.0"), calls_bot=True))


async def forgotten_before(driver: StoreDriver) -> None:
    """Erase an author of the thread context."""
    await driver.forget(BEN)


@pytest.mark.parametrize(
    "taken_back", [edited, forgotten, edited_before, deleted_before, called_before, forgotten_before]
)
async def test_a_changed_text_voids_the_summary(
    driver: StoreDriver, sessions: Sessions, taken_back: Callable[[StoreDriver], Awaitable[None]]
) -> None:
    """A change of a question, or of the thread context that is summarised with it, voids the summary."""
    claim = await driver.claimed(await driver.accepted(mention("my secret", "5.0")))
    context = ThreadContext((EarlierMessage("1.0", BEN.id, "who knows printers?"),))
    await driver.store.run(thread_context.save, claim.thread_id, "s1", claim.turn_id, context)
    await driver.settle(claim)
    await driver.answer(reply("and mine", "6.0", by=Author("U-CAY", "T1")))
    await sessions.finish(await sessions.began(), claim.turn_id)
    assert (await sessions.window()).summary
    await taken_back(driver)

    assert (await sessions.window()).summary == ""


async def edited_later(driver: StoreDriver) -> None:
    """Edit the last question."""
    await driver.accept_edit(edit("another question", "2.0"))


async def deleted_later(driver: StoreDriver) -> None:
    """Delete the last question."""
    await driver.accept_deletion(deletion("2.0"))


async def forgotten_later(driver: StoreDriver) -> None:
    """Erase the author of the last question."""
    await driver.forget(BEN)


@pytest.mark.parametrize("being_written", [False, True])
@pytest.mark.parametrize("taken_back", [edited_later, deleted_later, forgotten_later])
async def test_a_summary_survives_changes_of_later_turns(
    driver: StoreDriver,
    sessions: Sessions,
    taken_back: Callable[[StoreDriver], Awaitable[None]],
    *,
    being_written: bool,
) -> None:
    """A change of a later turn voids no stored summary, only one that is being written and may hold the text."""
    first = await driver.answer(mention("my code is 7319", "1.0"))
    last = await driver.answer(reply("and now?", "2.0", by=BEN))
    await sessions.finish(await sessions.began(), first.turn_id)
    late = await sessions.began() if being_written else None
    await taken_back(driver)

    assert await sessions.window() == HistoryWindow(first.turn_id, "The code is 7319.", first.turn_id)
    assert late is None or not await sessions.finish(late, last.turn_id, "and now?")
    assert (await sessions.began()).window.summary == "The code is 7319."


async def test_the_thread_context_is_summarised_with_its_turn(driver: StoreDriver) -> None:
    """The thread context is read with its own turn and with no other turn."""
    claim = await driver.claimed(await driver.accepted(mention("well?", "5.0")))
    context = ThreadContext((EarlierMessage("1.0", BEN.id, "who knows printers?"),))
    await driver.store.run(thread_context.save, claim.thread_id, "s1", claim.turn_id, context)
    await driver.settle(claim)
    last = await driver.answer(reply("go on", "6.0"))
    turns = await driver.store.run(settled_turns.oldest, "s1", after=0, until=last.turn_id)

    assert [turn.thread_context for turn in turns] == [context, NO_THREAD_CONTEXT]


async def test_a_deletion_voids_a_summary_that_is_being_written(driver: StoreDriver, sessions: Sessions) -> None:
    """The summary may hold the deleted text, so it is not stored. The next one begins at once."""
    [turn] = await sessions.turns(1)
    late = await sessions.began()
    await driver.accept_deletion(deletion("1.0"))

    assert not await sessions.finish(late, turn.turn_id)
    again = await sessions.began()
    assert again == dataclasses.replace(late, fence=again.fence)


async def test_summaries_lose_characters_that_databases_refuse(sessions: Sessions) -> None:
    """Characters that a database refuses are removed from a summary."""
    [turn] = await sessions.turns(1)
    assert await sessions.finish(await sessions.began(), turn.turn_id, "a\0b\ud800")

    assert (await sessions.window()).summary == "ab?"


async def test_a_changed_turn_voids_its_own_parts_only(driver: StoreDriver, sessions: Sessions) -> None:
    """The other parts are shown until the void ones are written again: one of each level."""
    turn_ids = await sessions.summed_up(FAN + 1)
    assert await sessions.window() == HistoryWindow(turn_ids[-1], "all to 8\n\npart 9", turn_ids[-1])
    await driver.accept_edit(edit("another question", "3.0"))

    shown = [f"part {number}" for number in range(1, FAN + 2) if number != 3]
    assert await sessions.window() == HistoryWindow(turn_ids[-1], "\n\n".join(shown), turn_ids[1])
    written = await sessions.write_all(turn_ids, "again")
    assert [(part.level, part.text) for part in written] == [(0, "again 3"), (1, "all to 8")]
    assert [each.text for each in written[1].merges] == ["part 1", "part 2", "again 3", *shown[2:7]]
    assert await sessions.window() == HistoryWindow(turn_ids[-1], "all to 8\n\npart 9", turn_ids[-1])


async def test_no_row_keeps_the_words_of_a_changed_turn(driver: StoreDriver, sessions: Sessions) -> None:
    """The parts that hold them are emptied, also those that are merged and not shown."""
    await sessions.summed_up(FAN)
    await driver.accept_deletion(deletion("2.0"))

    texts = [row.text for row in await driver.rows(SUMMARY_PARTS)]
    assert sorted(filter(None, texts)) == [f"part {number}" for number in (1, *range(3, FAN + 1))]
    assert texts.count(None) == 2


async def test_an_erasure_of_many_turns_voids_the_parts_of_all(driver: StoreDriver, sessions: Sessions) -> None:
    """Parts of other people's turns stay."""
    turn_ids = await sessions.summed_up(3)
    other = await driver.answer(reply("and mine", "9.0", by=BEN))
    await sessions.write_all([*turn_ids, other.turn_id], "part")
    await driver.forget(ANA)

    assert await sessions.window() == HistoryWindow(other.turn_id, "part 4")


async def of_the_previous_version(driver: StoreDriver, *, reaches: int, text: str) -> None:
    """Write a summary as the previous version does, which knows no parts."""
    values = {"reaches": reaches, "shown_after": reaches, "text": text}
    await driver.store.run(lambda connection: connection.execute(SUMMARIES.update().values(values)))


async def test_a_summary_of_the_previous_version_becomes_a_part(driver: StoreDriver, sessions: Sessions) -> None:
    """It is shown as it is. When one of its turns changes, its turns are summed up again."""
    turn_ids = [claim.turn_id for claim in await sessions.turns(4)]
    await sessions.write_all(turn_ids[:2], "part")
    await of_the_previous_version(driver, reaches=turn_ids[2], text="all of it")
    assert (await sessions.began()).parts == (SummaryPart(ADOPTED, 0, turn_ids[2], "all of it"),)
    await driver.lapse()
    await sessions.write_all(turn_ids, "part")
    assert (await sessions.window()).summary == "all of it\n\npart 4"
    await driver.accept_edit(edit("another question", "2.0"))
    assert await sessions.window() == HistoryWindow(turn_ids[3], "part 4")
    await sessions.write_all(turn_ids, "again")

    assert (await sessions.window()).summary == "again 1\n\nagain 2\n\nagain 3\n\npart 4"


async def test_a_change_by_the_previous_version_voids_all_parts(driver: StoreDriver, sessions: Sessions) -> None:
    """The previous version empties the summary and leaves its parts, which may hold the words, too."""
    await sessions.summed_up(2)
    await of_the_previous_version(driver, reaches=0, text="")

    assert (await sessions.began()).parts == ()
    assert await driver.rows(SUMMARY_PARTS) == []


async def test_parts_go_with_the_summary(driver: StoreDriver, sessions: Sessions) -> None:
    """The previous version deletes them, too, when it closes a session."""
    await sessions.summed_up(2)
    await driver.store.run(lambda connection: connection.execute(SUMMARIES.delete()))

    assert await driver.rows(SUMMARY_PARTS) == []
