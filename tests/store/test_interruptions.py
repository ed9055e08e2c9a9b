"""Stop, deletion, reset and uninstall as they are stored: what runs is to end, what waits is not begun."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import event

from bot.domain import texts as wording
from bot.domain.events import Uninstalled
from bot.domain.sessions import Interrupted, ResetOutcome, StopOutcome
from bot.store import claims, erasure, leases
from bot.store.engine import Store
from bot.store.settlement import TurnState
from bot.store.tables import MESSAGES, SESSIONS, THREADS, TURNS
from bot.testing import SettableClock
from tests.support.builders import ANA, BEN, DIRECT, THREAD, deletion, edit, mention, reply, reset, stop, thread
from tests.support.store_driver import Books, add_sessions, somebody_waits, texts

GONE = Uninstalled("desk", "T1")


async def interruptions(books: Books, owner: str = "one") -> list[tuple[int, int, Interrupted]]:
    """What this owner hears."""
    return await books.store.run(leases.interruptions, owner)


async def states(books: Books) -> list[tuple[str, str | None]]:
    """What became of every turn, and its answer."""
    return [(turn.state, turn.answer) for turn in await books.rows(TURNS)]


@pytest.mark.parametrize("message_id", ["2.0", None], ids=["written", "button"])
async def test_a_stop_is_heard_by_whoever_runs_the_turn_and_by_nobody_else(
    books: Books, message_id: str | None
) -> None:
    """The turn runs on until its owner ends it; it keeps what was said, and whoever asked is owed no other line."""
    claim = await books.claimed(await books.accepted(mention("hello", by=ANA)))
    assert await books.accept_stop(stop(message_id, by=BEN)) is StopOutcome.STOPPED

    assert await interruptions(books) == [(claim.thread_id, claim.fence, Interrupted.STOPPED)]
    assert await interruptions(books, "two") == []
    assert await books.settle(claim, "half a", TurnState.STOPPED)
    assert await interruptions(books) == []
    assert await states(books) == [("stopped", "half a")]
    assert await books.claim(claim.thread_id) is None


async def test_an_answer_that_was_whole_before_the_stop_was_heard_stays(books: Books) -> None:
    """The person was too late; what stands in the thread is what is remembered."""
    claim = await books.claimed(await books.accepted(mention("hello")))
    await books.accept_stop(stop("2.0"))

    assert await books.settle(claim, "whole")
    assert await states(books) == [("answered", "whole")]


async def test_a_stop_before_the_answer_has_begun_is_told_and_remembered(books: Books) -> None:
    """What waits will not be answered; the model knows later that it was not."""
    thread_id = await books.accepted(mention("hello", "1.0"))
    await books.accepted(reply("more", "2.0"))
    assert await books.accept_stop(stop("3.0")) is StopOutcome.NOT_BEGUN
    confirmation = await books.claimed(thread_id)
    assert (confirmation.fixed_reply, texts(confirmation)) == (StopOutcome.NOT_BEGUN, [])
    await books.settle(confirmation, "told")

    [stopped] = await books.past(await books.claimed(await books.accepted(reply("again", "4.0"))))
    assert [said.text for said in stopped.messages] == ["hello", "more"]
    assert stopped.answer == wording.interrupted(Interrupted.STOPPED)


async def test_what_arrives_after_a_stop_is_answered(books: Books) -> None:
    """Only the turn that runs ends; the same session goes on."""
    claim = await books.claimed(await books.accepted(mention("hello", "1.0")))
    await books.accept_stop(stop("2.0"))
    await books.accepted(reply("differently:", "3.0"))
    await books.settle(claim, "half a", TurnState.STOPPED)

    after = await books.claimed(claim.thread_id)
    assert (texts(after), after.session_id, after.interrupted) == (["differently:"], "s1", None)


@pytest.mark.parametrize("answered", [False, True], ids=["a line of ours runs", "nothing runs"])
async def test_there_may_be_nothing_to_stop(books: Books, *, answered: bool) -> None:
    """Then a line says so: also while a command's confirmation is on its way, which is no answer to be ended."""
    await books.answer(mention("hello", "1.0"))
    await books.accept_reset(reset("2.0"))
    confirmation = await books.claimed(1)
    if answered:
        await books.settle(confirmation)
    assert await books.accept_stop(stop("3.0")) is StopOutcome.NOTHING_RUNS
    assert await interruptions(books) == []
    await books.settle(confirmation)

    assert (await books.claimed(1)).fixed_reply is StopOutcome.NOTHING_RUNS


async def test_a_button_where_nothing_runs_is_owed_nothing(books: Books) -> None:
    """There is no message that a line could answer; known or not, the thread stays as it is."""
    assert await books.accept_stop(stop()) is None
    claim = await books.answer(mention("hello"))
    assert await books.accept_stop(stop()) is StopOutcome.NOTHING_RUNS

    assert await books.claim(claim.thread_id) is None
    assert len(await books.rows(THREADS)) == len(await books.rows(MESSAGES)) == 1


async def test_a_stop_delivered_again_ends_no_later_turn(books: Books) -> None:
    """The message that asked is known; whatever runs by now is not what it meant."""
    first = await books.claimed(await books.accepted(mention("hello", "1.0")))
    await books.accept_stop(stop("2.0"))
    await books.settle(first, "half a", TurnState.STOPPED)
    await books.claimed(await books.accepted(reply("again", "3.0")))

    assert await books.accept_stop(stop("2.0")) is None
    assert await interruptions(books) == []


async def test_a_stop_that_arrives_late_ends_nothing_that_was_written_after_it(books: Books) -> None:
    """Slack promises no order: neither a running turn over a later message ends, nor one that waits."""
    await books.answer(mention("hello", "1.0"))
    thread_id = await books.accepted(reply("again", "3.0"))
    assert await books.accept_stop(stop("2.0")) is StopOutcome.NOTHING_RUNS
    await books.settle(await books.claimed(thread_id), "told")
    claim = await books.claimed(thread_id)
    assert texts(claim) == ["again"]
    assert await books.accept_stop(stop("2.5")) is StopOutcome.NOTHING_RUNS

    assert await interruptions(books) == []


async def test_a_button_that_is_delivered_again_ends_no_later_answer(books: Books) -> None:
    """It was pressed before that question was asked."""
    await books.answer(mention("hello", "1.0"))
    pressed = dataclasses.replace(stop(), asked_at="2.0")
    await books.accept_stop(pressed)
    await books.claimed(await books.accepted(reply("again", "3.0")))

    assert await books.accept_stop(pressed) is StopOutcome.NOTHING_RUNS
    assert await interruptions(books) == []


async def test_a_stop_where_the_bot_takes_no_part_is_for_somebody_else(books: Books) -> None:
    """A bare `!stop` among people leaves no trace; said to the bot, or in private, it is owed a line."""
    assert await books.accept_stop(stop("1.0")) is None
    assert await books.rows(THREADS) == []

    assert await books.accept_stop(dataclasses.replace(stop("1.0"), mentions_bot=True)) is StopOutcome.NOTHING_RUNS
    assert await books.accept_stop(stop("1.0", in_=DIRECT)) is StopOutcome.NOTHING_RUNS


async def test_a_stop_does_not_bring_back_what_a_reset_forgot(books: Books) -> None:
    """The late answer of a closed session is discarded, whatever else is asked for before it ends."""
    claim = await books.claimed(await books.accepted(mention("hello", "1.0")))
    await books.reset(THREAD, ANA)
    await books.accept_stop(stop("2.0"))

    assert [why for *_, why in await interruptions(books)] == [Interrupted.RESET]
    assert not await books.settle(claim, "my secret", TurnState.STOPPED)
    assert await states(books) == [("superseded", None)]


async def forgotten(books: Books) -> None:
    await books.forget(BEN)


async def deleted(books: Books) -> None:
    await books.accept_deletion(deletion("2.0"))


async def edited(books: Books) -> None:
    await books.accept_edit(edit("it is another one now", "2.0"))


@pytest.mark.parametrize("stopped_first", [False, True])
@pytest.mark.parametrize("taken_back", [forgotten, deleted, edited])
async def test_a_stop_does_not_bring_back_what_was_taken_back(
    books: Books, taken_back: Callable[[Books], Awaitable[None]], *, stopped_first: bool
) -> None:
    """Of an answer to words that nobody says any more only that it was stopped is kept, whichever came first."""
    thread_id = await books.accepted(mention("hello", "1.0", by=ANA))
    await books.accepted(reply("my PIN is 1234", "2.0", by=BEN))
    claim = await books.claimed(thread_id)
    if stopped_first:
        await books.accept_stop(stop("3.0", by=ANA))
    await taken_back(books)
    if not stopped_first:
        await books.accept_stop(stop("3.0", by=ANA))

    assert await books.settle(claim, "1234 is a poor\n\n_(Stopped.)_", TurnState.STOPPED)
    assert await states(books) == [("stopped", wording.interrupted(Interrupted.STOPPED))]


async def test_a_takeover_of_an_interrupted_turn_knows_why_it_ends(books: Books) -> None:
    """Its owner died before it could end it; its late word counts no more, and the next turn is not touched."""
    claim = await books.claimed(await books.accepted(mention("hello", "1.0")))
    await books.accept_stop(stop("2.0"))
    again = await books.taken_over(claim)

    assert (again.interrupted, again.attempt, again.message_id) == (Interrupted.STOPPED, 2, "1.0")
    assert not await books.settle(claim, "late")
    assert await books.settle(again, "(stopped)", TurnState.STOPPED)
    assert (await books.claimed(await books.accepted(reply("next", "3.0")))).interrupted is None


async def test_a_reset_while_a_turn_runs_waits_for_its_end(books: Books) -> None:
    """The turn stays its owner's until it has ended; then the confirmation comes, then the new session."""
    claim = await books.claimed(await books.accepted(mention("hello", "1.0")))
    assert await books.accept_reset(reset("2.0")) is ResetOutcome.DONE
    await books.accepted(reply("anew", "3.0"))
    assert await books.claim(claim.thread_id, "two") is None
    again = await books.taken_over(claim)
    assert (again.turn_id, again.interrupted) == (claim.turn_id, Interrupted.RESET)
    assert not await books.settle(again, "my secret")

    confirmation = await books.claimed(claim.thread_id)
    assert confirmation.fixed_reply is ResetOutcome.DONE
    await books.settle(confirmation)
    assert (await books.claimed(claim.thread_id)).session_id == "s2"


async def test_a_deleted_message_that_waits_is_not_answered(books: Books) -> None:
    """It is erased, and the others of its turn are answered without it."""
    thread_id = await books.accepted(mention("my secret", "1.0"))
    await books.accepted(reply("hello", "2.0"))

    assert not await books.accept_deletion(deletion("1.0"))
    claim = await books.claimed(thread_id)
    assert texts(claim) == ["hello"]
    assert "secret" not in repr(await books.rows(MESSAGES))
    await books.settle(claim)
    await books.accepted(reply("never mind", "3.0"))
    await books.accept_deletion(deletion("3.0"))
    assert await books.claim(thread_id) is None


async def test_the_deletion_of_all_that_is_asked_ends_the_answer(books: Books) -> None:
    """With one of two messages deleted the answer begins again; with both, the running turn is to end, forgotten."""
    thread_id = await books.accepted(mention("one", "1.0"))
    await books.accepted(reply("two", "2.0"))
    claim = await books.claimed(thread_id)

    assert await books.accept_deletion(deletion("1.0"))
    assert [why for *_, why in await interruptions(books)] == [Interrupted.EDITED]
    assert texts(await books.taken_over(claim, "one")) == ["two"]
    assert await interruptions(books) == []
    assert await books.accept_deletion(deletion("2.0"))
    assert [why for *_, why in await interruptions(books)] == [Interrupted.DELETED]
    assert not await books.settle(await books.taken_over(claim), "to nobody")
    assert await states(books) == [("superseded", None)]


async def test_the_deletion_of_an_answered_message_ends_nothing(books: Books) -> None:
    """What was said is gone from the history; the turn that runs meanwhile is not concerned."""
    await books.answer(mention("my secret", "1.0"), "known")
    claim = await books.claimed(await books.accepted(reply("hello", "2.0")))

    assert not await books.accept_deletion(deletion("1.0"))
    assert await interruptions(books) == []
    assert await books.past(claim) == []


@pytest.mark.parametrize("deleted", ["2.0", "9.0"], ids=["the command", "unknown"])
async def test_the_deletion_of_a_command_or_of_something_unknown_changes_nothing(books: Books, deleted: str) -> None:
    """The reset was done, and says so, while its confirmation waits as well as while it is said."""
    await books.answer(mention("hello", "1.0"))
    await books.accept_reset(reset("2.0"))
    assert not await books.accept_deletion(deletion(deleted))
    confirmation = await books.claimed(1)
    assert not await books.accept_deletion(deletion(deleted))

    assert confirmation.fixed_reply is ResetOutcome.DONE
    assert await interruptions(books) == []
    assert await books.settle(confirmation)


async def test_a_deletion_where_the_bot_never_was_leaves_no_trace(books: Books) -> None:
    """People delete messages everywhere."""
    assert not await books.accept_deletion(deletion("1.0"))

    assert await books.rows(THREADS) == []


async def test_an_uninstall_ends_everything_in_that_workspace_and_nothing_elsewhere(books: Books) -> None:
    """What runs ends, what waits is not begun, every word is erased; the bot takes part nowhere there."""
    running = await books.claimed(await books.accepted(mention("my secret", in_=thread(1))))
    await books.accepted(mention("my secret", in_=thread(2)))
    await books.answer(mention("my secret", in_=thread(3)), "your secret")
    elsewhere = dataclasses.replace(THREAD, workspace="T2")
    theirs = await books.accepted(mention("hello", in_=elsewhere))
    await books.store.run(erasure.leave, GONE, now=books.now)

    assert await interruptions(books) == [(running.thread_id, running.fence, Interrupted.UNINSTALLED)]
    assert not await books.settle(running, "my secret")
    assert [row.closed_why for row in await books.rows(SESSIONS)] == [*["uninstalled"] * 3, None]
    assert "secret" not in repr([*await books.rows(MESSAGES), *await books.rows(TURNS)])
    assert [await books.claim(number) for number in (1, 2, 3)] == [None] * 3
    assert texts(await books.claimed(theirs)) == ["hello"]
    assert [row.engaged for row in await books.rows(THREADS)] == [False, False, False, True]


async def test_an_uninstall_of_a_large_workspace_fits_into_its_statements(books: Books) -> None:
    """Databases bound the parameters of a statement; a workspace's open sessions are not bounded."""
    await books.store.run(add_sessions, erasure.CLOSE_BATCH + 1)
    parameters: list[int] = []
    event.listen(books.store.engine, "before_cursor_execute", lambda *args: parameters.append(len(args[3])))
    await books.store.run(erasure.leave, GONE, now=books.now)

    assert erasure.CLOSE_BATCH <= max(parameters) < erasure.CLOSE_BATCH + 10
    assert {row.closed_why for row in await books.rows(SESSIONS)} == {"uninstalled"}


async def test_an_uninstall_waits_for_a_claim_that_is_being_made(empty_postgres_url: str, clock: SettableClock) -> None:
    """A turn that another replica opens at this moment is seen, and ended."""
    books = Books(Store(empty_postgres_url), clock)
    thread_id = await books.accepted(mention("hello"))
    with books.store.engine.connect() as connection:
        claims.claim(connection, books.lease("two"), thread_id)
        uninstalling = asyncio.create_task(books.store.run(erasure.leave, GONE, now=books.now))
        while not await books.store.run(somebody_waits):
            pass
        connection.commit()
    await uninstalling

    assert [why for *_, why in await interruptions(books, "two")] == [Interrupted.UNINSTALLED]
    await books.store.close()


async def test_after_an_uninstall_the_bot_may_come_back(books: Books) -> None:
    """A mention opens a new session, which knows nothing and says nothing of what was before."""
    await books.answer(mention("hello", "1.0"))
    await books.store.run(erasure.leave, GONE, now=books.now)
    assert await books.accept(reply("anybody?", "2.0")) is None
    claim = await books.claimed(await books.accepted(mention("hello", "3.0")))

    assert (await books.past(claim), claim.follows_expired) == ([], False)
