"""A thread is told, once in an idle time, that its session will expire; nothing hangs on it. On both databases."""

from __future__ import annotations

import asyncio
import dataclasses

from bot.domain import texts
from bot.domain.sessions import Expiring, IdleLimits
from bot.errors import PlatformError, PlatformUnavailable
from bot.ops.expiry_warnings import BATCH, ExpiryWarnings
from bot.store import sessions
from bot.testing import SettableClock
from tests.support.builders import ANA, DAY, THREAD, mention, reply, thread
from tests.support.recording_adapter import RecordingAdapter
from tests.support.store_driver import A_DAY, HOUR, MINUTE, Books

PLACES = [("desk", "T1")]


async def forewarned(books: Books, idle: IdleLimits = A_DAY) -> list[Expiring]:
    """The sessions whose threads are to be told now."""
    return await books.store.run(sessions.forewarn, PLACES, now=books.now, idle=idle, ahead=HOUR, batch=10)


async def test_a_session_is_warned_once_in_an_idle_time(books: Books) -> None:
    """Before its time it is not, then it is, and again only after somebody has written."""
    await books.answer(mention("hello", "1.0"))
    books.now += DAY - HOUR
    assert await forewarned(books) == []
    books.now += MINUTE
    [expiring] = await forewarned(books)
    assert (expiring.thread, expiring.expires_at - books.now) == (THREAD, HOUR - MINUTE)
    assert await forewarned(books) == []
    await books.answer(reply("hello again", "2.0"))
    books.now += DAY - MINUTE

    assert [again.id for again in await forewarned(books)] == ["s1"]


async def test_a_warning_is_no_activity(books: Books) -> None:
    """The session expires when it would have."""
    await books.answer(mention("hello"))
    books.now += DAY - MINUTE
    assert len(await forewarned(books)) == 1
    books.now += 2 * MINUTE

    assert await books.sweep() == 1


async def test_who_writes_meanwhile_is_not_warned(books: Books) -> None:
    """Between the decision and the line somebody may write, or start over: then there is nothing to say."""
    for number in (1, 2, 3):
        await books.answer(mention("hello", in_=thread(number)))
    books.now += DAY - MINUTE
    first, second, third = sorted(await forewarned(books), key=lambda expiring: expiring.id)
    await books.accepted(reply("wait", "9.0", in_=thread(1)))
    await books.reset(thread(2), ANA)

    assert [await books.store.run(sessions.is_warned, each) for each in (first, second, third)] == [False, False, True]


async def test_what_was_not_told_is_told_later(books: Books) -> None:
    """A warning that is taken back is due again; one of an idle time that is over is not touched."""
    await books.answer(mention("hello", in_=thread(1)))
    await books.answer(mention("hello", in_=thread(2)))
    books.now += DAY - MINUTE
    due = await forewarned(books)
    await books.answer(reply("here", "9.0", in_=thread(1)))
    await books.store.run(sessions.unwarn, due)

    assert [again.thread for again in await forewarned(books)] == [thread(2)]


async def test_replicas_warn_each_session_once(books: Books) -> None:
    """Several looking at the same moment share the sessions."""
    for number in range(12):
        await books.answer(mention("hello", in_=thread(number)))
    books.now += DAY - MINUTE
    found = await asyncio.gather(*(forewarned(books) for _ in range(6)))
    found.append(await forewarned(books))

    assert sorted(each.id for due in found for each in due) == sorted(f"s{number}" for number in range(1, 13))


async def test_nobody_warns_elsewhere_or_where_an_answer_is_owed(books: Books) -> None:
    """Other workspaces' threads are not ours to write in; who waits for an answer is told that."""
    await books.answer(mention("hello", in_=dataclasses.replace(THREAD, workspace="T2")))
    await books.accepted(mention("hello?"))
    books.now += DAY - MINUTE

    assert await forewarned(books) == []


async def test_the_warning_heeds_the_channels_limit(books: Books) -> None:
    """It comes so long before that channel's expiry."""
    idle = IdleLimits(DAY, {"C1": 2 * HOUR})
    await books.answer(mention("hello"))
    await books.answer(mention("hello", in_=dataclasses.replace(THREAD, channel="C2")))
    books.now += HOUR + MINUTE
    [expiring] = await forewarned(books, idle=idle)

    assert (expiring.thread.channel, expiring.expires_at - books.now) == ("C1", HOUR - MINUTE)


def warnings_of(books: Books, clock: SettableClock, adapter: RecordingAdapter) -> ExpiryWarnings:
    """One replica's, that warns an hour ahead."""
    return ExpiryWarnings(books.store, [adapter], clock=clock.now, idle=A_DAY, ahead=HOUR)


async def test_the_threads_are_told(books: Books, clock: SettableClock) -> None:
    """However many: each reads how long is left, once."""
    for number in range(BATCH + 1):
        await books.answer(mention("hello", in_=thread(number)))
    books.now += DAY - 5 * MINUTE
    adapter = RecordingAdapter()
    told = [await warnings_of(books, clock, adapter).warn() for _ in range(2)]

    assert told == [BATCH + 1, 0]
    assert {text for _, text in adapter.notified} == {texts.expires_soon(5 * MINUTE)}
    assert {place for place, _ in adapter.notified} == {thread(number) for number in range(BATCH + 1)}


async def test_a_platform_that_is_away_is_tried_again(books: Books, clock: SettableClock) -> None:
    """What could not be said stays to be said, and so does the rest of the batch."""
    for number in (1, 2, 3):
        await books.answer(mention("hello", in_=thread(number)))
    books.now += DAY - MINUTE
    adapter = RecordingAdapter()
    adapter.failures = [PlatformUnavailable("the platform asked to wait")]
    told = [await warnings_of(books, clock, adapter).warn() for _ in range(3)]

    assert told == [0, 3, 0]
    assert len(adapter.notified) == 3


async def test_a_refusal_is_final_and_stops_nobody_else(books: Books, clock: SettableClock) -> None:
    """Where the platform does not let us write, nothing is lost, and the others are told."""
    for number in (1, 2):
        await books.answer(mention("hello", in_=thread(number)))
    books.now += DAY - MINUTE
    adapter = RecordingAdapter()
    adapter.failures = [PlatformError("is_archived", "chat.postMessage")]
    told = [await warnings_of(books, clock, adapter).warn() for _ in range(2)]

    assert told == [1, 0]
    assert await books.accept(reply("still here", "9.0", in_=thread(1))) is not None
    assert (await books.claimed(1)).session_id == "s1"


async def test_what_is_expired_already_is_not_warned(books: Books, clock: SettableClock) -> None:
    """The sweep has not come by yet; a warning would come too late."""
    await books.answer(mention("hello"))
    books.now += DAY + MINUTE
    adapter = RecordingAdapter()

    assert await warnings_of(books, clock, adapter).warn() == 0
    assert adapter.notified == []
