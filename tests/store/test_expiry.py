"""Idle sessions: closed by the sweep or by the next message, erased, and mentioned once. On both databases."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta

import pytest

from bot.domain.events import Attachment
from bot.domain.sessions import IdleLimits
from bot.store.tables import MESSAGES, SESSIONS, TURNS
from tests.support.builders import ANA, DAY, THREAD, mention, reply, thread
from tests.support.store_driver import HOUR, MINUTE, StoreDriver, texts


async def idle_sessions(driver: StoreDriver, count: int) -> None:
    """Create this many answered sessions that are idle."""
    for number in range(count):
        await driver.answer(mention("my secret", in_=thread(number)), "your secret")
    driver.now += 2 * DAY


async def test_an_idle_session_is_closed_by_the_sweep_and_its_words_are_erased(driver: StoreDriver) -> None:
    """No text of a person or the model is left in any column; the counts are."""
    file = Attachment("F1", "secret.txt", "text/plain", 1)
    await driver.answer(dataclasses.replace(mention("my secret"), attachments=(file,)), "your secret")
    driver.now += DAY + MINUTE

    assert await driver.sweep() == 1
    [session], [message], [turn] = [await driver.rows(table) for table in (SESSIONS, MESSAGES, TURNS)]
    assert (session.closed_at, session.closed_why) == (driver.now, "expired")
    assert "secret" not in repr([session, message, turn])
    assert (message.text, message.attachments, turn.answer) == ("", [], None)


@pytest.mark.parametrize(("idle_for", "closed"), [(DAY, 0), (DAY + timedelta(seconds=1), 1)])
async def test_a_session_is_idle_after_the_limit_and_not_before(
    driver: StoreDriver, idle_for: timedelta, closed: int
) -> None:
    """At exactly the limit a session is not idle, for the sweep and for the next message."""
    for number in (1, 2):
        await driver.answer(mention("hello", in_=thread(number)))
    driver.now += idle_for
    next_message = await driver.answer(reply("hi", "2.0", in_=thread(1)))

    assert (next_message.session_id != "s1") is bool(closed)
    assert await driver.sweep() == closed


async def test_an_answer_counts_as_activity(driver: StoreDriver) -> None:
    """The idle time starts at the last answer, not at the last question."""
    claim = await driver.claimed(await driver.accepted(mention("hello")))
    driver.now += MINUTE / 2
    await driver.settle(claim)
    driver.now += DAY

    assert await driver.sweep() == 0


async def test_a_message_does_not_wait_for_the_sweep(driver: StoreDriver) -> None:
    """A message after the limit opens a new session, with or without a sweep."""
    await driver.answer(mention("hello", "1.0"))
    driver.now += DAY + MINUTE
    after = await driver.claimed(await driver.accepted(reply("hello again", "2.0")))

    assert (after.session_id, after.follows_expired) == ("s2", True)
    assert await driver.past(after) == []
    assert (await driver.rows(SESSIONS))[0].closed_why == "expired"


@pytest.mark.parametrize("swept", [True, False], ids=["swept", "lazy"])
async def test_the_first_turn_after_an_expiry_is_told_so_and_no_other(driver: StoreDriver, *, swept: bool) -> None:
    """Only the first turn has the notice, also after it is taken over."""
    await driver.answer(mention("hello", "1.0"))
    driver.now += DAY + MINUTE
    assert await driver.sweep() == 1 if swept else True
    first = await driver.claimed(await driver.accepted(reply("one", "2.0")))
    taken_over = await driver.taken_over(first)
    await driver.settle(taken_over)

    assert first.follows_expired
    assert taken_over.follows_expired
    assert not (await driver.answer(reply("two", "3.0"))).follows_expired


async def test_a_session_after_a_reset_is_not_told_of_an_older_expiry(driver: StoreDriver) -> None:
    """Only the session right after the expired one has the notice."""
    await driver.answer(mention("hello", "1.0"))
    driver.now += DAY + MINUTE
    await driver.answer(reply("one", "2.0"))
    await driver.reset(THREAD, ANA)

    assert not (await driver.answer(reply("two", "3.0"))).follows_expired


@pytest.mark.parametrize("claimed", [True, False], ids=["running", "owed"])
async def test_a_session_that_owes_an_answer_does_not_expire(driver: StoreDriver, *, claimed: bool) -> None:
    """A waiting message is answered in its session, however old it is."""
    await driver.answer(mention("hello", "1.0"))
    thread_id = await driver.accepted(reply("and now?", "2.0"))
    if claimed:
        await driver.claimed(thread_id)
    driver.now += 2 * DAY

    assert await driver.sweep() == 0
    await driver.accepted(reply("hello?", "3.0"))
    await driver.lapse()
    late = await driver.claimed(thread_id, "two")
    assert (late.session_id, texts(late)[0]) == ("s1", "and now?")


async def test_the_sweep_works_in_batches_longest_idle_first(driver: StoreDriver) -> None:
    """A transaction closes at most a batch; the next one continues."""
    for number in range(5):
        await driver.answer(mention("hello", in_=thread(number)))
        driver.now += MINUTE
    driver.now += 2 * DAY
    assert await driver.sweep(batch=2) == 2
    open_now = [row.id for row in await driver.rows(SESSIONS) if row.closed_at is None]

    assert open_now == ["s3", "s4", "s5"]
    assert [await driver.sweep(batch=2) for _ in range(3)] == [2, 1, 0]


async def test_what_may_not_be_closed_does_not_keep_the_sweep_from_the_rest(driver: StoreDriver) -> None:
    """Sessions with waiting messages do not take up the batch."""
    for number in range(3):
        await driver.accepted(mention("hello?", in_=thread(number)))
    driver.now += MINUTE
    await driver.answer(mention("hello", in_=thread(9)))
    driver.now += 2 * DAY

    assert await driver.sweep(batch=2) == 1


async def test_sweeps_at_once_close_each_session_once(driver: StoreDriver) -> None:
    """Several replicas that sweep at once close every idle session, and none twice."""
    await idle_sessions(driver, 12)
    closed = await asyncio.gather(*(driver.sweep(batch=5) for _ in range(8)))

    assert sum(closed) + await driver.sweep() == 12
    assert {row.closed_why for row in await driver.rows(SESSIONS)} == {"expired"}


async def test_messages_and_sweeps_at_once_lose_nothing(driver: StoreDriver) -> None:
    """In either order, the message is answered in an open session that has its text."""
    await idle_sessions(driver, 10)
    await asyncio.gather(
        *(driver.accept(reply(f"hello {number}", "2.0", in_=thread(number))) for number in range(10)),
        *(driver.sweep(batch=3) for _ in range(5)),
    )

    for number in range(10):
        claim = await driver.claimed(number + 1)
        assert texts(claim) == [f"hello {claim.thread.root[:6].lstrip('0') or '0'}"]
        assert claim.follows_expired


async def test_a_late_duplicate_does_not_touch_an_idle_session(driver: StoreDriver) -> None:
    """A redelivered message neither closes the session nor makes it active."""
    await driver.answer(mention("hello"))
    driver.now += DAY + MINUTE
    assert await driver.accept(mention("hello")) is None

    assert (await driver.rows(SESSIONS))[0].closed_at is None
    assert await driver.sweep() == 1


async def test_an_expired_session_can_no_longer_be_reset(driver: StoreDriver) -> None:
    """A reset of an expired session finds nothing to forget."""
    await idle_sessions(driver, 1)
    await driver.sweep()

    assert (await driver.reset(thread(0), ANA)).value == "nothing"
    assert (await driver.reset(THREAD, ANA)).value == "nothing"


async def test_each_channel_has_its_own_limit(driver: StoreDriver) -> None:
    """A channel's limit may be shorter or longer; the longest idle sessions are still closed first."""
    idle = IdleLimits(DAY, {"C-SHORT": 2 * HOUR, "C-LONG": 3 * DAY})
    for channel in ("C-LONG", "C-SHORT", "C1"):
        await driver.answer(mention("hello", in_=dataclasses.replace(THREAD, channel=channel)))
    closed = []
    for pause in (HOUR, 2 * HOUR, DAY, 2 * DAY):
        driver.now += pause
        closed.append(await driver.sweep(idle=idle))

    assert closed == [0, 1, 1, 1]
