"""The lock keeper: a turn writes only while the other processes see the lock of its process. On both databases."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import sqlalchemy as sa

from bot.store import claims, lease_clock
from bot.store.engine import Store
from bot.store.lease_clock import LeaseClock
from bot.store.process_locks import STILL_S, free_leases
from bot.store.tables import THREADS
from bot.turns.leases import LeaseKeeper
from bot.turns.lock_keeper import LockKeeper
from bot.turns.policies import DURABLE
from bot.turns.running_turn import RunningTurn
from tests.support.builders import mention
from tests.support.store_driver import StoreDriver
from tests.support.timeouts import GENEROUS_S

MINE, OTHER = "00000000000000a1", "00000000000000b2"
ON_POSTGRES = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)

Turn = RunningTurn[claims.PlatformClaim]


@asynccontextmanager
async def keeping(store: Store, driver: StoreDriver, token: str = MINE) -> AsyncIterator[LeaseKeeper]:
    """Keep leases under a lock of their process."""
    lock = LockKeeper(store, token)
    leases = LeaseKeeper(store, owner=f"host:1:{token}", clock=lambda: driver.now, lock=lock)
    async with lock.held(leases.renew):
        yield leases


async def claimed(leases: LeaseKeeper, driver: StoreDriver) -> Turn:
    """Claim a turn."""
    turn = await leases.claim(DURABLE, claims.claim, await driver.accepted(mention("hello")))
    assert turn is not None
    return turn


@contextmanager
def rival(store: Store) -> Iterator[sa.Connection]:
    """Let another process free the leases of this one, whose session is lost. It commits after the block."""
    with store.engine.begin() as connection:
        pid = sa.text("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'")
        ended = sa.text("SELECT pg_terminate_backend(:pid, 5000)")
        for each in connection.execute(pid).scalars().all():
            connection.execute(ended, {"pid": each})
        assert free_leases(connection, [MINE]) == 1
        yield connection


@ON_POSTGRES
async def test_a_turn_that_was_taken_over_meanwhile_writes_nothing(
    store: Store, driver: StoreDriver, empty_postgres_url: str
) -> None:
    """A process that lives loses its session, and another takes its turn over. The first waits, then ends its turn."""
    other = Store(empty_postgres_url)
    async with keeping(store, driver) as leases:
        turn = await claimed(leases, driver)
        assert await turn.is_ours()
        with rival(other) as connection:
            await not_sure(leases)
            writing = asyncio.create_task(turn.is_ours())
            assert claims.claim(connection, driver.lease("two"), turn.claim.thread_id) is not None
            await asyncio.sleep(0)
            assert not writing.done()
        with pytest.raises(asyncio.CancelledError):  # a lost lease cancels the task that answers, which is this one
            await writing
    assert turn.lost
    await other.close()


@ON_POSTGRES
async def test_a_turn_that_nobody_took_goes_on(store: Store, driver: StoreDriver, empty_postgres_url: str) -> None:
    """A lease that was freed by mistake is renewed, when no process has taken it. Then the turn writes again."""
    other = Store(empty_postgres_url)
    async with keeping(store, driver) as leases:
        turn = await claimed(leases, driver)
        with rival(other):
            await not_sure(leases)
            writing = asyncio.create_task(turn.is_ours())
        assert await asyncio.wait_for(writing, GENEROUS_S)

        assert [row.lease_until is not None for row in await driver.rows(THREADS)] == [True]
        assert await driver.claim(turn.claim.thread_id, "two") is None
        leases.release(turn)
    await other.close()


@ON_POSTGRES
async def test_a_process_that_stood_still_looks_before_it_writes(
    store: Store, driver: StoreDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It finds by the database's clock that it was paused, and ends the turn that another process has taken."""
    still = LeaseClock(lambda: 0.0)
    monkeypatch.setattr(lease_clock, "now", still)
    async with keeping(store, driver) as leases:
        turn = await claimed(leases, driver)
        assert leases._lock is not None  # noqa: SLF001
        monkeypatch.setattr(leases._lock._lock, "_clock", still)  # noqa: SLF001
        assert await leases._lock._take()  # noqa: SLF001
        await driver.taken_over(turn.claim)
        await store.run(lambda connection: connection.execute(sa.text(f"SELECT pg_sleep({STILL_S + 0.1})")))
        assert await turn.is_ours()  # for the part of a second until it asks the database again
        looking = asyncio.create_task(leases.free_abandoned())
        with pytest.raises(asyncio.CancelledError):  # the task that answers, which is this one
            await asyncio.wait([looking], timeout=GENEROUS_S)
        await looking
    assert turn.lost


async def not_sure(leases: LeaseKeeper) -> None:
    """Wait until the process has noticed that the others do not see its lock."""
    assert leases._lock is not None  # noqa: SLF001
    while leases._lock._is_sure():  # noqa: SLF001, ASYNC110 - time passes
        await asyncio.sleep(0)


HOLDER = """
import asyncio, sys
from bot.store.engine import Store
from bot.turns.lock_keeper import LockKeeper
async def main():
    async with LockKeeper(Store(sys.argv[1]), sys.argv[2]).held(lambda: asyncio.sleep(0)):
        print("held", flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


@contextmanager
def process(database_url: str) -> Iterator[subprocess.Popen[str]]:
    """Run another process that holds its lock."""
    command = (sys.executable, "-c", HOLDER, database_url, OTHER)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "held\n"
        try:
            yield started
        finally:
            started.kill()


async def test_the_leases_of_a_killed_process_are_freed(
    store: Store, driver: StoreDriver, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They are held while the process lives, and free soon after SIGKILL, long before they run out."""
    thread_id = await driver.accepted(mention("hello"))
    caplog.set_level(logging.WARNING)
    async with keeping(store, driver) as leases:
        with process(database_url) as other:
            await driver.claimed(thread_id, f"host:2:{OTHER}")
            assert not await leases.free_abandoned()
            other.kill()
            other.wait()
            async with asyncio.timeout(GENEROUS_S):
                while not await leases.free_abandoned():  # noqa: ASYNC110 - as the scheduler does
                    await asyncio.sleep(0)
        assert await driver.claim(thread_id, "two") is not None
        assert not await leases.free_abandoned()
    assert [record.message for record in caplog.records] == ["process_ended"]


async def test_a_process_that_ends_by_itself_leaves_nothing(store: Store, driver: StoreDriver) -> None:
    """A released lock is no longer held, and another lock does not miss it."""
    async with keeping(store, driver, OTHER) as leases, keeping(store, driver):
        assert not await leases.free_abandoned()
    lock = LockKeeper(store, MINE)
    async with lock.held(lambda: asyncio.sleep(0)):
        assert not await lock.free_leases()
