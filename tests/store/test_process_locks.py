"""Process locks: a lost session ends a process only after a while. The leases of ended processes are freed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from bot.store import summaries
from bot.store.engine import Store
from bot.store.lock_file import LockFile
from bot.store.process_locks import ABSENT_S, STILL_S, SURE_S, SessionLock, free_leases, process_lock, token_of
from bot.store.tables import THREADS
from tests.support.builders import NOON, mention, thread
from tests.support.outage import away
from tests.support.store_driver import StoreDriver

ONE, TWO = "00000000000000a1", "fffffffffffffff2"  # as keys of PostgreSQL, a positive and a negative number


class Time:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def stores(empty_postgres_url: str) -> AsyncIterator[list[Store]]:
    """Two processes' stores on one PostgreSQL."""
    opened = [Store(empty_postgres_url) for _ in range(2)]
    yield opened
    for each in opened:
        await each.close()


def terminate(store: Store, *sessions: SessionLock) -> None:
    """Have the server end the connections of these locks, as after a network cut that it notices."""
    pids = [each._connected().execute(sa.text("SELECT pg_backend_pid()")).scalar() for each in sessions]  # noqa: SLF001
    with store.engine.begin() as connection:
        for pid in pids:
            connection.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


async def test_a_lost_session_ends_a_process_only_after_a_while(stores: list[Store]) -> None:
    """A lock must be absent at every look for a while. That is longer than its process would go on to write."""
    time = Time()
    mine, other = SessionLock(stores[0].engine, ONE, clock=time), SessionLock(stores[1].engine, TWO)
    assert (mine.hold(), other.hold()) == (SURE_S, SURE_S)
    assert mine.ended() == set()
    terminate(stores[0], other)
    assert mine.ended() == set()
    time.now += ABSENT_S / 2
    assert mine.ended() == set()
    time.now += ABSENT_S / 2

    assert mine.ended() == {TWO}
    assert ABSENT_S > SURE_S + 1.0  # a call of the platform may be in flight
    mine.forget([TWO])
    assert mine.ended() == set()
    mine.release()
    other.release()


async def test_a_process_that_takes_its_lock_again_lives(stores: list[Store]) -> None:
    """The time begins anew when the lock was seen, and after a time without looks."""
    time = Time()
    mine, other = SessionLock(stores[0].engine, ONE, clock=time), SessionLock(stores[1].engine, TWO)
    mine.hold()
    other.hold()
    mine.ended()
    terminate(stores[0], other)
    assert mine.ended() == set()
    time.now += ABSENT_S / 2
    assert other.hold() == 0.0  # the connection is broken
    assert other.hold() == SURE_S
    assert mine.ended() == set()
    terminate(stores[0], other)
    for pause in (ABSENT_S / 2, ABSENT_S):  # it did not look during the second
        time.now += pause
        assert mine.ended() == set()
    time.now += ABSENT_S / 2
    assert mine.ended() == set()
    time.now += ABSENT_S / 2
    assert mine.ended() == {TWO}
    mine.release()
    other.release()


async def test_a_process_whose_clock_stood_still_is_told(stores: list[Store]) -> None:
    """The database's clock shows it: a paused virtual machine holds its lock, and none of its clocks went on."""
    time = Time()
    paused, alive = SessionLock(stores[0].engine, ONE, clock=time), SessionLock(stores[1].engine, TWO)
    assert (paused.hold(), paused.stood_still()) == (SURE_S, False)
    alive.hold()
    with stores[0].engine.begin() as connection:
        connection.execute(sa.text("SELECT pg_sleep(:seconds)"), {"seconds": STILL_S + 0.1})

    assert (paused.hold(), paused.stood_still()) == (SURE_S, True)
    assert (alive.hold(), alive.stood_still()) == (SURE_S, False)
    assert (paused.hold(), paused.stood_still()) == (SURE_S, False)
    paused.release()
    alive.release()


async def test_a_restarted_server_ends_nobody(stores: list[Store]) -> None:
    """All locks are lost at once. Each process that lost its own session counts anew, and takes its lock again."""
    time = Time()
    mine, other = SessionLock(stores[0].engine, ONE, clock=time), SessionLock(stores[1].engine, TWO)
    mine.hold()
    other.hold()
    mine.ended()
    terminate(stores[0], mine, other)
    time.now += ABSENT_S / 2
    assert (mine.hold(), mine.ended()) == (0.0, set())
    time.now += ABSENT_S / 2
    assert (mine.hold(), mine.ended()) == (SURE_S, set())
    other.hold()
    assert other.hold() == SURE_S
    time.now += ABSENT_S / 2

    assert mine.ended() == set()
    mine.release()
    other.release()


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_new_process_finds_the_owners_of_leases(stores: list[Store], driver: StoreDriver) -> None:
    """A process that starts after the end of another finds it by its leases. Owners without a lock never end."""
    time = Time()
    for number, owner in enumerate((f"host:1:{TWO}", "host:2:abcdef01", f"host:3:{ONE}"), 1):
        await driver.claimed(await driver.accepted(mention("hello", in_=thread(number))), owner)
    mine = SessionLock(stores[0].engine, ONE, clock=time)
    for _ in range(2):
        mine.ended()
        time.now += ABSENT_S / 2

    assert mine.ended() == {TWO}
    mine.release()


async def test_a_server_that_refuses_everybody_takes_no_lock_away(stores: list[Store], empty_postgres_url: str) -> None:
    """While the server itself says that it takes no connections, no other process can take anything over."""
    mine = SessionLock(stores[0].engine, ONE)
    mine.hold()
    with away(empty_postgres_url):
        assert mine.hold() == 0.0  # the connection is broken: the next call connects
        assert mine.hold() == SURE_S
    unreachable = Store("postgresql://nobody@127.0.0.1:1/none")
    assert SessionLock(unreachable.engine, TWO).hold() == 0.0
    await unreachable.close()
    mine.release()


async def test_a_pool_may_change_the_session(stores: list[Store]) -> None:
    """A second session of the same process may take the lock too, as behind a pool that shares its sessions."""
    session, pooled = (SessionLock(store.engine, ONE) for store in stores)

    assert (session.hold(), pooled.hold(), session.hold()) == (SURE_S, SURE_S, SURE_S)
    session.release()
    pooled.release()


async def test_the_leases_of_ended_processes_are_free(driver: StoreDriver) -> None:
    """All leases of these processes are free, also those of summaries. The others stay."""
    await driver.answer(mention("hello", in_=thread(9)))
    of_summary = driver.lease(f"host:1:{TWO}")
    assert await driver.store.run(summaries.begin, of_summary, "s1") is not None
    for number, owner in enumerate((f"host:1:{TWO}", f"host:2:{ONE}", "host:3:abcdef01"), 1):
        await driver.claimed(await driver.accepted(mention("hello", in_=thread(number))), owner)

    assert await driver.store.run(free_leases, [TWO]) == 2
    held = [row.lease_owner for row in await driver.rows(THREADS) if row.lease_until is not None]
    assert held == [f"host:2:{ONE}", "host:3:abcdef01"]
    assert await driver.store.run(summaries.begin, driver.lease(f"host:2:{ONE}"), "s1") is not None
    assert await driver.store.run(free_leases, [TWO]) == 0


@pytest.mark.parametrize("several", [True, False])
async def test_a_second_crash_counts_only_in_a_turn_that_ran_alone(driver: StoreDriver, *, several: bool) -> None:
    """Two crashes free a turn's lease at once. After later ones it runs out, so that each crash gets its time."""
    ids = [await driver.accepted(mention("hello", in_=thread(number))) for number in range(1, 3 if several else 2)]
    failures = []
    for crash in range(4):
        turns = [await driver.claimed(thread_id, f"host:{crash}:{TWO}") for thread_id in ids]
        failures.append({turn.failures for turn in turns})
        freed = await driver.store.run(free_leases, [TWO])
        assert freed == (len(ids) if crash < 2 else 0)
        if not freed:
            await driver.lapse()

    assert failures == ([{0}, {1}, {1}, {2}] if several else [{0}, {1}, {2}, {3}])


async def test_a_lock_that_is_held_again_keeps_its_leases(stores: list[Store]) -> None:
    """A process that came back before its leases were freed loses none, and nobody waits for it."""
    with stores[0].engine.begin() as connection:
        other = SessionLock(stores[1].engine, TWO)
        other.hold()
        connection.execute(sa.insert(THREADS), [_leased(f"host:1:{TWO}")])
        assert free_leases(connection, [TWO]) == 0
        terminate(stores[0], other)
        assert free_leases(connection, [TWO]) == 1
        assert (other.hold(), other.hold()) == (0.0, 0.0)  # not before the other process has committed
        connection.rollback()
    assert other.hold() == SURE_S
    other.release()


def _leased(owner: str) -> dict[str, object]:
    place = {"platform": "chat", "workspace": "T1", "channel": "C1", "root": "1", "direct": False, "engaged": True}
    return {**place, "lease_owner": owner, "lease_until": NOON, "fence": 1}


async def test_each_database_has_its_kind_of_lock(store: Store) -> None:
    """SQLite has a file beside it, and PostgreSQL a session."""
    kind = {"sqlite": LockFile, "postgresql": SessionLock}[store.engine.dialect.name]
    assert isinstance(process_lock(store.engine, ONE), kind)


@given(st.integers(0, 2**64 - 1))
def test_a_token_is_read_from_an_owners_name(number: int) -> None:
    """Every token of this version is found, and none in a name of the version before it."""
    assert token_of(f"a-host:7:{number:016x}") == f"{number:016x}"
    assert token_of(f"a-host:7:{number:016x}"[:-8]) is None
