"""What ends a worker's turn from outside: interruptions, wherever they were accepted, and a lease that was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from bot.domain import texts
from bot.domain.events import Event
from bot.domain.sessions import IdleLimits, Interrupted, ResetOutcome
from bot.errors import PlatformUnavailable
from bot.ops.scheduler import Scheduler
from bot.store import claims, leases
from bot.store.engine import Store
from bot.testing import PausedStep, ScriptedLLM, SettableClock
from bot.turns.leases import POLL_INTERRUPTIONS_EVERY_S
from tests.support.builders import DAY, THREAD, deletion, edit, mention, reply, reset, stop
from tests.support.interfered_store import InterferedStore
from tests.support.store_driver import Books
from tests.support.timeouts import GENEROUS_S
from tests.support.work_layer import Desk, Echo

STOPPED = texts.interrupted(Interrupted.STOPPED)


async def running(desk: Desk, llm: ScriptedLLM, *after: str) -> PausedStep:
    """A turn that has said something, and will say these words when it is let go on."""
    hold = PausedStep()
    llm.script("Let me ", hold, *after)
    await desk.inbox.accept(mention("hi", "1.0"))
    await hold.reached()
    return hold


async def test_a_stop_is_heard_on_whichever_replica_runs_the_turn(
    store: Store, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """Another process accepted it; this one looks often enough to end its answer within a second."""
    here, there = Desk(store, llm, clock, owner="here"), Desk(store, Echo(), clock, owner="there")
    await running(here, llm)
    scheduler = Scheduler(store, here.leases, clock=clock.now, idle=IdleLimits(DAY), retention=14 * DAY)
    scheduler.start()
    assert await there.inbox.accept(stop("2.0"))

    async with asyncio.timeout(GENEROUS_S):
        assert await here.adapter.shown(THREAD) == [f"Let me \n\n{STOPPED}"]
    await here.worker.idle()
    scheduler.stop()
    assert llm.closed_early == 1
    assert there.adapter.asked == []
    assert POLL_INTERRUPTIONS_EVERY_S <= 0.5


async def test_an_edit_is_heard_on_whichever_replica_runs_the_turn(
    store: Store, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """Its answer begins again, with what is asked now; the model's first stream is closed."""
    here, there = Desk(store, llm, clock, owner="here"), Desk(store, Echo(), clock, owner="there")
    await running(here, llm)
    llm.script("hello")
    assert await there.inbox.accept(edit("hi there"))
    await here.leases.poll_interruptions()
    await here.worker.idle()

    assert [call.messages[-1]["content"] for call in llm.calls] == ["hi", "hi there"]
    assert (llm.closed_early, here.adapter.replies[THREAD]) == (1, ["Let me ", "hello"])
    assert [(asked.message_id, asked.attempt) for asked in here.adapter.asked] == [("1.0", 1), ("1.0", 2)]
    assert [(turn.state, turn.answer) for turn in await here.turns()] == [("answered", "hello")]


async def test_an_edit_that_is_heard_too_late_counts_all_the_same(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """The first answer was whole by then; it is not settled, and the second stands in its place."""
    hold = await running(desk, llm, "see")
    llm.script("hello")
    await books.accept_edit(edit("hi there"))
    hold.release()
    await desk.worker.idle()

    assert llm.calls[-1].knows("hi there")
    assert [(turn.state, turn.answer) for turn in await desk.turns()] == [("answered", "hello")]


async def test_an_edit_before_the_first_word_asks_the_model_once(desk: Desk, llm: ScriptedLLM) -> None:
    """A turn that was claimed, but whose answer has not begun, begins with what is asked now."""
    desk.adapter.known.clear()
    await desk.inbox.accept(mention("what does <@U-BEN> say?", "1.0"))
    await desk.adapter.until(lambda: bool(desk.adapter.looked_up))
    llm.script("hello")
    assert await desk.inbox.accept(edit("and <@U-BEN>?"))
    desk.adapter.known.set()

    assert await desk.adapter.shown(THREAD) == ["hello"]
    assert [call.messages[-1]["content"] for call in llm.calls] == ["and @Somebody?"]


@pytest.mark.parametrize("asked", [reset("2.0"), deletion("1.0")], ids=["reset", "deletion"])
async def test_what_is_to_be_forgotten_is_forgotten_on_every_replica(
    store: Store, llm: ScriptedLLM, clock: SettableClock, asked: Event
) -> None:
    """The late answer is discarded even when its worker has not heard yet."""
    here, there = Desk(store, llm, clock, owner="here"), Desk(store, Echo(), clock, owner="there")
    hold = await running(here, llm, "see")
    await there.inbox.accept(asked)
    hold.release()
    await here.worker.idle()
    await there.worker.idle()

    assert here.adapter.replies[THREAD][0] == "Let me see"
    first = (await here.turns())[0]
    assert (first.state, first.answer) == ("superseded", None)


async def test_whoever_hears_late_does_not_end_the_next_turn(
    database_url: str, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """What is heard belongs to one claim: when that is over, nothing ends."""
    store = InterferedStore(database_url)
    desk, books = Desk(store, llm, clock), Books(store, clock)
    first = await running(desk, llm, "see")
    await desk.inbox.accept(reply("and?", "2.0"))
    await books.accept_stop(stop("3.0"))
    second = PausedStep()
    llm.script("hel", second, "lo")

    async def the_next_turn_runs(heard: Sequence[object]) -> None:
        assert heard
        first.release()
        await second.reached()

    store.after[leases.interruptions] = the_next_turn_runs
    await desk.leases.poll_interruptions()
    second.release()
    await desk.worker.idle()
    await store.close()

    assert desk.adapter.replies[THREAD] == ["Let me see", "hello"]


async def test_a_turn_whose_lease_was_lost_ends_without_a_word(
    store: Store, books: Books, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """Another worker has it now: this one's model is left, and what it would say is not said."""
    desk = Desk(store, llm, clock)
    await running(desk, llm)
    await books.lapse()
    theirs = await books.claimed(1, "another")
    await desk.leases.renew()
    await desk.worker.idle()

    assert (llm.closed_early, desk.adapter.replies[THREAD]) == (1, [])
    assert await books.claim(1, "a third") is None
    assert await books.settle(theirs)


async def test_whoever_has_not_noticed_that_its_lease_was_lost_settles_nothing(
    store: Store, books: Books, llm: ScriptedLLM, clock: SettableClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Its late answer is not remembered, and the turn stays the other worker's."""
    caplog.set_level("INFO")
    desk = Desk(store, llm, clock)
    hold = await running(desk, llm, "see")
    await books.lapse()
    theirs = await books.claimed(1, "another")
    hold.release()
    await desk.worker.idle()

    assert "answer_discarded" in caplog.messages
    assert await books.settle(theirs, "in time")
    assert [turn.answer for turn in await desk.turns()] == ["in time"]


async def test_a_renewal_that_comes_between_two_turns_ends_neither(
    database_url: str, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """The first was over when the database looked, the second began before the answer came: nothing was lost."""
    store = InterferedStore(database_url)
    desk = Desk(store, llm, clock)
    first, second = await running(desk, llm, "see"), PausedStep()

    async def the_first_ends() -> None:
        first.release()
        await desk.worker.idle()

    async def the_second_begins(held: set[int]) -> None:
        assert held == set()
        llm.script("hel", second, "lo")
        await desk.inbox.accept(reply("and?", "2.0"))
        await second.reached()

    store.before[leases.renew], store.after[leases.renew] = the_first_ends, the_second_begins
    await desk.leases.renew()
    second.release()
    await desk.worker.idle()
    await store.close()

    assert desk.adapter.replies[THREAD] == ["Let me see", "hello"]


async def test_a_renewal_that_comes_as_a_turn_ends_loses_nothing(
    database_url: str, llm: ScriptedLLM, clock: SettableClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Its lease was given up, not lost: the worker goes on with what came meanwhile."""
    store = InterferedStore(database_url)
    desk = Desk(store, llm, clock)
    hold = await running(desk, llm, "see")
    await desk.inbox.accept(reply("and?", "2.0"))
    llm.script("hello")
    store.after[claims.settle] = lambda _: desk.leases.renew()
    hold.release()
    await desk.worker.idle()
    await store.close()

    assert desk.adapter.replies[THREAD] == ["Let me see", "hello"]
    assert "lease_lost" not in caplog.messages


async def test_what_a_dead_worker_was_to_forget_leaves_no_fragment(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """Reset after its owner died: the takeover says nothing, but has the platform mend what stands there."""
    await books.claimed(await books.accepted(mention("hi", "1.0")), "somebody who dies")
    await desk.inbox.accept(reset("2.0"))
    await desk.worker.idle()
    assert desk.adapter.asked == []
    await books.lapse()
    await desk.worker.poll()
    await desk.worker.idle()

    assert [(asked.message_id, asked.attempt) for asked in desk.adapter.asked] == [("1.0", 2), ("2.0", 1)]
    assert desk.adapter.replies[THREAD] == [texts.reset(ResetOutcome.DONE)]
    assert llm.calls == []


async def test_a_stop_while_the_platform_is_away_is_told_when_it_is_back(
    desk: Desk, books: Books, llm: ScriptedLLM
) -> None:
    """Nobody runs the turn then; whoever takes it up says that it was stopped, and asks the model nothing."""
    desk.adapter.failures = [PlatformUnavailable("the platform cannot be reached")]
    await desk.inbox.accept(mention("hi", "1.0"))
    await desk.worker.idle()
    await desk.inbox.accept(stop("2.0"))
    await books.lapse()
    await desk.worker.poll()

    assert await desk.adapter.shown(THREAD) == [STOPPED]
    assert llm.calls == []


async def test_a_lease_that_is_not_renewed_in_time_ends_the_turn(
    store: Store, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """Frozen, or without a database, nobody knows whose the turn is: it ends before its lease does, in silence."""
    desk = Desk(store, llm, clock, lease=timedelta(seconds=3))
    hold = PausedStep()
    llm.script(hold, "never said")
    await desk.inbox.accept(mention("hello"))
    await hold.reached()
    await desk.worker.idle()

    assert llm.closed_early == 1
    assert [turn.state for turn in await desk.turns()] == ["running"]
    assert not any(desk.adapter.replies.values())
