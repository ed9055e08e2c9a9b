"""Metrics: counts of all stored rows. On both databases."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from bot.errors import StoreUnavailable
from bot.store import claims
from bot.store.claims import settle
from bot.store.engine import Store
from bot.store.metrics import PAGE, RECENT, RETENTION, WorkMetrics, figures, hour_of
from bot.store.settlement import Settlement, TurnState
from bot.store.tables import FAILED_DELIVERIES, TURNS
from bot.testing import SettableClock
from bot.turns.failed_deliveries import FailedDeliveries
from tests.support.builders import mention, reply, thread
from tests.support.interfered_store import rival
from tests.support.store_driver import MINUTE, StoreDriver


async def counted(driver: StoreDriver) -> WorkMetrics:
    """Return the metrics now."""
    return await figures(driver.store, now=driver.now)


async def test_an_empty_database_has_metrics(driver: StoreDriver) -> None:
    """All counts of an empty database are 0."""
    assert await counted(driver) == WorkMetrics(0, 0.0, 0, 0, 0, 0, 0, 0)


async def test_unanswered_messages_are_counted_with_the_oldest_age(driver: StoreDriver) -> None:
    """The metrics count the messages that wait or have a running turn, and give the age of the oldest."""
    await driver.claimed(await driver.accepted(mention("runs", in_=thread(1))))
    driver.now += MINUTE
    await driver.accepted(mention("waits", "1.0", in_=thread(2)))
    driver.now += MINUTE
    await driver.accepted(reply("waits", "2.0", in_=thread(2)))
    metrics = await counted(driver)

    assert (metrics.owed_messages, metrics.oldest_owed_seconds) == (3, 120.0)
    assert (metrics.running_turns, metrics.open_sessions) == (1, 2)


async def test_a_postponed_turn_is_not_counted_as_running(driver: StoreDriver) -> None:
    """A postponed turn still counts as unanswered. It is neither running nor taken over."""
    claim = await driver.claimed(await driver.accepted(mention("hello")))
    await driver.store.run(claims.postpone, claim, now=driver.now, pause=MINUTE)
    again = await driver.taken_over(claim)
    await driver.store.run(claims.postpone, again, now=driver.now, pause=MINUTE)
    metrics = await counted(driver)

    assert (metrics.owed_messages, metrics.running_turns, metrics.taken_over_turns) == (1, 0, 0)


async def test_a_clock_that_was_set_back_makes_no_negative_age(driver: StoreDriver) -> None:
    """Ages are never negative, although replicas' clocks differ by seconds."""
    await driver.accepted(mention("hello"))
    driver.now -= MINUTE

    assert (await counted(driver)).oldest_owed_seconds == 0.0


async def test_turns_are_counted_by_their_end_for_a_day(driver: StoreDriver) -> None:
    """The metrics count answered turns, failed turns and turns with several attempts of the last 24 hours."""
    await driver.answer(mention("one", in_=thread(1)))
    await driver.settle(
        await driver.claimed(await driver.accepted(mention("two", in_=thread(2)))), "", TurnState.FAILED
    )
    taken_over = await driver.taken_over(await driver.claimed(await driver.accepted(mention("three", in_=thread(3)))))
    await driver.settle(taken_over)
    metrics = await counted(driver)
    assert (metrics.answered_turns, metrics.failed_turns, metrics.taken_over_turns) == (2, 1, 1)
    driver.now += RECENT + timedelta(seconds=1)

    assert await counted(driver) == WorkMetrics(0, 0.0, 0, 3, 0, 0, 0, 0)


async def test_refusals_of_all_replicas_are_counted_for_a_day(driver: StoreDriver, clock: SettableClock) -> None:
    """The hourly counts of all replicas add up over 24 hours."""
    here, there = (FailedDeliveries(driver.store, clock=clock.now) for _ in range(2))
    for counts in (here, there, here):
        counts.add()
    await asyncio.gather(here.save(), there.save())
    driver.now += timedelta(hours=1)
    here.add()
    await here.save()
    assert ((await counted(driver)).failed_deliveries, len(await driver.rows(FAILED_DELIVERIES))) == (4, 2)
    driver.now += RECENT

    assert (await counted(driver)).failed_deliveries == 1


async def test_refusals_are_kept_in_memory_while_the_database_is_away(
    empty_sqlite_url: str, clock: SettableClock
) -> None:
    """Counts that cannot be stored now are stored later, once, and with the right hour."""
    store = Store(empty_sqlite_url)
    driver, counts, other = StoreDriver(store, clock), FailedDeliveries(store, clock=clock.now), await rival(store)
    other.execute("BEGIN IMMEDIATE")
    counts.add()
    with pytest.raises(StoreUnavailable):
        await counts.save()
    counts.add()
    assert counts.unsaved == 2
    other.rollback()
    await counts.save()
    await counts.save()

    assert counts.unsaved == 0
    assert [(row.hour, row.deliveries) for row in await driver.rows(FAILED_DELIVERIES)] == [(hour_of(clock.now()), 2)]
    await store.close()
    other.close()


async def test_old_counts_of_refusals_are_deleted(driver: StoreDriver, clock: SettableClock) -> None:
    """Old rows are deleted, so that the table does not grow."""
    counts = FailedDeliveries(driver.store, clock=clock.now)
    for _ in range(2):
        counts.add()
        await counts.save()
        driver.now += RETENTION + timedelta(hours=1)

    assert len(await driver.rows(FAILED_DELIVERIES)) == 1


async def test_the_models_tokens_are_summed_for_a_day(driver: StoreDriver) -> None:
    """Prompt and cached tokens are summed for 24 hours, as far as backends reported them."""
    for number, (prompt, cached) in enumerate([(1_000, 0), (3_000, 2_700), (None, None)]):
        claim = await driver.claimed(await driver.accepted(mention("hi", f"{number}.0")))
        settled = Settlement(TurnState.ANSWERED, "hello", prompt_tokens=prompt, cached_tokens=cached)
        await driver.store.run(settle, claim, settled, now=driver.now)
    metrics = await counted(driver)
    assert (metrics.prompt_tokens, metrics.cached_tokens) == (4_000, 2_700)
    driver.now += RECENT + timedelta(seconds=1)

    assert (await counted(driver)).prompt_tokens == 0


async def test_a_days_turns_are_counted_in_pages(driver: StoreDriver) -> None:
    """No transaction reads more than a page of turns, and each turn is counted once."""
    await driver.answer(mention("hello"))
    [first] = await driver.rows(TURNS)
    row = {"thread_id": first.thread_id, "attempt": 1, "state": TurnState.ANSWERED.value, "prompt_tokens": 1}
    rows = [{**row, "started_at": driver.now + timedelta(milliseconds=number)} for number in range(2 * PAGE)]
    await driver.store.run(sa.Connection.execute, sa.insert(TURNS), rows)
    begun: list[object] = []
    sa.event.listen(driver.store.engine, "begin", begun.append)
    metrics = await counted(driver)

    assert (metrics.answered_turns, metrics.prompt_tokens) == (2 * PAGE + 1, 2 * PAGE)
    assert len(begun) == 4  # three pages after the other figures
