"""A worker that has to go: what runs is finished or handed back, what comes is left to others, and nobody waits."""

from __future__ import annotations

import asyncio
import dataclasses
import threading

from bot.store.engine import Store
from bot.store.leases import QueueEntry
from bot.testing import PausedStep, ScriptedLLM, SettableClock
from bot.turns.worker import CLAIMS_AT_ONCE
from tests.support.builders import THREAD, mention, reply, thread
from tests.support.interfered_store import busied
from tests.support.store_driver import Books
from tests.support.work_layer import MAX_ATTEMPTS, WIDE, Desk, Echo


async def test_to_stop_is_to_finish_what_runs(desk: Desk, llm: ScriptedLLM) -> None:
    """What runs comes to its end; what is accepted after that is stored for whoever starts next."""
    hold = PausedStep()
    llm.script(hold, "hello")
    await desk.inbox.accept(mention("hi", "1.0"))
    await hold.reached()
    stopping = asyncio.create_task(desk.worker.stop(drain_seconds=20))
    await asyncio.sleep(0)
    assert await desk.inbox.accept(reply("and?", "2.0"))
    hold.release()
    await stopping

    assert desk.adapter.replies[THREAD] == ["hello"]
    assert [turn.state for turn in await desk.turns()] == ["answered"]


async def test_what_does_not_finish_in_time_is_handed_back(desk: Desk, llm: ScriptedLLM, clock: SettableClock) -> None:
    """Another process can take it up at once."""
    hold = PausedStep()
    llm.script("Let me ", hold)
    await desk.inbox.accept(mention("hi"))
    await hold.reached()
    await desk.worker.stop(drain_seconds=0)
    assert desk.adapter.replies[THREAD] == []
    next_process = Desk(desk.store, llm, clock, owner="next")
    llm.script("hello")
    await next_process.worker.poll()

    assert await next_process.adapter.shown(THREAD) == ["hello"]
    await next_process.worker.stop(drain_seconds=5)


async def test_a_claim_that_was_under_way_is_handed_back(store: Store, clock: SettableClock) -> None:
    """However early the end comes, the thread is not left leased to somebody who is gone."""
    leaving, staying = (Desk(store, Echo(), clock, owner=owner) for owner in ("leaving", "staying"))
    for turns_of_the_loop in range(6):
        leaving = Desk(store, Echo(), clock, owner=f"leaving {turns_of_the_loop}", adapter=leaving.adapter)
        leaving.adapter.open.clear()
        await leaving.inbox.accept(mention("hi", in_=thread(turns_of_the_loop)))
        for _ in range(turns_of_the_loop):
            await asyncio.sleep(0)
        await leaving.worker.stop(drain_seconds=0)
    await staying.worker.poll()
    await staying.worker.idle()

    assert len(staying.adapter.replies) == 6


async def test_being_handed_back_is_no_failure_of_the_turn(
    store: Store, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """A deployment that replaces many replicas, one after the other, does not use a turn's attempts up."""
    for number in range(MAX_ATTEMPTS + 1):
        hold = PausedStep()
        llm.script(hold)
        replica = Desk(store, llm, clock, owner=f"replica {number}")
        await (replica.worker.poll() if number else replica.inbox.accept(mention("hi")))
        await hold.reached()
        await replica.worker.stop(drain_seconds=0)
    last = Desk(store, llm, clock, owner="last")
    llm.script("hello")
    await last.worker.poll()

    assert await last.adapter.shown(THREAD) == ["hello"]
    await last.worker.idle()


async def test_nothing_that_waits_in_line_begins(store: Store, llm: ScriptedLLM, clock: SettableClock) -> None:
    """It is left to others, also when there is room for it now; whoever is only being told to wait delays nothing."""
    desk = Desk(store, llm, clock, limits=dataclasses.replace(WIDE, total=1))
    desk.adapter.patient.clear()
    hold = PausedStep()
    llm.script(hold, "hello")
    await desk.inbox.accept(mention("hi", in_=thread(1)))
    await hold.reached()
    await desk.inbox.accept(mention("hi", in_=thread(2)))
    await desk.adapter.until(lambda: bool(desk.adapter.told_to_wait))
    stopping = asyncio.create_task(desk.worker.stop(drain_seconds=20))
    await asyncio.sleep(0)
    hold.release()
    await stopping

    assert list(desk.adapter.replies) == [thread(1)]
    assert [turn.state for turn in await desk.turns()] == ["answered"]


async def test_nothing_that_was_not_claimed_begins(empty_sqlite_url: str, clock: SettableClock) -> None:
    """Of many threads that are due, those are answered whose claim was on its way; the rest is left to others."""
    store, go_on = Store(empty_sqlite_url), threading.Event()
    desk, books = Desk(store, Echo(), clock), Books(store, clock)
    owed = [QueueEntry(await books.accepted(mention("hi", in_=thread(number))), "T1", "U-ANA") for number in range(50)]
    busy = await busied(store, go_on)
    for each in owed:
        desk.worker.wake(each)
    for _ in range(5):
        await asyncio.sleep(0)
    stopping = asyncio.create_task(desk.worker.stop(drain_seconds=20))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(busy, stopping)

    assert len(desk.adapter.replies) == CLAIMS_AT_ONCE
    assert [turn.state for turn in await desk.turns()] == ["answered"] * CLAIMS_AT_ONCE
    await store.close()


async def test_an_idle_worker_stops_at_once(store: Store, clock: SettableClock) -> None:
    """Also when somebody is just being told to wait: that dies with it."""
    desk = Desk(store, Echo(), clock, limits=dataclasses.replace(WIDE, total=1))
    desk.adapter.patient.clear()
    for number in (1, 2):
        await desk.inbox.accept(mention("hi", in_=thread(number)))
    await desk.worker.idle()
    assert not desk.worker.stopping
    await desk.worker.stop(drain_seconds=20)

    assert desk.worker.stopping
    assert len(asyncio.all_tasks()) == 1
