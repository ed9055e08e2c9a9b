"""Expiry warnings: posted once while a session is idle, and without effect on its expiry. On both databases."""

from __future__ import annotations

import asyncio
import dataclasses

from bot.domain import session_texts
from bot.domain.sessions import ExpiringSession, IdleLimits
from bot.errors import PlatformError, PlatformUnavailable
from bot.ops.expiry_warnings import BATCH, ExpiryWarnings
from bot.store import sessions
from bot.testing import SettableClock
from tests.support.builders import ANA, DAY, THREAD, mention, reply, thread
from tests.support.recording_adapter import RecordingAdapter
from tests.support.store_driver import A_DAY, HOUR, MINUTE, StoreDriver

PLACES = [("chat", "T1")]


async def due_warnings(driver: StoreDriver, idle: IdleLimits = A_DAY) -> list[ExpiringSession]:
    """Claim the sessions whose warning is due now."""
    return await driver.store.run(
        sessions.claim_expiry_warnings, PLACES, now=driver.now, idle=idle, ahead=HOUR, batch=10
    )


async def test_a_session_is_warned_once_in_an_idle_time(driver: StoreDriver) -> None:
    """The bot warns once when the warning is due, and again only after a new message."""
    await driver.answer(mention("hello", "1.0"))
    driver.now += DAY - HOUR
    assert await due_warnings(driver) == []
    driver.now += MINUTE
    [expiring] = await due_warnings(driver)
    assert (expiring.thread, expiring.expires_at - driver.now) == (THREAD, HOUR - MINUTE)
    assert await due_warnings(driver) == []
    await driver.answer(reply("hello again", "2.0"))
    driver.now += DAY - MINUTE

    assert [again.id for again in await due_warnings(driver)] == ["s1"]


async def test_a_warning_is_no_activity(driver: StoreDriver) -> None:
    """The warning does not change the time at which the session expires."""
    await driver.answer(mention("hello"))
    driver.now += DAY - MINUTE
    assert len(await due_warnings(driver)) == 1
    driver.now += 2 * MINUTE

    assert await driver.sweep() == 1


async def test_a_message_meanwhile_cancels_the_warning(driver: StoreDriver) -> None:
    """If a person writes or resets the session after the claim, no warning is due."""
    for number in (1, 2, 3):
        await driver.answer(mention("hello", in_=thread(number)))
    driver.now += DAY - MINUTE
    first, second, third = sorted(await due_warnings(driver), key=lambda expiring: expiring.id)
    await driver.accepted(reply("wait", "9.0", in_=thread(1)))
    await driver.reset(thread(2), ANA)

    assert [await driver.store.run(sessions.is_warned, each) for each in (first, second, third)] == [False, False, True]


async def test_a_warning_that_failed_is_posted_later(driver: StoreDriver) -> None:
    """A released warning is due again, unless a message has ended the idle time."""
    await driver.answer(mention("hello", in_=thread(1)))
    await driver.answer(mention("hello", in_=thread(2)))
    driver.now += DAY - MINUTE
    due = await due_warnings(driver)
    await driver.answer(reply("here", "9.0", in_=thread(1)))
    await driver.store.run(sessions.release_expiry_warnings, due)

    assert [again.thread for again in await due_warnings(driver)] == [thread(2)]


async def test_replicas_warn_each_session_once(driver: StoreDriver) -> None:
    """Replicas that claim at the same moment share the sessions."""
    for number in range(12):
        await driver.answer(mention("hello", in_=thread(number)))
    driver.now += DAY - MINUTE
    claimed = await asyncio.gather(*(due_warnings(driver) for _ in range(6)))
    claimed.append(await due_warnings(driver))

    assert sorted(each.id for due in claimed for each in due) == sorted(f"s{number}" for number in range(1, 13))


async def test_no_warning_in_other_workspaces_or_while_an_answer_is_owed(driver: StoreDriver) -> None:
    """Threads of other workspaces and threads with an owed answer get no warning."""
    await driver.answer(mention("hello", in_=dataclasses.replace(THREAD, workspace="T2")))
    await driver.accepted(mention("hello?"))
    driver.now += DAY - MINUTE

    assert await due_warnings(driver) == []


async def test_the_warning_uses_the_channels_limit(driver: StoreDriver) -> None:
    """In a channel with its own limit the warning precedes that limit."""
    idle = IdleLimits(DAY, {"C1": 2 * HOUR})
    await driver.answer(mention("hello"))
    await driver.answer(mention("hello", in_=dataclasses.replace(THREAD, channel="C2")))
    driver.now += HOUR + MINUTE
    [expiring] = await due_warnings(driver, idle=idle)

    assert (expiring.thread.channel, expiring.expires_at - driver.now) == ("C1", HOUR - MINUTE)


def warnings_of(driver: StoreDriver, clock: SettableClock, adapter: RecordingAdapter) -> ExpiryWarnings:
    """Return the warnings of one replica, an hour ahead."""
    return ExpiryWarnings(driver.store, [adapter], clock=clock.now, idle=A_DAY, ahead=HOUR)


async def test_every_thread_is_warned_once(driver: StoreDriver, clock: SettableClock) -> None:
    """Each thread reads once how much time is left, even if there is more than one batch."""
    for number in range(BATCH + 1):
        await driver.answer(mention("hello", in_=thread(number)))
    driver.now += DAY - 5 * MINUTE
    adapter = RecordingAdapter()
    posted = [await warnings_of(driver, clock, adapter).warn() for _ in range(2)]

    assert posted == [BATCH + 1, 0]
    assert {text for _, text in adapter.notified} == {session_texts.expires_soon(5 * MINUTE)}
    assert {place for place, _ in adapter.notified} == {thread(number) for number in range(BATCH + 1)}


async def test_an_unavailable_platform_is_tried_again(driver: StoreDriver, clock: SettableClock) -> None:
    """A warning that could not be posted is posted later, and so is the rest of the batch."""
    for number in (1, 2, 3):
        await driver.answer(mention("hello", in_=thread(number)))
    driver.now += DAY - MINUTE
    adapter = RecordingAdapter()
    adapter.failures = [PlatformUnavailable("the platform asked to wait")]
    posted = [await warnings_of(driver, clock, adapter).warn() for _ in range(3)]

    assert posted == [0, 3, 0]
    assert len(adapter.notified) == 3


async def test_a_refused_warning_does_not_affect_other_threads(driver: StoreDriver, clock: SettableClock) -> None:
    """A thread that the platform refuses gets no warning. Its session and the other threads are not affected."""
    for number in (1, 2):
        await driver.answer(mention("hello", in_=thread(number)))
    driver.now += DAY - MINUTE
    adapter = RecordingAdapter()
    adapter.failures = [PlatformError("is_archived", "chat.postMessage")]
    posted = [await warnings_of(driver, clock, adapter).warn() for _ in range(2)]

    assert posted == [1, 0]
    assert await driver.accept(reply("still here", "9.0", in_=thread(1))) is not None
    assert (await driver.claimed(1)).session_id == "s1"


async def test_an_expired_session_is_not_warned(driver: StoreDriver, clock: SettableClock) -> None:
    """An expired session gets no warning, even before the sweep closes it."""
    await driver.answer(mention("hello"))
    driver.now += DAY + MINUTE
    adapter = RecordingAdapter()

    assert await warnings_of(driver, clock, adapter).warn() == 0
    assert adapter.notified == []
