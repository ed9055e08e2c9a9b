"""Leases: they last while they are renewed, run out by the database's clock, and free threads are found."""

from __future__ import annotations

from datetime import timedelta

from bot.store import claims, leases, summaries
from bot.store.engine import Store
from bot.store.leases import QueueEntry
from bot.testing import SettableClock
from tests.support.builders import ANA, BEN, DAY, mention, thread
from tests.support.store_driver import MINUTE, StoreDriver
from tests.support.timeouts import GENEROUS_S

HERE = ("chat", "T1")


async def owed(driver: StoreDriver, *places: tuple[str, str], limit: int = 100) -> list[int]:
    """Return the threads that a worker of these platforms and workspaces finds."""
    found = await driver.store.run(leases.owed_threads, places or [HERE], now=driver.now, limit=limit)
    return [each.thread_id for each in found]


async def renewed(driver: StoreDriver, owner: str, *thread_ids: int) -> set[int]:
    """Return the threads whose leases this owner could renew."""
    return await driver.store.run(leases.renew, driver.lease(owner), thread_ids)


async def test_a_renewed_lease_lasts(driver: StoreDriver) -> None:
    """A lease that has run out, but was not taken over, is valid again after a renewal."""
    claim = await driver.claimed(await driver.accepted(mention("hello")))
    await driver.lapse()
    assert await renewed(driver, "one", claim.thread_id) == {claim.thread_id}

    assert await driver.claim(claim.thread_id, "two") is None


async def test_only_a_lease_of_ones_own_can_be_renewed(driver: StoreDriver) -> None:
    """A renewal skips other owners' leases, leases that were taken over or released, and unnamed threads."""
    claim = await driver.claimed(await driver.accepted(mention("hello")))
    assert await renewed(driver, "two", claim.thread_id) == set()
    assert await renewed(driver, "one") == set()
    current = await driver.taken_over(claim)
    assert await renewed(driver, "one", claim.thread_id) == set()
    await driver.settle(current)

    assert await renewed(driver, "two", claim.thread_id) == set()


async def test_replicas_whose_clocks_differ_share_leases_on_postgresql(
    empty_postgres_url: str, clock: SettableClock
) -> None:
    """On PostgreSQL a lease runs by the database's clock, whatever a worker's clock shows."""
    driver = StoreDriver(Store(empty_postgres_url, idle_transaction_s=GENEROUS_S), clock)
    claim = await driver.claimed(await driver.accepted(mention("hello")))
    driver.now += DAY
    assert await driver.claim(claim.thread_id, "two") is None
    driver.now -= 2 * DAY
    assert await renewed(driver, "one", claim.thread_id) == {claim.thread_id}

    assert await driver.claim(claim.thread_id, "two") is None
    assert await owed(driver) == []
    await driver.store.close()


async def test_a_lease_runs_out_by_itself_on_sqlite(empty_sqlite_url: str, clock: SettableClock) -> None:
    """On SQLite all processes share the machine's clock."""
    driver = StoreDriver(Store(empty_sqlite_url), clock)
    claim = await driver.claimed(await driver.accepted(mention("hello")))
    driver.now += MINUTE
    assert await driver.claim(claim.thread_id, "two") is None
    driver.now += timedelta(microseconds=1)

    assert await driver.claim(claim.thread_id, "two") is not None
    await driver.store.close()


async def test_a_lease_runs_out_by_itself_on_postgresql(empty_postgres_url: str, clock: SettableClock) -> None:
    """On PostgreSQL the database's clock ends the lease."""
    driver = StoreDriver(Store(empty_postgres_url, idle_transaction_s=GENEROUS_S), clock)
    thread_id = await driver.accepted(mention("hello"))
    first = await driver.store.run(claims.claim, driver.lease("one", timedelta()), thread_id)

    assert first is not None
    assert await driver.claim(thread_id, "two") is not None
    await driver.store.close()


async def test_a_summarys_lease_ends_like_a_threads(empty_sqlite_url: str, clock: SettableClock) -> None:
    """Both leases are still held at the moment at which they end."""
    driver = StoreDriver(Store(empty_sqlite_url), clock)
    await driver.answer(mention("hello"))
    assert await driver.store.run(summaries.begin, driver.lease("one"), "s1") is not None
    driver.now += MINUTE
    assert await driver.store.run(summaries.begin, driver.lease("two"), "s1") is None
    driver.now += timedelta(microseconds=1)

    assert await driver.store.run(summaries.begin, driver.lease("two"), "s1") is not None
    await driver.store.close()


async def test_a_summarys_lease_runs_by_the_databases_clock(empty_postgres_url: str, clock: SettableClock) -> None:
    """A replica whose clock is ahead does not take another one's lease of a summary."""
    driver = StoreDriver(Store(empty_postgres_url, idle_transaction_s=GENEROUS_S), clock)
    await driver.answer(mention("hello"))
    assert await driver.store.run(summaries.begin, driver.lease("one"), "s1") is not None
    driver.now += 2 * MINUTE
    assert await driver.store.run(summaries.begin, driver.lease("two"), "s1") is None
    await driver.lapse()

    assert await driver.store.run(summaries.begin, driver.lease("two", timedelta()), "s1") is not None
    assert await driver.store.run(summaries.begin, driver.lease("one"), "s1") is not None
    await driver.store.close()


async def test_a_postponed_turn_rests_and_is_no_failure(driver: StoreDriver) -> None:
    """No worker claims a postponed turn before the pause has passed, and no postponed attempt counts as a failure."""
    claim = await driver.claimed(await driver.accepted(mention("hello")))
    for _ in range(4):
        await driver.store.run(claims.postpone, claim, now=driver.now, pause=MINUTE)
        assert await driver.claim(claim.thread_id, "two") is None
        assert await owed(driver) == []
        claim = await driver.taken_over(claim)

    assert (claim.attempt, claim.failures) == (5, 0)


async def test_a_poll_finds_waiting_threads(driver: StoreDriver) -> None:
    """A poll finds threads with waiting messages and abandoned turns, but no leased thread."""
    waiting = await driver.accepted(mention("hello", in_=thread(1)))
    held = await driver.claimed(await driver.accepted(mention("hello", in_=thread(2))))
    await driver.answer(mention("hello", in_=thread(3)))
    assert await owed(driver) == [waiting]
    await driver.lapse()

    assert sorted(await owed(driver)) == sorted([waiting, held.thread_id])


async def test_a_queue_entry_names_a_person(driver: StoreDriver) -> None:
    """An entry has the workspace and a person, for the fair queue. The longest waiting thread is first."""
    await driver.accepted(mention("hello", by=BEN, in_=thread(2)))
    await driver.accepted(mention("hello", by=ANA, in_=thread(1)))
    found = await driver.store.run(leases.owed_threads, [HERE], now=driver.now, limit=10)

    assert found == [QueueEntry(1, "T1", "U-BEN"), QueueEntry(2, "T1", "U-ANA")]


async def test_a_poll_is_bounded_and_finds_only_the_workers_own_threads(driver: StoreDriver) -> None:
    """A poll returns a bounded number of threads, of the worker's own platform and workspace."""
    for number in range(5):
        await driver.accepted(mention("hello", in_=thread(number)))

    assert len(await owed(driver, HERE, ("other", "T2"), limit=3)) == 3
    assert await owed(driver, ("other", "T1"), ("chat", "T2")) == []
