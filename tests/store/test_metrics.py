"""Metrics: counts over everything that is stored. On both databases."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from bot.errors import StoreUnavailable
from bot.store import claims
from bot.store.claims import settle
from bot.store.engine import Store
from bot.store.metrics import RECENT, RETENTION, WorkMetrics, figures, hour_of
from bot.store.settlement import Settlement, TurnState
from bot.store.tables import FAILED_DELIVERIES
from bot.testing import SettableClock
from bot.turns.failed_deliveries import FailedDeliveries
from tests.support.builders import mention, reply, thread
from tests.support.interfered_store import rival
from tests.support.store_driver import MINUTE, Books


async def counted(books: Books) -> WorkMetrics:
    """Return the metrics now."""
    return await books.store.run(figures, now=books.now)


async def test_nothing_is_nothing(books: Books) -> None:
    """An empty database has metrics too."""
    assert await counted(books) == WorkMetrics(0, 0.0, 0, 0, 0, 0, 0, 0)


async def test_what_is_owed_and_since_when(books: Books) -> None:
    """Waiting messages and those of running turns are counted, with the age of the oldest."""
    await books.claimed(await books.accepted(mention("runs", in_=thread(1))))
    books.now += MINUTE
    await books.accepted(mention("waits", "1.0", in_=thread(2)))
    books.now += MINUTE
    await books.accepted(reply("waits", "2.0", in_=thread(2)))
    metrics = await counted(books)

    assert (metrics.owed_messages, metrics.oldest_owed_seconds) == (3, 120.0)
    assert (metrics.running_turns, metrics.open_sessions) == (1, 2)


async def test_a_turn_that_rests_is_owed_and_does_not_run(books: Books) -> None:
    """A postponed turn is neither running nor taken over."""
    claim = await books.claimed(await books.accepted(mention("hello")))
    await books.store.run(claims.postpone, claim, now=books.now, pause=MINUTE)
    again = await books.taken_over(claim)
    await books.store.run(claims.postpone, again, now=books.now, pause=MINUTE)
    metrics = await counted(books)

    assert (metrics.owed_messages, metrics.running_turns, metrics.taken_over_turns) == (1, 0, 0)


async def test_a_clock_that_was_set_back_makes_no_negative_age(books: Books) -> None:
    """Ages are never negative, because replicas' clocks differ by seconds."""
    await books.accepted(mention("hello"))
    books.now -= MINUTE

    assert (await counted(books)).oldest_owed_seconds == 0.0


async def test_turns_are_counted_by_their_end_for_a_day(books: Books) -> None:
    """Answered and failed turns, and those with several attempts, are counted for 24 hours."""
    await books.answer(mention("one", in_=thread(1)))
    await books.settle(await books.claimed(await books.accepted(mention("two", in_=thread(2)))), "", TurnState.FAILED)
    taken_over = await books.taken_over(await books.claimed(await books.accepted(mention("three", in_=thread(3)))))
    await books.settle(taken_over)
    metrics = await counted(books)
    assert (metrics.answered_turns, metrics.failed_turns, metrics.taken_over_turns) == (2, 1, 1)
    books.now += RECENT + timedelta(seconds=1)

    assert await counted(books) == WorkMetrics(0, 0.0, 0, 3, 0, 0, 0, 0)


async def test_refusals_of_all_replicas_are_counted_for_a_day(books: Books, clock: SettableClock) -> None:
    """The counts of all replicas add up, by the hour, for 24 hours."""
    here, there = (FailedDeliveries(books.store, clock=clock.now) for _ in range(2))
    for counts in (here, there, here):
        counts.add()
    await asyncio.gather(here.keep(), there.keep())
    books.now += timedelta(hours=1)
    here.add()
    await here.keep()
    assert ((await counted(books)).refused_deliveries, len(await books.rows(FAILED_DELIVERIES))) == (4, 2)
    books.now += RECENT

    assert (await counted(books)).refused_deliveries == 1


async def test_refusals_are_kept_in_memory_while_the_database_is_away(
    empty_sqlite_url: str, clock: SettableClock
) -> None:
    """Counts that cannot be stored are stored later, once, and with the right hour."""
    store = Store(empty_sqlite_url)
    books, counts, other = Books(store, clock), FailedDeliveries(store, clock=clock.now), await rival(store)
    other.execute("BEGIN IMMEDIATE")
    counts.add()
    with pytest.raises(StoreUnavailable):
        await counts.keep()
    counts.add()
    assert counts.not_kept == 2
    other.rollback()
    await counts.keep()
    await counts.keep()

    assert counts.not_kept == 0
    assert [(row.hour, row.deliveries) for row in await books.rows(FAILED_DELIVERIES)] == [(hour_of(clock.now()), 2)]
    await store.close()
    other.close()


async def test_old_counts_of_refusals_go(books: Books, clock: SettableClock) -> None:
    """Old rows are deleted, so that the table does not grow."""
    counts = FailedDeliveries(books.store, clock=clock.now)
    for _ in range(2):
        counts.add()
        await counts.keep()
        books.now += RETENTION + timedelta(hours=1)

    assert len(await books.rows(FAILED_DELIVERIES)) == 1


async def test_what_the_model_cost_is_summed_for_a_day(books: Books) -> None:
    """Prompt and cached tokens are summed for 24 hours, as far as backends reported them."""
    for number, (prompt, cached) in enumerate([(1_000, 0), (3_000, 2_700), (None, None)]):
        claim = await books.claimed(await books.accepted(mention("hi", f"{number}.0")))
        settled = Settlement(TurnState.ANSWERED, "hello", prompt_tokens=prompt, cached_tokens=cached)
        await books.store.run(settle, claim, settled, now=books.now)
    metrics = await counted(books)
    assert (metrics.prompt_tokens, metrics.cached_tokens) == (4_000, 2_700)
    books.now += RECENT + timedelta(seconds=1)

    assert (await counted(books)).prompt_tokens == 0
