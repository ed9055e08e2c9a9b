"""A worker that stops: running turns are finished or handed back, and others wait for another process."""

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
from tests.support.store_driver import StoreDriver
from tests.support.work_layer import MAX_ATTEMPTS, WIDE, Echo, WorkLayer


async def test_a_stopping_worker_finishes_running_turns(work_layer: WorkLayer, llm: ScriptedLLM) -> None:
    """Running turns are finished. Messages that are accepted later are stored for the next process."""
    hold = PausedStep()
    llm.script(hold, "hello")
    await work_layer.inbox.accept(mention("hi", "1.0"))
    await hold.reached()
    stopping = asyncio.create_task(work_layer.worker.stop(drain_seconds=20))
    await asyncio.sleep(0)
    assert await work_layer.inbox.accept(reply("and?", "2.0"))
    hold.release()
    await stopping

    assert work_layer.adapter.replies[THREAD] == ["hello"]
    assert [turn.state for turn in await work_layer.turns()] == ["answered"]


async def test_an_unfinished_turn_is_handed_back(work_layer: WorkLayer, llm: ScriptedLLM, clock: SettableClock) -> None:
    """Another process can take over an unfinished turn at once."""
    hold = PausedStep()
    llm.script("Let me ", hold)
    await work_layer.inbox.accept(mention("hi"))
    await hold.reached()
    await work_layer.worker.stop(drain_seconds=0)
    assert work_layer.adapter.replies[THREAD] == []
    next_process = WorkLayer(work_layer.store, llm, clock, owner="next")
    llm.script("hello")
    await next_process.worker.poll()

    assert await next_process.adapter.shown(THREAD) == ["hello"]
    await next_process.worker.stop(drain_seconds=5)


async def test_a_claim_that_was_under_way_is_handed_back(store: Store, clock: SettableClock) -> None:
    """A claim that is committed during the shutdown leaves no lease behind."""
    leaving, staying = (WorkLayer(store, Echo(), clock, owner=owner) for owner in ("leaving", "staying"))
    for turns_of_the_loop in range(6):
        leaving = WorkLayer(store, Echo(), clock, owner=f"leaving {turns_of_the_loop}", adapter=leaving.adapter)
        leaving.adapter.may_write.clear()
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
    """A rolling deploy does not use up a turn's attempts."""
    for number in range(MAX_ATTEMPTS + 1):
        hold = PausedStep()
        llm.script(hold)
        replica = WorkLayer(store, llm, clock, owner=f"replica {number}")
        await (replica.worker.poll() if number else replica.inbox.accept(mention("hi")))
        await hold.reached()
        await replica.worker.stop(drain_seconds=0)
    last = WorkLayer(store, llm, clock, owner="last")
    llm.script("hello")
    await last.worker.poll()

    assert await last.adapter.shown(THREAD) == ["hello"]
    await last.worker.idle()


async def test_no_queued_thread_begins_during_a_shutdown(store: Store, llm: ScriptedLLM, clock: SettableClock) -> None:
    """No queued thread starts when there is room again, and a slow status call does not delay the shutdown."""
    work_layer = WorkLayer(store, llm, clock, limits=dataclasses.replace(WIDE, total=1))
    work_layer.adapter.status_available.clear()
    hold = PausedStep()
    llm.script(hold, "hello")
    await work_layer.inbox.accept(mention("hi", in_=thread(1)))
    await hold.reached()
    await work_layer.inbox.accept(mention("hi", in_=thread(2)))
    await work_layer.adapter.until(lambda: bool(work_layer.adapter.shown_waiting))
    stopping = asyncio.create_task(work_layer.worker.stop(drain_seconds=20))
    await asyncio.sleep(0)
    hold.release()
    await stopping

    assert list(work_layer.adapter.replies) == [thread(1)]
    assert [turn.state for turn in await work_layer.turns()] == ["answered"]


async def test_no_unclaimed_turn_begins_during_a_shutdown(empty_sqlite_url: str, clock: SettableClock) -> None:
    """Turns whose claim is under way are answered. The other due threads wait for another process."""
    store, go_on = Store(empty_sqlite_url), threading.Event()
    work_layer, driver = WorkLayer(store, Echo(), clock), StoreDriver(store, clock)
    owed = [QueueEntry(await driver.accepted(mention("hi", in_=thread(number))), "T1", "U-ANA") for number in range(50)]
    busy = await busied(store, go_on)
    for each in owed:
        work_layer.worker.wake(each)
    for _ in range(5):
        await asyncio.sleep(0)
    stopping = asyncio.create_task(work_layer.worker.stop(drain_seconds=20))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(busy, stopping)

    assert len(work_layer.adapter.replies) == CLAIMS_AT_ONCE
    assert [turn.state for turn in await work_layer.turns()] == ["answered"] * CLAIMS_AT_ONCE
    await store.close()


async def test_an_idle_worker_stops_at_once(store: Store, clock: SettableClock) -> None:
    """An idle worker stops at once, also while a status call is running."""
    work_layer = WorkLayer(store, Echo(), clock, limits=dataclasses.replace(WIDE, total=1))
    work_layer.adapter.status_available.clear()
    for number in (1, 2):
        await work_layer.inbox.accept(mention("hi", in_=thread(number)))
    await work_layer.worker.idle()
    assert not work_layer.worker.stopping
    await work_layer.worker.stop(drain_seconds=20)

    assert work_layer.worker.stopping
    assert len(asyncio.all_tasks()) == 1
