"""The scheduler's jobs: each a sweep that any replica may run, none of which ends because of a bad moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from bot.config.settings import Settings
from bot.domain import texts
from bot.domain.sessions import IdleLimits, Interrupted
from bot.ops.expiry_warnings import ExpiryWarnings
from bot.ops.scheduler import EXPIRE_BATCH, EXPUNGE_BATCH, Scheduler
from bot.services import open_platform_services
from bot.store.engine import Store
from bot.store.tables import sessions
from bot.testing import PausedStep, ScriptedLLM, SettableClock
from tests.support.builders import DAY, THREAD, mention, stop, thread
from tests.support.recording_adapter import RecordingAdapter
from tests.support.store_driver import Books, add_sessions
from tests.support.work_layer import Desk, Echo


def scheduler_of(desk: Desk, clock: SettableClock) -> Scheduler:
    """The scheduler of this desk."""
    scheduler = Scheduler(desk.store, desk.leases, clock=clock.now, idle=IdleLimits(DAY), retention=14 * DAY)
    scheduler.add_platform_jobs(desk.worker, desk.failed_deliveries)
    return scheduler


def jobs(scheduler: Scheduler) -> dict[str, Callable[[], Awaitable[None]]]:
    """What would run at its time, by name."""
    return {job.name: job.func for job in scheduler._scheduler.get_jobs()}  # noqa: SLF001 - not waiting for its time


async def test_every_idle_session_is_closed_however_many(desk: Desk, clock: SettableClock) -> None:
    """One run goes on, batch by batch, until none is left."""
    await desk.store.run(add_sessions, EXPIRE_BATCH + 1)
    clock.advance(2 * DAY)
    scheduler = scheduler_of(desk, clock)

    assert await scheduler.expire() == EXPIRE_BATCH + 1
    assert await scheduler.expire() == 0


async def test_what_is_not_idle_stays(desk: Desk, books: Books, clock: SettableClock) -> None:
    """Only the sessions beyond the limit are closed."""
    await books.answer(mention("old", in_=thread(1)))
    clock.advance(DAY + timedelta(minutes=1))
    await books.answer(mention("new", in_=thread(2)))

    assert await scheduler_of(desk, clock).expire() == 1
    assert [row.closed_why for row in await books.rows(sessions)] == ["expired", None]


async def test_the_jobs_look_renew_and_expire(desk: Desk, books: Books, llm: ScriptedLLM, clock: SettableClock) -> None:
    """What they are named for happens when they run."""
    found = jobs(scheduler_of(desk, clock))
    await books.accept(mention("hi"))
    llm.script("hello")
    await found["look for owed answers"]()
    assert await desk.adapter.shown(THREAD) == ["hello"]
    await desk.worker.idle()
    clock.advance(2 * DAY)
    await found["expire idle sessions"]()

    assert [row.closed_why for row in await books.rows(sessions)] == ["expired"]
    assert sorted(found) == [
        "delete old rows",
        "expire idle sessions",
        "hear interruptions",
        "keep the count of refusals",
        "look for owed answers",
        "renew leases",
        "scrub the database's file",
    ]


async def test_the_warning_is_a_job_where_it_was_asked_for(desk: Desk, books: Books, clock: SettableClock) -> None:
    """Without the setting there is none."""
    ahead = timedelta(minutes=30)
    idle = IdleLimits(DAY)
    forewarning = ExpiryWarnings(desk.store, [desk.adapter], clock=clock.now, idle=idle, ahead=ahead)
    scheduler = Scheduler(desk.store, desk.leases, clock=clock.now, idle=idle, retention=DAY)
    scheduler.add_platform_jobs(desk.worker, desk.failed_deliveries, forewarning)
    await books.answer(mention("hello"))
    clock.advance(DAY - ahead / 2)
    await jobs(scheduler)["warn of expiry"]()

    assert [place for place, _ in desk.adapter.notified] == [THREAD]
    assert "warn of expiry" not in jobs(scheduler_of(desk, clock))


async def test_old_rows_are_deleted_however_many(desk: Desk, books: Books, clock: SettableClock) -> None:
    """One run goes on, batch by batch, until none is left that is older than rows are kept."""
    await desk.store.run(add_sessions, EXPUNGE_BATCH + 1)
    scheduler = scheduler_of(desk, clock)
    clock.advance(2 * DAY)
    await scheduler.expire()
    clock.advance(14 * DAY)
    assert await scheduler.expunge() == 0
    clock.advance(timedelta(seconds=1))

    assert await scheduler.expunge() == EXPUNGE_BATCH + 1
    assert await books.rows(sessions) == []


class SlowToScrub(Store):
    """A store whose scrubbing takes two seconds, with a clock."""

    scrubs, seconds = 0, 0.0

    async def vacuum(self) -> float:
        """See Store.scrub."""
        self.scrubs += 1
        return 2.0


async def test_the_longer_a_scrub_takes_the_less_often_it_is_done(empty_sqlite_url: str, clock: SettableClock) -> None:
    """The writer has to wait meanwhile, so that it may take a thousandth of the time."""
    store = SlowToScrub(empty_sqlite_url)
    desk = Desk(store, Echo(), clock)
    scheduler = Scheduler(
        store,
        desk.leases,
        clock=clock.now,
        idle=IdleLimits(DAY),
        retention=DAY,
        time=lambda: store.seconds,
    )
    await scheduler.vacuum()
    store.seconds += 1_999
    await scheduler.vacuum()
    assert store.scrubs == 1
    store.seconds += 1
    await scheduler.vacuum()

    assert store.scrubs == 2
    await store.close()


async def test_a_job_survives_an_absent_database(clock: SettableClock, caplog: pytest.LogCaptureFixture) -> None:
    """It says so in a line, and will run again."""
    desk = Desk(Store("postgresql://127.0.0.1:1/none"), Echo(), clock)
    for name in ("expire idle sessions", "look for owed answers"):
        await jobs(scheduler_of(desk, clock))[name]()
        assert name in caplog.text
    await desk.store.close()


async def test_leases_are_kept_and_stops_are_heard_until_the_last_turn_has_ended(
    database_url: str, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """A bot that is told to go still answers for a while: its jobs go on until its worker is done."""
    adapter, hold = RecordingAdapter(), PausedStep()
    settings = Settings.load({"DATABASE_URL": database_url})
    async with AsyncExitStack() as stack:
        opening = open_platform_services(settings, [adapter], clock=clock.now, llm=llm)
        parts = await stack.enter_async_context(opening)
        llm.script("Let me ", hold)
        await parts.inbox.accept(mention("hi", "1.0"))
        await hold.reached()
        closing = asyncio.create_task(stack.pop_all().aclose())
        await asyncio.sleep(0)
        assert parts.worker.stopping
        await Books(parts.store, clock).accept_stop(stop("2.0"))

        assert await adapter.shown(THREAD) == [f"Let me \n\n{texts.interrupted(Interrupted.STOPPED)}"]
        await closing
    assert not parts.scheduler.running


async def test_a_late_job_runs_and_runs_once(desk: Desk, clock: SettableClock) -> None:
    """After a pause of the machine each job runs, however late, once, and never beside itself."""
    scheduler = scheduler_of(desk, clock)
    scheduler.start()
    found = scheduler._scheduler.get_jobs()  # noqa: SLF001 - how a job is scheduled cannot be seen elsewhere

    assert {(job.misfire_grace_time, job.coalesce, job.max_instances) for job in found} == {(None, True, 1)}
    scheduler.stop()
