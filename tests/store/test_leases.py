"""Leases: they last as long as they are renewed, run out by the database's clock, and what nobody holds is found."""

from __future__ import annotations

from datetime import timedelta

from bot.store import claims, leases, summaries
from bot.store.engine import Store
from bot.store.leases import QueueEntry
from bot.testing import SettableClock
from tests.support.builders import ANA, BEN, DAY, mention, thread
from tests.support.store_driver import MINUTE, Books

HERE = ("desk", "T1")


async def owed(books: Books, *places: tuple[str, str], limit: int = 100) -> list[int]:
    """The threads that a worker of these platforms and workspaces finds."""
    found = await books.store.run(leases.owed_threads, places or [HERE], now=books.now, limit=limit)
    return [each.thread_id for each in found]


async def renewed(books: Books, owner: str, *thread_ids: int) -> set[int]:
    """The leases that this owner could prolong."""
    return await books.store.run(leases.renew, books.lease(owner), thread_ids)


async def test_a_renewed_lease_lasts(books: Books) -> None:
    """A lease that ran out, but that nobody took over yet, is as good as new when it is renewed."""
    claim = await books.claimed(await books.accepted(mention("hello")))
    await books.lapse()
    assert await renewed(books, "one", claim.thread_id) == {claim.thread_id}

    assert await books.claim(claim.thread_id, "two") is None


async def test_only_a_lease_of_ones_own_can_be_renewed(books: Books) -> None:
    """Neither somebody else's, nor one that was taken over or given up, nor one of a thread that is not named."""
    claim = await books.claimed(await books.accepted(mention("hello")))
    assert await renewed(books, "two", claim.thread_id) == set()
    assert await renewed(books, "one") == set()
    current = await books.taken_over(claim)
    assert await renewed(books, "one", claim.thread_id) == set()
    await books.settle(current)

    assert await renewed(books, "two", claim.thread_id) == set()


async def test_replicas_whose_clocks_differ_share_leases_on_postgresql(
    empty_postgres_url: str, clock: SettableClock
) -> None:
    """There a lease begins and ends by the database's clock, whatever a worker believes the time to be."""
    books = Books(Store(empty_postgres_url), clock)
    claim = await books.claimed(await books.accepted(mention("hello")))
    books.now += DAY
    assert await books.claim(claim.thread_id, "two") is None
    books.now -= 2 * DAY
    assert await renewed(books, "one", claim.thread_id) == {claim.thread_id}

    assert await books.claim(claim.thread_id, "two") is None
    assert await owed(books) == []
    await books.store.close()


async def test_a_lease_runs_out_by_itself_on_sqlite(empty_sqlite_url: str, clock: SettableClock) -> None:
    """There all processes share the machine's clock."""
    books = Books(Store(empty_sqlite_url), clock)
    claim = await books.claimed(await books.accepted(mention("hello")))
    books.now += MINUTE
    assert await books.claim(claim.thread_id, "two") is None
    books.now += timedelta(microseconds=1)

    assert await books.claim(claim.thread_id, "two") is not None
    await books.store.close()


async def test_a_lease_runs_out_by_itself_on_postgresql(empty_postgres_url: str, clock: SettableClock) -> None:
    """There it is the database that lets time pass."""
    books = Books(Store(empty_postgres_url), clock)
    thread_id = await books.accepted(mention("hello"))
    first = await books.store.run(claims.claim, books.lease("one", timedelta()), thread_id)

    assert first is not None
    assert await books.claim(thread_id, "two") is not None
    await books.store.close()


async def test_a_summarys_lease_ends_like_a_threads(empty_sqlite_url: str, clock: SettableClock) -> None:
    """Both leases are still held at the moment at which they end."""
    books = Books(Store(empty_sqlite_url), clock)
    await books.answer(mention("hello"))
    assert await books.store.run(summaries.begin, books.lease("one"), "s1") is not None
    books.now += MINUTE
    assert await books.store.run(summaries.begin, books.lease("two"), "s1") is None
    books.now += timedelta(microseconds=1)

    assert await books.store.run(summaries.begin, books.lease("two"), "s1") is not None
    await books.store.close()


async def test_a_summarys_lease_runs_by_the_databases_clock(empty_postgres_url: str, clock: SettableClock) -> None:
    """However far a replica's own clock is ahead, it does not take the lease from another one."""
    books = Books(Store(empty_postgres_url), clock)
    await books.answer(mention("hello"))
    assert await books.store.run(summaries.begin, books.lease("one"), "s1") is not None
    books.now += 2 * MINUTE
    assert await books.store.run(summaries.begin, books.lease("two"), "s1") is None
    await books.lapse()

    assert await books.store.run(summaries.begin, books.lease("two", timedelta()), "s1") is not None
    assert await books.store.run(summaries.begin, books.lease("one"), "s1") is not None
    await books.store.close()


async def test_a_postponed_turn_rests_and_is_no_failure(books: Books) -> None:
    """Nobody takes it up before the pause is over; however often it was postponed, no attempt of it failed."""
    claim = await books.claimed(await books.accepted(mention("hello")))
    for _ in range(4):
        await books.store.run(claims.postpone, claim, now=books.now, pause=MINUTE)
        assert await books.claim(claim.thread_id, "two") is None
        assert await owed(books) == []
        claim = await books.taken_over(claim)

    assert (claim.attempt, claim.failures) == (5, 0)


async def test_what_waits_is_found(books: Books) -> None:
    """A look finds threads with waiting messages and with turns left behind, but none that somebody holds."""
    waiting = await books.accepted(mention("hello", in_=thread(1)))
    held = await books.claimed(await books.accepted(mention("hello", in_=thread(2))))
    await books.answer(mention("hello", in_=thread(3)))
    assert await owed(books) == [waiting]
    await books.lapse()

    assert sorted(await owed(books)) == sorted([waiting, held.thread_id])


async def test_what_is_found_tells_for_whom(books: Books) -> None:
    """The workspace and a person, so that the line can be fair; the longest waiting first."""
    await books.accepted(mention("hello", by=BEN, in_=thread(2)))
    await books.accepted(mention("hello", by=ANA, in_=thread(1)))
    found = await books.store.run(leases.owed_threads, [HERE], now=books.now, limit=10)

    assert found == [QueueEntry(1, "T1", "U-BEN"), QueueEntry(2, "T1", "U-ANA")]


async def test_a_look_is_bounded_and_finds_only_what_the_worker_can_answer(books: Books) -> None:
    """Neither a terminal's worker nor another workspace's takes these threads, and nobody takes everything at once."""
    for number in range(5):
        await books.accepted(mention("hello", in_=thread(number)))

    assert len(await owed(books, HERE, ("other", "T2"), limit=3)) == 3
    assert await owed(books, ("other", "T1"), ("desk", "T2")) == []
