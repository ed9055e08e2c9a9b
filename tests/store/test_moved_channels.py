"""Moved channels: their threads go on under the new id. On both databases."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from bot.domain.events import ChannelMoved
from bot.domain.sessions import Interrupted
from bot.store import claims, moved_channels
from bot.store.tables import SESSIONS, THREADS
from tests.support.builders import THREAD, mention, thread
from tests.support.store_driver import StoreDriver

MOVED = ChannelMoved("chat", "T1", "C1", "C2")


async def test_all_threads_of_a_channel_move(driver: StoreDriver) -> None:
    """Threads and sessions have the new id, and those of other channels keep theirs."""
    count, batches = moved_channels.MOVE_BATCH + 5, 1
    for number in range(count):
        await driver.accepted(mention("hi", in_=thread(number)))
    await driver.accepted(mention("hi", in_=replace(THREAD, channel="C9")))
    while await driver.store.run(moved_channels.move, MOVED):
        batches += 1

    assert batches == 2
    for table in (THREADS, SESSIONS):
        assert Counter(row.channel for row in await driver.rows(table)) == {"C2": count, "C9": 1}


async def test_a_thread_that_exists_under_the_new_id_stays(driver: StoreDriver) -> None:
    """Of two threads with one root, the one under the new id goes on, and the other stays behind."""
    for place in (THREAD, replace(THREAD, channel="C2")):
        await driver.accepted(mention("hi", in_=place))
    for _ in range(2):
        assert not await driver.store.run(moved_channels.move, MOVED)

    assert sorted(row.channel for row in await driver.rows(THREADS)) == ["C1", "C2"]


async def test_a_running_turn_starts_again_under_the_new_id(driver: StoreDriver) -> None:
    """The turn is interrupted, and its next attempt writes under the new id."""
    claim = await driver.claimed(await driver.accepted(mention("hi")))
    await driver.store.run(moved_channels.move, MOVED)
    [row] = await driver.rows(THREADS)
    assert row.interrupted == Interrupted.EDITED.value

    await driver.store.run(claims.hand_back, claim)
    again = await driver.claimed(claim.thread_id)

    assert (again.thread.channel, again.turn_id, again.interrupted) == ("C2", claim.turn_id, None)
