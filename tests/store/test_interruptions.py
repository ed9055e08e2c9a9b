"""Stops, deletions, resets and uninstalls: running turns are marked, and waiting messages get no answer."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import event

from bot.domain import texts as wording
from bot.domain.events import Author, Uninstalled
from bot.domain.sessions import Interrupted, ResetOutcome, StopOutcome
from bot.store import claims, erasure, leases
from bot.store.engine import Store
from bot.store.settlement import TurnState
from bot.store.tables import MESSAGES, SESSIONS, THREADS, TURNS
from bot.testing import SettableClock
from tests.support.builders import ANA, BEN, DIRECT, THREAD, deletion, edit, mention, reply, reset, stop, thread
from tests.support.store_driver import StoreDriver, add_sessions, is_waiting_for_lock, texts
from tests.support.timeouts import GENEROUS_S

GONE = Uninstalled("chat", "T1")


async def interruptions(driver: StoreDriver, owner: str = "one") -> list[tuple[int, int, Interrupted]]:
    """Return the interruptions that this owner reads."""
    return await driver.store.run(leases.interruptions, owner)


async def states(driver: StoreDriver) -> list[tuple[str, str | None]]:
    """Return the state and the answer of every turn."""
    return [(turn.state, turn.answer) for turn in await driver.rows(TURNS)]


@pytest.mark.parametrize(("message_id", "by"), [("2.0", ANA), (None, BEN)], ids=["written", "button"])
async def test_only_the_turns_owner_reads_a_stop(driver: StoreDriver, message_id: str | None, by: Author) -> None:
    """Only the turn's owner reads the stop.

    The turn runs until its owner settles it. The text so far is kept, and the command gets no other reply.
    """
    claim = await driver.claimed(await driver.accepted(mention("hello", by=ANA)))
    assert await driver.accept_stop(stop(message_id, by=by)) is StopOutcome.STOPPED

    assert await interruptions(driver) == [(claim.thread_id, claim.fence, Interrupted.STOPPED)]
    assert await interruptions(driver, "two") == []
    assert await driver.settle(claim, "half a", TurnState.STOPPED)
    assert await interruptions(driver) == []
    assert await states(driver) == [("stopped", "half a")]
    assert await driver.claim(claim.thread_id) is None


async def test_a_bystanders_stop_is_refused(driver: StoreDriver) -> None:
    """Neither the running turn nor a waiting message is stopped, and the command gets a reply."""
    claim = await driver.claimed(await driver.accepted(mention("hello", "1.0", by=ANA)))
    await driver.accepted(reply("more", "2.0", by=ANA))
    assert await driver.accept_stop(stop("3.0", by=BEN)) is StopOutcome.NOT_YOURS
    assert await interruptions(driver) == []
    assert await driver.settle(claim)

    answering = await driver.claimed(claim.thread_id)
    assert texts(answering) == ["more"]
    await driver.settle(answering)
    assert (await driver.claimed(claim.thread_id)).fixed_reply is StopOutcome.NOT_YOURS


async def test_a_complete_answer_is_kept_in_spite_of_a_late_stop(driver: StoreDriver) -> None:
    """An answer that is complete when the worker reads the stop is stored as answered."""
    claim = await driver.claimed(await driver.accepted(mention("hello")))
    await driver.accept_stop(stop("2.0"))

    assert await driver.settle(claim, "whole")
    assert await states(driver) == [("answered", "whole")]


async def test_a_stop_before_the_answer_has_begun_is_confirmed_and_stored(driver: StoreDriver) -> None:
    """The waiting messages get no answer. The history says that they were stopped."""
    thread_id = await driver.accepted(mention("hello", "1.0"))
    await driver.accepted(reply("more", "2.0"))
    assert await driver.accept_stop(stop("3.0")) is StopOutcome.NOT_BEGUN
    confirmation = await driver.claimed(thread_id)
    assert (confirmation.fixed_reply, texts(confirmation)) == (StopOutcome.NOT_BEGUN, [])
    await driver.settle(confirmation, "confirmed")

    [stopped] = await driver.past(await driver.claimed(await driver.accepted(reply("again", "4.0"))))
    assert [message.text for message in stopped.messages] == ["hello", "more"]
    assert stopped.answer == wording.interrupted(Interrupted.STOPPED)


async def test_messages_after_a_stop_are_answered(driver: StoreDriver) -> None:
    """A stop ends only the running turn. The session stays open."""
    claim = await driver.claimed(await driver.accepted(mention("hello", "1.0")))
    await driver.accept_stop(stop("2.0"))
    await driver.accepted(reply("differently:", "3.0"))
    await driver.settle(claim, "half a", TurnState.STOPPED)

    after = await driver.claimed(claim.thread_id)
    assert (texts(after), after.session_id, after.interrupted) == (["differently:"], "s1", None)


@pytest.mark.parametrize("answered", [False, True], ids=["a line of ours runs", "nothing runs"])
async def test_a_stop_without_a_running_turn_gets_a_reply(driver: StoreDriver, *, answered: bool) -> None:
    """Without a running turn, a sentence says so. A stop does not end the confirmation of a command."""
    await driver.answer(mention("hello", "1.0"))
    await driver.accept_reset(reset("2.0"))
    confirmation = await driver.claimed(1)
    if answered:
        await driver.settle(confirmation)
    assert await driver.accept_stop(stop("3.0")) is StopOutcome.NOTHING_RUNS
    assert await interruptions(driver) == []
    await driver.settle(confirmation)

    assert (await driver.claimed(1)).fixed_reply is StopOutcome.NOTHING_RUNS


async def test_a_stop_button_without_a_running_turn_changes_nothing(driver: StoreDriver) -> None:
    """A press of the Stop button without a running turn changes nothing, in known and unknown threads."""
    assert await driver.accept_stop(stop()) is None
    claim = await driver.answer(mention("hello"))
    assert await driver.accept_stop(stop()) is StopOutcome.NOTHING_RUNS

    assert await driver.claim(claim.thread_id) is None
    assert len(await driver.rows(THREADS)) == len(await driver.rows(MESSAGES)) == 1


async def test_a_stop_delivered_again_ends_no_later_turn(driver: StoreDriver) -> None:
    """A redelivered stop is a duplicate and does not end a later turn."""
    first = await driver.claimed(await driver.accepted(mention("hello", "1.0")))
    await driver.accept_stop(stop("2.0"))
    await driver.settle(first, "half a", TurnState.STOPPED)
    await driver.claimed(await driver.accepted(reply("again", "3.0")))

    assert await driver.accept_stop(stop("2.0")) is None
    assert await interruptions(driver) == []


async def test_a_late_stop_ends_nothing_written_after_it(driver: StoreDriver) -> None:
    """A late stop ends neither the running turn of a later message nor a later waiting message."""
    await driver.answer(mention("hello", "1.0"))
    thread_id = await driver.accepted(reply("again", "3.0"))
    assert await driver.accept_stop(stop("2.0")) is StopOutcome.NOTHING_RUNS
    await driver.settle(await driver.claimed(thread_id), "confirmed")
    claim = await driver.claimed(thread_id)
    assert texts(claim) == ["again"]
    assert await driver.accept_stop(stop("2.5")) is StopOutcome.NOTHING_RUNS

    assert await interruptions(driver) == []


async def test_a_button_that_is_delivered_again_ends_no_later_answer(driver: StoreDriver) -> None:
    """A press that is older than the question does not end its turn."""
    await driver.answer(mention("hello", "1.0"))
    pressed = dataclasses.replace(stop(), asked_at="2.0")
    await driver.accept_stop(pressed)
    await driver.claimed(await driver.accepted(reply("again", "3.0")))

    assert await driver.accept_stop(pressed) is StopOutcome.NOTHING_RUNS
    assert await interruptions(driver) == []


async def test_a_bare_stop_where_the_bot_takes_no_part_is_ignored(driver: StoreDriver) -> None:
    """A bare `!stop` in a thread without the bot is ignored.

    A stop with a mention, or in a direct message, gets a reply.
    """
    assert await driver.accept_stop(stop("1.0")) is None
    assert await driver.rows(THREADS) == []

    assert await driver.accept_stop(dataclasses.replace(stop("1.0"), mentions_bot=True)) is StopOutcome.NOTHING_RUNS
    assert await driver.accept_stop(stop("1.0", in_=DIRECT)) is StopOutcome.NOTHING_RUNS


async def test_a_stop_does_not_restore_the_answer_of_a_reset_session(driver: StoreDriver) -> None:
    """The late answer of a closed session is discarded, even if a stop follows the reset."""
    claim = await driver.claimed(await driver.accepted(mention("hello", "1.0")))
    await driver.reset(THREAD, ANA)
    await driver.accept_stop(stop("2.0"))

    assert [why for *_, why in await interruptions(driver)] == [Interrupted.RESET]
    assert not await driver.settle(claim, "my secret", TurnState.STOPPED)
    assert await states(driver) == [("superseded", None)]


async def forgotten(driver: StoreDriver) -> None:
    await driver.forget(BEN)


async def deleted(driver: StoreDriver) -> None:
    await driver.accept_deletion(deletion("2.0"))


async def edited(driver: StoreDriver) -> None:
    await driver.accept_edit(edit("it is another one now", "2.0"))


@pytest.mark.parametrize("stopped_first", [False, True])
@pytest.mark.parametrize("taken_back", [forgotten, deleted, edited])
async def test_a_stop_does_not_restore_the_answer_to_a_changed_question(
    driver: StoreDriver, taken_back: Callable[[StoreDriver], Awaitable[None]], *, stopped_first: bool
) -> None:
    """An edit or deletion and a stop come in any order. Only the note that the turn was stopped is stored."""
    thread_id = await driver.accepted(mention("hello", "1.0", by=ANA))
    await driver.accepted(reply("my PIN is 1234", "2.0", by=BEN))
    claim = await driver.claimed(thread_id)
    if stopped_first:
        await driver.accept_stop(stop("3.0", by=ANA))
    await taken_back(driver)
    if not stopped_first:
        await driver.accept_stop(stop("3.0", by=ANA))

    assert await driver.settle(claim, "1234 is a poor\n\n_(Stopped.)_", TurnState.STOPPED)
    assert await states(driver) == [("stopped", wording.interrupted(Interrupted.STOPPED))]


async def test_a_takeover_reads_the_reason_of_an_interruption(driver: StoreDriver) -> None:
    """The first owner's late answer is refused. The next turn is not interrupted."""
    claim = await driver.claimed(await driver.accepted(mention("hello", "1.0")))
    await driver.accept_stop(stop("2.0"))
    again = await driver.taken_over(claim)

    assert (again.interrupted, again.attempt, again.message_id) == (Interrupted.STOPPED, 2, "1.0")
    assert not await driver.settle(claim, "late")
    assert await driver.settle(again, "(stopped)", TurnState.STOPPED)
    assert (await driver.claimed(await driver.accepted(reply("next", "3.0")))).interrupted is None


async def test_a_reset_while_a_turn_runs_waits_for_its_end(driver: StoreDriver) -> None:
    """The turn's owner settles it first. The confirmation follows, and then the new session."""
    claim = await driver.claimed(await driver.accepted(mention("hello", "1.0")))
    assert await driver.accept_reset(reset("2.0")) is ResetOutcome.DONE
    await driver.accepted(reply("anew", "3.0"))
    assert await driver.claim(claim.thread_id, "two") is None
    again = await driver.taken_over(claim)
    assert (again.turn_id, again.interrupted) == (claim.turn_id, Interrupted.RESET)
    assert not await driver.settle(again, "my secret")

    confirmation = await driver.claimed(claim.thread_id)
    assert confirmation.fixed_reply is ResetOutcome.DONE
    await driver.settle(confirmation)
    assert (await driver.claimed(claim.thread_id)).session_id == "s2"


async def test_a_deleted_message_that_waits_is_not_answered(driver: StoreDriver) -> None:
    """The deleted message is erased. The other messages of its turn are answered."""
    thread_id = await driver.accepted(mention("my secret", "1.0"))
    await driver.accepted(reply("hello", "2.0"))

    assert not await driver.accept_deletion(deletion("1.0"))
    claim = await driver.claimed(thread_id)
    assert texts(claim) == ["hello"]
    assert "secret" not in repr(await driver.rows(MESSAGES))
    await driver.settle(claim)
    await driver.accepted(reply("never mind", "3.0"))
    await driver.accept_deletion(deletion("3.0"))
    assert await driver.claim(thread_id) is None


async def test_the_deletion_of_all_questions_ends_the_answer(driver: StoreDriver) -> None:
    """If one of two messages is deleted, the turn restarts. If both are deleted, it ends and its texts are erased."""
    thread_id = await driver.accepted(mention("one", "1.0"))
    await driver.accepted(reply("two", "2.0"))
    claim = await driver.claimed(thread_id)

    assert await driver.accept_deletion(deletion("1.0"))
    assert [why for *_, why in await interruptions(driver)] == [Interrupted.EDITED]
    assert texts(await driver.taken_over(claim, "one")) == ["two"]
    assert await interruptions(driver) == []
    assert await driver.accept_deletion(deletion("2.0"))
    assert [why for *_, why in await interruptions(driver)] == [Interrupted.DELETED]
    assert not await driver.settle(await driver.taken_over(claim), "to nobody")
    assert await states(driver) == [("superseded", None)]


async def test_the_deletion_of_an_answered_message_ends_no_turn(driver: StoreDriver) -> None:
    """The message and its answer leave the history. A running turn continues."""
    await driver.answer(mention("my secret", "1.0"), "known")
    claim = await driver.claimed(await driver.accepted(reply("hello", "2.0")))

    assert not await driver.accept_deletion(deletion("1.0"))
    assert await interruptions(driver) == []
    assert await driver.past(claim) == []


@pytest.mark.parametrize("deleted", ["2.0", "9.0"], ids=["the command", "unknown"])
async def test_the_deletion_of_a_command_or_of_something_unknown_changes_nothing(
    driver: StoreDriver, deleted: str
) -> None:
    """The deletion interrupts no turn, and the confirmation of a reset stays."""
    await driver.answer(mention("hello", "1.0"))
    await driver.accept_reset(reset("2.0"))
    assert not await driver.accept_deletion(deletion(deleted))
    confirmation = await driver.claimed(1)
    assert not await driver.accept_deletion(deletion(deleted))

    assert confirmation.fixed_reply is ResetOutcome.DONE
    assert await interruptions(driver) == []
    assert await driver.settle(confirmation)


async def test_a_deletion_in_a_thread_without_the_bot_leaves_no_row(driver: StoreDriver) -> None:
    """A deletion in a thread without the bot stores nothing."""
    assert not await driver.accept_deletion(deletion("1.0"))

    assert await driver.rows(THREADS) == []


async def test_an_uninstall_ends_everything_in_that_workspace_and_nothing_elsewhere(driver: StoreDriver) -> None:
    """Running turns end, waiting messages get no answer, all texts are erased, and the bot leaves all threads."""
    running = await driver.claimed(await driver.accepted(mention("my secret", in_=thread(1))))
    await driver.accepted(mention("my secret", in_=thread(2)))
    await driver.answer(mention("my secret", in_=thread(3)), "your secret")
    elsewhere = dataclasses.replace(THREAD, workspace="T2")
    theirs = await driver.accepted(mention("hello", in_=elsewhere))
    await driver.store.run(erasure.leave, GONE, now=driver.now)

    assert await interruptions(driver) == [(running.thread_id, running.fence, Interrupted.UNINSTALLED)]
    assert not await driver.settle(running, "my secret")
    assert [row.closed_why for row in await driver.rows(SESSIONS)] == [*["uninstalled"] * 3, None]
    assert "secret" not in repr([*await driver.rows(MESSAGES), *await driver.rows(TURNS)])
    assert [await driver.claim(number) for number in (1, 2, 3)] == [None] * 3
    assert texts(await driver.claimed(theirs)) == ["hello"]
    assert [row.engaged for row in await driver.rows(THREADS)] == [False, False, False, True]


async def test_an_uninstall_of_a_large_workspace_fits_into_its_statements(driver: StoreDriver) -> None:
    """An uninstall closes any number of sessions, a few in each transaction."""
    await driver.store.run(add_sessions, erasure.CLOSE_BATCH + 1)
    parameters: list[int] = []
    event.listen(driver.store.engine, "before_cursor_execute", lambda *args: parameters.append(len(args[3])))
    after = await driver.store.run(erasure.leave, GONE, now=driver.now)
    while after is not None:
        after = await driver.store.run(erasure.leave, GONE, now=driver.now, after=after)

    assert erasure.CLOSE_BATCH <= max(parameters) < 2 * erasure.CLOSE_BATCH + 10
    assert {row.closed_why for row in await driver.rows(SESSIONS)} == {"uninstalled"}


async def test_an_uninstall_waits_for_a_claim_that_is_being_made(empty_postgres_url: str, clock: SettableClock) -> None:
    """An uninstall waits for a concurrent claim. Then it ends the claimed turn."""
    driver = StoreDriver(Store(empty_postgres_url, idle_transaction_s=GENEROUS_S), clock)
    thread_id = await driver.accepted(mention("hello"))
    with driver.store.engine.connect() as connection:
        claims.claim(connection, driver.lease("two"), thread_id)
        uninstalling = asyncio.create_task(driver.store.run(erasure.leave, GONE, now=driver.now))
        while not await driver.store.run(is_waiting_for_lock):
            pass
        connection.commit()
    await uninstalling

    assert [why for *_, why in await interruptions(driver, "two")] == [Interrupted.UNINSTALLED]
    await driver.store.close()


async def test_after_an_uninstall_the_bot_may_come_back(driver: StoreDriver) -> None:
    """A mention after a new installation opens a new session without history."""
    await driver.answer(mention("hello", "1.0"))
    await driver.store.run(erasure.leave, GONE, now=driver.now)
    assert await driver.accept(reply("anybody?", "2.0")) is None
    claim = await driver.claimed(await driver.accepted(mention("hello", "3.0")))

    assert (await driver.past(claim), claim.follows_expired) == ([], False)
