"""Summaries in the store: one writer at a time, never moving back, gone with the words they hold. On both databases."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from bot.domain.events import Author
from bot.prompt.history import WHOLE_HISTORY, HistoryWindow, Turn, Utterance
from bot.prompt.thread_context import NO_THREAD_CONTEXT, EarlierMessage, ThreadContext
from bot.store import history as settled_turns
from bot.store import summaries, thread_context
from bot.store.claims import Claim, settle
from bot.store.settlement import Settlement, TurnState
from bot.store.summaries import CompactionClaim
from bot.store.tables import SUMMARIES
from tests.support.builders import ANA, BEN, DAY, THREAD, deletion, edit, mention, reply
from tests.support.store_driver import Books

LEASE = timedelta(minutes=5)
SECOND = timedelta(seconds=1)


class Sessions:
    """Summaries of the thread's session, as a test writes them."""

    def __init__(self, books: Books) -> None:
        self.books = books

    async def turns(self, count: int) -> list[Claim]:
        """So many settled turns."""
        return [await self.books.answer(mention(f"question {n}", f"{n}.0"), f"answer {n}") for n in range(1, count + 1)]

    async def begin(self, session_id: str = "s1") -> CompactionClaim | None:
        """The right to write the summary, if it is free."""
        return await self.books.store.run(summaries.begin, self.books.lease("one", LEASE), session_id)

    async def began(self) -> CompactionClaim:
        """The right to write the summary, which must be free."""
        folding = await self.begin()
        assert folding is not None
        return folding

    async def finish(self, folding: CompactionClaim, reaches: int, text: str = "The code is 7319.") -> bool:
        """Whether the summary was stored."""
        run = self.books.store.run
        return await run(summaries.finish, folding, text, reaches=reaches, several=False)

    async def cut(self, session_id: str = "s1") -> HistoryWindow:
        """Where the session is cut now."""
        return await self.books.store.run(summaries.cut_of, session_id)


@pytest.fixture
def sessions(books: Books) -> Sessions:
    """The thread's sessions."""
    return Sessions(books)


async def test_a_summary_is_stored_and_the_session_shown_from_behind_it(books: Books, sessions: Sessions) -> None:
    """The next turn finds the summary, and the turns that it does not hold."""
    turns = await sessions.turns(3)
    assert await sessions.finish(await sessions.began(), turns[1].turn_id)
    now = await books.claimed(await books.accepted(reply("now", "9.0")))
    past = await books.store.run(settled_turns.before, "s1", now.turn_id, budget_tokens=1_000)

    assert past.window == HistoryWindow(turns[1].turn_id, "The code is 7319.", turns[1].turn_id)
    assert past.turns == (Turn((Utterance("U-ANA", "question 3"),), "answer 3"),)


async def test_what_is_to_be_folded_is_read_oldest_first(books: Books, sessions: Sessions) -> None:
    """The turns after one and until another, each with its id."""
    first, second, third, _ = [claim.turn_id for claim in await sessions.turns(4)]
    found = await books.store.run(settled_turns.oldest, "s1", after=first, until=third)

    assert [turn.id for turn in found] == [second, third]
    assert [turn.answer for turn in found] == ["answer 2", "answer 3"]


async def test_one_at_a_time_writes_a_summary(books: Books, sessions: Sessions) -> None:
    """Also among replicas that begin at the same moment; whoever died is waited for no longer than the lease."""
    await sessions.turns(1)
    begun = [folding for folding in await asyncio.gather(*(sessions.begin() for _ in range(4))) if folding]
    assert len(begun) == 1
    assert await sessions.begin() is None
    await books.lapse()

    assert await sessions.begin() is not None


async def test_whoever_was_too_slow_changes_nothing(books: Books, sessions: Sessions) -> None:
    """The summary of the one who took over stays."""
    [turn] = await sessions.turns(1)
    slow = await sessions.began()
    await books.lapse()
    quick = await sessions.began()

    assert await sessions.finish(quick, turn.turn_id, "quick")
    assert not await sessions.finish(slow, turn.turn_id, "slow")
    assert (await sessions.cut()).summary == "quick"


async def test_the_next_begins_at_once_when_one_is_stored_or_given_up(books: Books, sessions: Sessions) -> None:
    """It finds what was written last."""
    [turn] = await sessions.turns(1)
    await books.store.run(summaries.give_up, await sessions.began())
    assert await sessions.finish(await sessions.began(), turn.turn_id)

    assert (await sessions.began()).cut == HistoryWindow(turn.turn_id, "The code is 7319.", turn.turn_id)


async def test_a_cut_is_stored_with_the_turn_that_made_it(books: Books) -> None:
    """So that every replica shows the next turn from there on; it never moves back."""
    for number, after in enumerate([7, 5]):
        claim = await books.claimed(await books.accepted(mention("hi", f"{number}.0")))
        settled = Settlement(TurnState.ANSWERED, "hello", cut=HistoryWindow(after, several=after == 7))
        await books.store.run(settle, claim, settled, now=books.now)

    assert await books.store.run(summaries.cut_of, "s1") == HistoryWindow(7, several=True)


async def test_a_summary_that_comes_after_a_cut_does_not_move_it_back(books: Books, sessions: Sessions) -> None:
    """What was cut meanwhile is not shown again; the next summary reaches further."""
    first, second = await sessions.turns(2)
    folding = await sessions.began()
    await books.store.run(summaries.move, "s1", HistoryWindow(second.turn_id))
    await sessions.finish(folding, first.turn_id)

    assert await sessions.cut() == HistoryWindow(second.turn_id, "The code is 7319.", first.turn_id)


@pytest.mark.parametrize("how", ["reset", "expiry"])
async def test_a_summary_goes_with_its_session(books: Books, sessions: Sessions, how: str) -> None:
    """Nothing of it is left, nor is stored any more what was being written."""
    [turn] = await sessions.turns(1)
    await sessions.finish(await sessions.began(), turn.turn_id)
    late = await sessions.began()
    if how == "reset":
        await books.reset(THREAD, ANA)
    else:
        books.now += DAY + SECOND
        await books.sweep()

    assert not await sessions.finish(late, turn.turn_id)
    assert await sessions.begin() is None
    assert await books.store.run(lambda connection: connection.execute(SUMMARIES.select()).all()) == []


async def test_a_turn_that_was_cut_off_leaves_no_cut(books: Books) -> None:
    """After a reset a late answer is discarded, and so is what it would have cut."""
    claim = await books.claimed(await books.accepted(mention("hi", "1.0")))
    await books.reset(THREAD, ANA)
    await books.store.run(settle, claim, Settlement(TurnState.ANSWERED, "hello", cut=HistoryWindow(7)), now=books.now)

    assert await books.store.run(summaries.cut_of, "s1") == WHOLE_HISTORY


async def test_a_deletion_voids_the_summary_that_holds_the_message(books: Books, sessions: Sessions) -> None:
    """Its words are gone; what is not shown any more stays so, and waits for a new summary."""
    first, second = await sessions.turns(2)
    await sessions.finish(await sessions.began(), first.turn_id)
    await books.accept_deletion(deletion("2.0"))
    assert (await sessions.cut()).summary
    await books.accept_deletion(deletion("1.0"))

    assert await sessions.cut() == HistoryWindow(first.turn_id)
    assert second.turn_id > first.turn_id


async def edited(books: Books) -> None:
    """What was asked first is another question now."""
    await books.accept_edit(edit("another question", "5.0"))


async def forgotten(books: Books) -> None:
    """Who asked first is not known any more."""
    await books.forget(ANA)


async def edited_before(books: Books) -> None:
    """What was said before the bot was called is something else now."""
    await books.accept_edit(edit("who knows VPNs?", "1.0"))


async def deleted_before(books: Books) -> None:
    """What was said before the bot was called is gone."""
    await books.accept_deletion(deletion("1.0"))


async def called_before(books: Books) -> None:
    """What was said before the bot was called is a question to it now."""
    await books.accept_edit(dataclasses.replace(edit("@bot who knows printers?", "1.0"), calls_bot=True))


async def forgotten_before(books: Books) -> None:
    """Who spoke before the bot was called is not known any more."""
    await books.forget(BEN)


@pytest.mark.parametrize(
    "taken_back", [edited, forgotten, edited_before, deleted_before, called_before, forgotten_before]
)
async def test_whatever_takes_a_word_back_voids_the_summary(
    books: Books, sessions: Sessions, taken_back: Callable[[Books], Awaitable[None]]
) -> None:
    """Also of what people said before the bot was called, which is folded with the turn that it stands with."""
    claim = await books.claimed(await books.accepted(mention("my secret", "5.0")))
    said = ThreadContext((EarlierMessage("1.0", BEN.id, "who knows printers?"),))
    await books.store.run(thread_context.keep, claim.thread_id, "s1", claim.turn_id, said)
    await books.settle(claim)
    await books.answer(reply("and mine", "6.0", by=Author("U-CAY", "T1")))
    await sessions.finish(await sessions.began(), claim.turn_id)
    assert (await sessions.cut()).summary
    await taken_back(books)

    assert (await sessions.cut()).summary == ""


async def edited_later(books: Books) -> None:
    """What was asked last is another question now."""
    await books.accept_edit(edit("another question", "2.0"))


async def deleted_later(books: Books) -> None:
    """What was asked last is gone."""
    await books.accept_deletion(deletion("2.0"))


async def forgotten_later(books: Books) -> None:
    """Who asked last is not known any more."""
    await books.forget(BEN)


@pytest.mark.parametrize("being_written", [False, True])
@pytest.mark.parametrize("taken_back", [edited_later, deleted_later, forgotten_later])
async def test_a_summary_survives_what_happens_to_later_turns(
    books: Books, sessions: Sessions, taken_back: Callable[[Books], Awaitable[None]], *, being_written: bool
) -> None:
    """Whether or not the next one is being written, or failed: only that one, which may hold the word, is not kept."""
    first = await books.answer(mention("my code is 7319", "1.0"))
    last = await books.answer(reply("and now?", "2.0", by=BEN))
    await sessions.finish(await sessions.began(), first.turn_id)
    late = await sessions.began() if being_written else None
    await taken_back(books)

    assert await sessions.cut() == HistoryWindow(first.turn_id, "The code is 7319.", first.turn_id)
    assert late is None or not await sessions.finish(late, last.turn_id, "and now?")
    assert (await sessions.began()).cut.summary == "The code is 7319."


async def test_what_was_said_before_is_folded_with_its_turn(books: Books) -> None:
    """It is read with it, and with no other."""
    claim = await books.claimed(await books.accepted(mention("well?", "5.0")))
    said = ThreadContext((EarlierMessage("1.0", BEN.id, "who knows printers?"),))
    await books.store.run(thread_context.keep, claim.thread_id, "s1", claim.turn_id, said)
    await books.settle(claim)
    last = await books.answer(reply("go on", "6.0"))
    turns = await books.store.run(settled_turns.oldest, "s1", after=0, until=last.turn_id)

    assert [turn.thread_context for turn in turns] == [said, NO_THREAD_CONTEXT]


async def test_a_deletion_voids_a_summary_that_is_being_written(books: Books, sessions: Sessions) -> None:
    """It may hold the word already; the next one begins at once, and does not."""
    [turn] = await sessions.turns(1)
    late = await sessions.began()
    await books.accept_deletion(deletion("1.0"))

    assert not await sessions.finish(late, turn.turn_id)
    again = await sessions.began()
    assert again == dataclasses.replace(late, fence=again.fence)


async def test_summaries_hold_what_databases_take(sessions: Sessions) -> None:
    """A model may write anything."""
    [turn] = await sessions.turns(1)
    assert await sessions.finish(await sessions.began(), turn.turn_id, "a\0b\ud800")

    assert (await sessions.cut()).summary == "ab?"
