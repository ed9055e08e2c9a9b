"""Expiry warnings: posted once while a session is idle, and without effect on its expiry. On both databases."""

from __future__ import annotations

import asyncio
import dataclasses

from bot.domain import texts
from bot.domain.sessions import ExpiringSession, IdleLimits
from bot.errors import PlatformError, PlatformUnavailable
from bot.ops.expiry_warnings import BATCH, ExpiryWarnings
from bot.store import sessions
from bot.testing import SettableClock
from tests.support.builders import ANA, DAY, THREAD, mention, reply, thread
from tests.support.recording_adapter import RecordingAdapter
from tests.support.store_driver import A_DAY, HOUR, MINUTE, Books

PLACES = [("desk", "T1")]


async def due_warnings(books: Books, idle: IdleLimits = A_DAY) -> list[ExpiringSession]:
    """Claim the sessions whose warning is due now."""
    return await books.store.run(sessions.claim_expiry_warnings, PLACES, now=books.now, idle=idle, ahead=HOUR, batch=10)


async def test_a_session_is_warned_once_in_an_idle_time(books: Books) -> None:
    """It is warned when the warning is due, not earlier, and again only after a new message."""
    await books.answer(mention("hello", "1.0"))
    books.now += DAY - HOUR
    assert await due_warnings(books) == []
    books.now += MINUTE
    [expiring] = await due_warnings(books)
    assert (expiring.thread, expiring.expires_at - books.now) == (THREAD, HOUR - MINUTE)
    assert await due_warnings(books) == []
    await books.answer(reply("hello again", "2.0"))
    books.now += DAY - MINUTE

    assert [again.id for again in await due_warnings(books)] == ["s1"]


async def test_a_warning_is_no_activity(books: Books) -> None:
    """The session expires when it would have."""
    await books.answer(mention("hello"))
    books.now += DAY - MINUTE
    assert len(await due_warnings(books)) == 1
    books.now += 2 * MINUTE

    assert await books.sweep() == 1


async def test_a_message_meanwhile_cancels_the_warning(books: Books) -> None:
    """A person may write or reset the session between the claim and the post; then no warning is due."""
    for number in (1, 2, 3):
        await books.answer(mention("hello", in_=thread(number)))
    books.now += DAY - MINUTE
    first, second, third = sorted(await due_warnings(books), key=lambda expiring: expiring.id)
    await books.accepted(reply("wait", "9.0", in_=thread(1)))
    await books.reset(thread(2), ANA)

    assert [await books.store.run(sessions.is_warned, each) for each in (first, second, third)] == [False, False, True]


async def test_a_warning_that_failed_is_posted_later(books: Books) -> None:
    """A warning that is given back is due again, unless a message has ended the idle time."""
    await books.answer(mention("hello", in_=thread(1)))
    await books.answer(mention("hello", in_=thread(2)))
    books.now += DAY - MINUTE
    due = await due_warnings(books)
    await books.answer(reply("here", "9.0", in_=thread(1)))
    await books.store.run(sessions.release_expiry_warnings, due)

    assert [again.thread for again in await due_warnings(books)] == [thread(2)]


async def test_replicas_warn_each_session_once(books: Books) -> None:
    """Replicas that claim at the same moment share the sessions."""
    for number in range(12):
        await books.answer(mention("hello", in_=thread(number)))
    books.now += DAY - MINUTE
    claimed = await asyncio.gather(*(due_warnings(books) for _ in range(6)))
    claimed.append(await due_warnings(books))

    assert sorted(each.id for due in claimed for each in due) == sorted(f"s{number}" for number in range(1, 13))


async def test_no_warning_elsewhere_or_where_an_answer_is_owed(books: Books) -> None:
    """Threads of other workspaces get no warning, and neither does a thread whose answer is owed."""
    await books.answer(mention("hello", in_=dataclasses.replace(THREAD, workspace="T2")))
    await books.accepted(mention("hello?"))
    books.now += DAY - MINUTE

    assert await due_warnings(books) == []


async def test_the_warning_uses_the_channels_limit(books: Books) -> None:
    """In a channel with its own limit the warning precedes that limit."""
    idle = IdleLimits(DAY, {"C1": 2 * HOUR})
    await books.answer(mention("hello"))
    await books.answer(mention("hello", in_=dataclasses.replace(THREAD, channel="C2")))
    books.now += HOUR + MINUTE
    [expiring] = await due_warnings(books, idle=idle)

    assert (expiring.thread.channel, expiring.expires_at - books.now) == ("C1", HOUR - MINUTE)


def warnings_of(books: Books, clock: SettableClock, adapter: RecordingAdapter) -> ExpiryWarnings:
    """Return the warnings of one replica, an hour ahead."""
    return ExpiryWarnings(books.store, [adapter], clock=clock.now, idle=A_DAY, ahead=HOUR)


async def test_every_thread_is_warned_once(books: Books, clock: SettableClock) -> None:
    """Each thread reads how much time is left, once, also when there are more than one batch."""
    for number in range(BATCH + 1):
        await books.answer(mention("hello", in_=thread(number)))
    books.now += DAY - 5 * MINUTE
    adapter = RecordingAdapter()
    posted = [await warnings_of(books, clock, adapter).warn() for _ in range(2)]

    assert posted == [BATCH + 1, 0]
    assert {text for _, text in adapter.notified} == {texts.expires_soon(5 * MINUTE)}
    assert {place for place, _ in adapter.notified} == {thread(number) for number in range(BATCH + 1)}


async def test_a_platform_that_is_away_is_tried_again(books: Books, clock: SettableClock) -> None:
    """A warning that the platform did not take is posted later, and so is the rest of the batch."""
    for number in (1, 2, 3):
        await books.answer(mention("hello", in_=thread(number)))
    books.now += DAY - MINUTE
    adapter = RecordingAdapter()
    adapter.failures = [PlatformUnavailable("the platform asked to wait")]
    posted = [await warnings_of(books, clock, adapter).warn() for _ in range(3)]

    assert posted == [0, 3, 0]
    assert len(adapter.notified) == 3


async def test_a_refusal_is_final_and_stops_nobody_else(books: Books, clock: SettableClock) -> None:
    """A thread that the platform refuses gets no warning; its session and the other threads are not affected."""
    for number in (1, 2):
        await books.answer(mention("hello", in_=thread(number)))
    books.now += DAY - MINUTE
    adapter = RecordingAdapter()
    adapter.failures = [PlatformError("is_archived", "chat.postMessage")]
    posted = [await warnings_of(books, clock, adapter).warn() for _ in range(2)]

    assert posted == [1, 0]
    assert await books.accept(reply("still here", "9.0", in_=thread(1))) is not None
    assert (await books.claimed(1)).session_id == "s1"


async def test_an_expired_session_is_not_warned(books: Books, clock: SettableClock) -> None:
    """Before the sweep has closed the session, a warning would come too late."""
    await books.answer(mention("hello"))
    books.now += DAY + MINUTE
    adapter = RecordingAdapter()

    assert await warnings_of(books, clock, adapter).warn() == 0
    assert adapter.notified == []
