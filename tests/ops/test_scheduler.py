"""The scheduled jobs: any replica may run them, and they survive a database that is unavailable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
import sqlalchemy as sa

from bot.config.settings import Settings
from bot.domain import texts
from bot.domain.sessions import IdleLimits, Interrupted
from bot.ops.expiry_warnings import ExpiryWarnings
from bot.ops.scheduler import EXPIRE_BATCH, PURGE_BATCH, Scheduler
from bot.services import open_platform_services
from bot.store import stored_bytes
from bot.store.engine import Store
from bot.store.purge import TURNS_BATCH
from bot.store.sessions import BYTES_PER_STEP
from bot.store.tables import SESSIONS, TURNS
from bot.testing import PausedStep, ScriptedLLM, SettableClock
from bot.turns.erased_files import ErasedFiles
from tests.support.builders import DAY, THREAD, mention, stop, thread
from tests.support.recording_adapter import RecordingAdapter
from tests.support.store_driver import StoreDriver, add_sessions
from tests.support.transactions import changed_rows
from tests.support.work_layer import Echo, WorkLayer


def scheduler_of(work_layer: WorkLayer, clock: SettableClock) -> Scheduler:
    """Return the scheduler of this work layer."""
    scheduler = Scheduler(
        work_layer.store, work_layer.leases, clock=clock.now, idle=IdleLimits(DAY), retention=14 * DAY
    )
    scheduler.add_platform_jobs(work_layer.failed_deliveries, ErasedFiles(work_layer.store, [work_layer.adapter]))
    return scheduler


def jobs(scheduler: Scheduler) -> dict[str, Callable[[], Awaitable[None]]]:
    """Return the jobs by name."""
    return {job.name: job.func for job in scheduler._scheduler.get_jobs()}  # noqa: SLF001 - not waiting for its time


async def test_all_idle_sessions_are_closed_in_batches(work_layer: WorkLayer, clock: SettableClock) -> None:
    """One run closes batch after batch until none is left."""
    await work_layer.store.run(add_sessions, EXPIRE_BATCH + 1)
    clock.advance(2 * DAY)
    scheduler = scheduler_of(work_layer, clock)

    assert await scheduler.expire() == EXPIRE_BATCH + 1
    assert await scheduler.expire() == 0


async def test_active_sessions_stay_open(work_layer: WorkLayer, driver: StoreDriver, clock: SettableClock) -> None:
    """Only sessions that exceed the limit are closed."""
    await driver.answer(mention("old", in_=thread(1)))
    clock.advance(DAY + timedelta(minutes=1))
    await driver.answer(mention("new", in_=thread(2)))

    assert await scheduler_of(work_layer, clock).expire() == 1
    assert [row.closed_why for row in await driver.rows(SESSIONS)] == ["expired", None]


async def test_each_job_has_its_effect(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """The job `poll_for_work` answers an owed message, and `expire_sessions` closes an idle session."""
    scheduler = scheduler_of(work_layer, clock)
    scheduler.take_over(work_layer.worker)
    by_name = jobs(scheduler)
    await driver.accept(mention("hi"))
    llm.script("hello")
    await by_name["poll_for_work"]()
    assert await work_layer.adapter.shown(THREAD) == ["hello"]
    await work_layer.worker.idle()
    clock.advance(2 * DAY)
    await by_name["expire_sessions"]()

    assert [row.closed_why for row in await driver.rows(SESSIONS)] == ["expired"]
    assert sorted(by_name) == [
        "delete_erased_files",
        "erase_closed_sessions",
        "expire_sessions",
        "free_leases",
        "poll_for_work",
        "poll_interruptions",
        "purge_rows",
        "renew_leases",
        "settle_unserved",
        "store_failed_deliveries",
        "vacuum",
    ]


async def test_the_warning_is_a_job_only_with_the_setting(
    work_layer: WorkLayer, driver: StoreDriver, clock: SettableClock
) -> None:
    """With EXPIRY_WARNING_MINUTES the job posts warnings; without it the job does not exist."""
    ahead = timedelta(minutes=30)
    idle = IdleLimits(DAY)
    warnings = ExpiryWarnings(work_layer.store, [work_layer.adapter], clock=clock.now, idle=idle, ahead=ahead)
    scheduler = Scheduler(work_layer.store, work_layer.leases, clock=clock.now, idle=idle, retention=DAY)
    files = ErasedFiles(work_layer.store, [work_layer.adapter])
    scheduler.add_platform_jobs(work_layer.failed_deliveries, files, warnings)
    await driver.answer(mention("hello"))
    clock.advance(DAY - ahead / 2)
    await jobs(scheduler)["warn_of_expiry"]()

    assert [place for place, _ in work_layer.adapter.notified] == [THREAD]
    assert "warn_of_expiry" not in jobs(scheduler_of(work_layer, clock))


async def test_old_rows_are_deleted_in_batches(
    work_layer: WorkLayer, driver: StoreDriver, clock: SettableClock
) -> None:
    """One run deletes batch after batch until no row is older than the retention."""
    await work_layer.store.run(add_sessions, PURGE_BATCH + 1)
    scheduler = scheduler_of(work_layer, clock)
    clock.advance(2 * DAY)
    await scheduler.expire()
    clock.advance(14 * DAY)
    assert await scheduler.purge() == 0
    clock.advance(timedelta(seconds=1))

    assert await scheduler.purge() == PURGE_BATCH + 1
    assert await driver.rows(SESSIONS) == []


async def test_jobs_change_few_rows_in_each_transaction(
    work_layer: WorkLayer, driver: StoreDriver, clock: SettableClock
) -> None:
    """Expiry and purge take many short transactions, however many turns a session has."""
    await driver.answer(mention("hello"))
    [turn] = await driver.rows(TURNS)
    turns = [{**turn._mapping, "id": 100 + number} for number in range(2 * TURNS_BATCH)]  # noqa: SLF001 - documented
    await driver.store.run(sa.Connection.execute, sa.insert(TURNS), turns)
    await driver.store.run(stored_bytes.add, "s1", 2 * BYTES_PER_STEP)
    scheduler, changed = scheduler_of(work_layer, clock), changed_rows(driver.store.engine)
    clock.advance(2 * DAY)
    assert await scheduler.expire() == 1
    assert max(changed) < 10
    await scheduler.erase_closed_sessions()
    assert [turn.answer for turn in await driver.rows(TURNS) if turn.answer] == []
    clock.advance(20 * DAY)
    assert await scheduler.purge() == 1

    assert await driver.rows(TURNS) == []
    assert max(changed) < 2 * TURNS_BATCH


class SlowToVacuum(Store):
    """A store whose vacuum takes two seconds, with a clock."""

    vacuums, seconds = 0, 0.0

    async def vacuum(self) -> float:
        """See Store.vacuum."""
        self.vacuums += 1
        return 2.0


async def test_a_slow_vacuum_runs_less_often(empty_sqlite_url: str, clock: SettableClock) -> None:
    """A vacuum blocks writers, so it may take at most a thousandth of the time."""
    store = SlowToVacuum(empty_sqlite_url)
    work_layer = WorkLayer(store, Echo(), clock)
    scheduler = Scheduler(
        store,
        work_layer.leases,
        clock=clock.now,
        idle=IdleLimits(DAY),
        retention=DAY,
        time=lambda: store.seconds,
    )
    await scheduler.vacuum()
    store.seconds += 1_999
    await scheduler.vacuum()
    assert store.vacuums == 1
    store.seconds += 1
    await scheduler.vacuum()

    assert store.vacuums == 2
    await store.close()


async def test_a_job_survives_an_absent_database(clock: SettableClock, caplog: pytest.LogCaptureFixture) -> None:
    """The job logs an event and returns without an error, so that it runs again."""
    work_layer = WorkLayer(Store("postgresql://127.0.0.1:1/none"), Echo(), clock)
    scheduler = scheduler_of(work_layer, clock)
    scheduler.take_over(work_layer.worker)
    for name in ("expire_sessions", "poll_for_work"):
        await jobs(scheduler)[name]()
        assert (caplog.messages[-1], vars(caplog.records[-1])["job"]) == ("job_postponed", name)
    await work_layer.store.close()


async def test_leases_are_renewed_and_stops_are_polled_until_the_last_turn_has_ended(
    database_url: str, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """While a process drains, these jobs continue until the worker has stopped."""
    adapter, hold = RecordingAdapter(), PausedStep()
    settings = Settings.load({"DATABASE_URL": database_url})
    async with AsyncExitStack() as stack:
        opening = open_platform_services(settings, [adapter], clock=clock.now, llm=llm)
        services = await stack.enter_async_context(opening)
        llm.script("Let me ", hold)
        await services.inbox.accept(mention("hi", "1.0"))
        await hold.reached()
        closing = asyncio.create_task(stack.pop_all().aclose())
        await asyncio.sleep(0)
        assert services.worker.stopping
        await StoreDriver(services.store, clock).accept_stop(stop("2.0"))

        assert await adapter.shown(THREAD) == [f"Let me \n\n{texts.interrupted(Interrupted.STOPPED)}"]
        await closing
    assert not services.scheduler.running


async def test_a_late_job_runs_and_runs_once(work_layer: WorkLayer, clock: SettableClock) -> None:
    """After a pause of the machine each job runs once, and never twice at the same time."""
    scheduler = scheduler_of(work_layer, clock)
    scheduler.start()
    scheduled = scheduler._scheduler.get_jobs()  # noqa: SLF001 - how a job is scheduled cannot be seen elsewhere

    assert {(job.misfire_grace_time, job.coalesce, job.max_instances) for job in scheduled} == {(None, True, 1)}
    scheduler.stop()
