"""Unserved turns: messages that wait in a workspace where no process answers. On both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.domain.events import Author, Thread
from bot.store import claims, unserved
from bot.store.erasure import Scope
from bot.store.metrics import WorkMetrics, figures
from bot.store.tables import MESSAGES, SESSIONS, TURNS
from bot.store.unserved import QUIET
from tests.support.builders import DAY, mention, thread
from tests.support.store_driver import MINUTE, StoreDriver

OLD = Thread("chat", "T0", "C1", "1.0")
ZOE = Author("U-ZOE", "T0")


async def counted(driver: StoreDriver) -> WorkMetrics:
    """Return the metrics now."""
    return await figures(driver.store, now=driver.now)


async def killed(driver: StoreDriver) -> None:
    """Let a question wait in a workspace, and another one run there, while its process is killed."""
    await driver.claimed(await driver.accepted(mention("begun", by=ZOE, in_=OLD)))
    await driver.accepted(mention("waits", "2.0", by=ZOE, in_=Thread("chat", "T0", "C1", "2.0")))


async def states(driver: StoreDriver) -> list[str]:
    """Return the state of each turn."""
    return [row.state for row in await driver.rows(TURNS)]


async def test_messages_of_a_workspace_that_is_left_behind_are_reported(driver: StoreDriver) -> None:
    """The metrics name the workspace and count its messages, once nothing has happened there for ten minutes."""
    await killed(driver)
    assert (await counted(driver)).unserved_messages == 0
    await driver.lapse()
    driver.now += QUIET
    await driver.answer(mention("served", in_=thread(1)))
    metrics = await counted(driver)

    assert (metrics.owed_messages, metrics.unserved_messages, metrics.unserved_workspaces) == (2, 2, ("T0",))


@pytest.mark.parametrize("sign", ["held", "paused", "begun"])
async def test_a_workspace_that_is_slow_is_served(driver: StoreDriver, sign: str) -> None:
    """A workspace counts as served while a process holds one of its threads, waits for Slack, or has begun a turn."""
    await killed(driver)
    driver.now += QUIET
    await driver.lapse()
    if sign == "begun":
        await driver.answer(mention("quick", by=ZOE, in_=Thread("chat", "T0", "C1", "3.0")))
    else:
        claim = await driver.claimed(1)
        if sign == "paused":
            await driver.store.run(claims.postpone, claim, now=driver.now, pause=MINUTE)

    assert (await counted(driver)).unserved_messages == 0


async def test_erasing_a_workspace_settles_its_turns(driver: StoreDriver) -> None:
    """After an erasure nothing is owed in a workspace that no process serves: neither waiting nor running turns."""
    await killed(driver)
    await driver.lapse()
    scope = Scope(workspace="T0")
    await driver.erase(scope)
    free, held = await driver.store.run(unserved.erased, scope, now=driver.now)
    await driver.store.run(unserved.settle, free, now=driver.now)

    assert (len(free), held, (await counted(driver)).owed_messages) == (1, 0, 0)
    assert set(await states(driver)) == {"superseded"}
    assert await driver.store.run(unserved.erased, scope, now=driver.now) == ([], 0)


async def test_a_turn_that_a_process_holds_is_left_to_it(driver: StoreDriver) -> None:
    """The process that answers ends the turn itself, so that no half answer stays in Slack."""
    claim = await driver.claimed(await driver.accepted(mention("begun", by=ZOE, in_=OLD)))
    scope = Scope(workspace="T0")
    await driver.erase(scope)

    assert await driver.store.run(unserved.erased, scope, now=driver.now) == ([], 1)
    assert await driver.store.run(unserved.settle, [claim.thread_id], now=driver.now) == 0
    assert await states(driver) == ["running"]


async def test_a_frozen_process_cannot_settle_what_was_settled(driver: StoreDriver) -> None:
    """A process that held the turn, and comes back, changes nothing any more."""
    claim = await driver.claimed(await driver.accepted(mention("begun", by=ZOE, in_=OLD)))
    await driver.lapse()
    await driver.store.run(unserved.settle, [claim.thread_id], now=driver.now)

    assert not await driver.settle(claim, "late words")
    assert [row.answer for row in await driver.rows(TURNS)] == [None]


@pytest.mark.parametrize(("served", "waited", "found"), [("T0", 31, 0), ("T9", 31, 2), ("T9", 29, 0)])
async def test_only_old_messages_of_other_workspaces_are_left_behind(
    driver: StoreDriver, served: str, waited: int, found: int
) -> None:
    """A message is given up when it is older than the retention, and never in a workspace that this process serves.

    Another replica has all that time to answer it.
    """
    await killed(driver)
    await driver.lapse()
    driver.now += waited * DAY
    before = driver.now - timedelta(days=30)
    ids = await driver.store.run(unserved.left_behind, [("chat", served)], before=before, now=driver.now, batch=10)
    await driver.store.run(unserved.settle, ids, now=driver.now)

    assert len(ids) == found
    assert (await counted(driver)).owed_messages == 2 - found


async def test_sessions_left_behind_expire_in_the_end(driver: StoreDriver) -> None:
    """When the messages are settled, their sessions are idle, and the sweep erases their words."""
    await killed(driver)
    await driver.lapse()
    driver.now += 2 * DAY
    assert await driver.sweep() == 0
    await driver.store.run(unserved.settle, [1, 2], now=driver.now)
    assert await driver.sweep() == 2

    assert {row.closed_why for row in await driver.rows(SESSIONS)} == {"expired"}
    assert {row.text for row in await driver.rows(MESSAGES)} == {""}
