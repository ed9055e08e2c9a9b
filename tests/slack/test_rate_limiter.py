"""bot.slack.rate_limiter: when a call of the Web API is sent."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from bot.slack.errors import RefusedError, ThrottledError, UnconfirmedError
from bot.slack.monotonic_clock import MonotonicClock
from bot.slack.rate_limit_tiers import RATE_LIMITS
from bot.slack.rate_limiter import RateLimiter
from tests.slack.test_errors import limited, refused
from tests.support.virtual_time import in_virtual_time, now

POST, START, UPDATE = "chat.postMessage", "chat.startStream", "chat.update"


class Calls:
    """Calls to a Slack that answers as scripted. It records when each call was sent, and how many were concurrent."""

    def __init__(self, limiter: RateLimiter, *answers: Exception | None) -> None:
        self.sent_at: list[float] = []
        self.max_concurrent = 0
        self.free = asyncio.Event()
        self.free.set()
        self._limiter = limiter
        self._answers = iter(answers)
        self._concurrent = 0
        self._changed = asyncio.Condition()

    async def send(self) -> str:
        """Send one call."""
        self.sent_at.append(self._limiter.clock.now())
        self._concurrent += 1
        self.max_concurrent = max(self.max_concurrent, self._concurrent)
        async with self._changed:
            self._changed.notify_all()
        try:
            await self.free.wait()
            await asyncio.sleep(0)
        finally:
            self._concurrent -= 1
        if (answer := next(self._answers, None)) is not None:
            raise answer
        return "ok"

    async def sent(self, times: int) -> None:
        """Wait until that many calls were sent."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.sent_at) >= times)


async def all_at_once(*calls: Coroutine[Any, Any, Any]) -> None:
    """Run these calls concurrently. All must succeed."""
    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(call)


@in_virtual_time
async def test_a_burst_goes_out_up_to_the_rate_limit_and_then_one_call_at_a_time() -> None:
    """Calls up to the rate limit are concurrent. Each further call waits for the end of the previous one."""
    limiter = RateLimiter(MonotonicClock(now))
    calls = Calls(limiter)
    calls.free.clear()
    async with asyncio.TaskGroup() as group:
        for _ in range(30):
            group.create_task(limiter.call(START, calls.send, wait_s=60))
        await calls.sent(20)
        first_burst, calls.max_concurrent = calls.max_concurrent, 0
        calls.free.set()

    assert (first_burst, calls.max_concurrent, len(calls.sent_at)) == (20, 1, 30)


@in_virtual_time
async def test_after_a_429_no_call_is_sent_before_retry_after() -> None:
    """The throttled call and a later call both wait for the Retry-After."""
    limiter = RateLimiter(MonotonicClock(now))
    calls = Calls(limiter, limited(30))
    async with asyncio.TaskGroup() as group:
        group.create_task(limiter.call(START, calls.send, wait_s=60))
        await calls.sent(1)
        group.create_task(limiter.call(START, calls.send, wait_s=60))
    first, *others = calls.sent_at

    assert [at - first >= 30 for at in others] == [True, True]


@in_virtual_time
async def test_a_call_that_cannot_wait_fails_at_once() -> None:
    """A call whose deadline is before the Retry-After is not sent, and not retried."""
    limiter = RateLimiter(MonotonicClock(now))
    calls = Calls(limiter, limited(30))
    for wait_s in (2, 20, 0):
        with pytest.raises(ThrottledError) as throttled:
            await limiter.call(START, calls.send, wait_s=wait_s)
        assert 0 < throttled.value.retry_after_s <= 30

    assert len(calls.sent_at) == 1


@in_virtual_time
async def test_a_429_blocks_only_its_method_and_channel() -> None:
    """Other methods, and posts in other channels, are not blocked."""
    limiter = RateLimiter(MonotonicClock(now))
    calls = Calls(limiter, limited(30))
    with pytest.raises(ThrottledError):
        await limiter.call(POST, calls.send, channel="C1")

    assert await limiter.call(POST, calls.send, channel="C2") == "ok"
    assert await limiter.call(UPDATE, calls.send) == "ok"


@in_virtual_time
async def test_after_a_429_the_rate_limit_is_strict() -> None:
    """After a 429, posts in that channel are one second apart."""
    limiter = RateLimiter(MonotonicClock(now))
    calls = Calls(limiter, limited(1))
    await all_at_once(*(limiter.call(POST, calls.send, wait_s=60) for _ in range(4)))

    assert all(later - earlier >= 1 for earlier, later in pairwise(calls.sent_at))


@in_virtual_time
async def test_waiting_calls_are_sent_in_order() -> None:
    """The queue of waiting calls is first in, first out."""
    limiter, order = RateLimiter(MonotonicClock(now)), list[int]()

    async def post(number: int) -> None:
        async def send() -> None:
            order.append(number)

        await limiter.call(POST, send, wait_s=60)

    await all_at_once(*(post(number) for number in range(20)))

    assert order == list(range(20))


@pytest.mark.parametrize(
    ("answer", "idempotent", "times"),
    [
        (aiohttp.ConnectionTimeoutError(), False, 2),
        (aiohttp.ServerDisconnectedError(), False, 1),
        (aiohttp.ServerDisconnectedError(), True, 2),
        (refused({}, status=502), True, 2),
        (refused({"ok": False, "error": "is_archived"}), True, 1),
    ],
)
@in_virtual_time
async def test_which_calls_are_retried(answer: Exception, idempotent: bool, times: int) -> None:  # noqa: FBT001 - a table's column
    """An unconfirmed call is retried if it was not sent or is idempotent. A refused call never is."""
    limiter = RateLimiter(MonotonicClock(now))
    calls = Calls(limiter, answer)
    outcome = asyncio.gather(limiter.call(UPDATE, calls.send, wait_s=60, idempotent=idempotent), return_exceptions=True)
    (result,) = await outcome

    assert len(calls.sent_at) == times
    assert result == "ok" if times == 2 else isinstance(result, UnconfirmedError | RefusedError)


@in_virtual_time
async def test_retries_are_bounded() -> None:
    """If Slack stays unreachable, the call fails after three attempts."""
    limiter = RateLimiter(MonotonicClock(now))
    calls = Calls(limiter, *[aiohttp.ConnectionTimeoutError() for _ in range(9)])
    with pytest.raises(UnconfirmedError):
        await limiter.call(UPDATE, calls.send, wait_s=60, idempotent=True)

    assert len(calls.sent_at) == 3


@in_virtual_time
async def test_partial_updates_are_evenly_spaced_and_leave_room() -> None:
    """All growing messages share a part of the method's calls, evenly spaced."""
    limiter, at = RateLimiter(MonotonicClock(now)), list[float]()

    async def update() -> None:
        await limiter.wait_for_partial_update(UPDATE)
        at.append(limiter.clock.now())

    await all_at_once(*(update() for _ in range(8)))
    limit = RATE_LIMITS[UPDATE]

    assert all(later - earlier >= limit.period_s / limit.partial_updates for earlier, later in pairwise(at))
    assert limit.partial_updates < limit.calls


@in_virtual_time
async def test_partial_updates_wait_while_only_the_room_for_final_calls_is_left() -> None:
    """If the share of partial updates is used up, the rest of the minute's calls is for finishing messages."""
    limiter = RateLimiter(MonotonicClock(now))
    calls = Calls(limiter)
    for _ in range(RATE_LIMITS[UPDATE].partial_updates):
        await limiter.call(UPDATE, calls.send)
    started_at = limiter.clock.now()
    updating = asyncio.create_task(limiter.wait_for_partial_update(UPDATE))
    await limiter.call(UPDATE, calls.send)
    await updating

    assert limiter.clock.now() - started_at >= RATE_LIMITS[UPDATE].period_s / 2


@in_virtual_time
async def test_reservations_fit_into_the_rate_limit() -> None:
    """The calls that finish the messages in progress never exceed the rate limit."""
    limiter = RateLimiter(MonotonicClock(now))
    reserved = 0
    while limiter.can_reserve("chat.stopStream"):
        limiter.reserve("chat.stopStream")
        reserved += 1
    limiter.release("chat.stopStream")

    assert reserved == RATE_LIMITS["chat.stopStream"].calls
    assert limiter.can_reserve("chat.stopStream")


@in_virtual_time
async def test_a_cancelled_call_releases_its_slot() -> None:
    """A call that is cancelled in the queue or in flight does not block the next one."""
    limiter = RateLimiter(MonotonicClock(now))
    calls = Calls(limiter)
    calls.free.clear()
    tasks = [asyncio.create_task(limiter.call(POST, calls.send, wait_s=60)) for _ in range(3)]
    await calls.sent(1)
    tasks[0].cancel()
    tasks[1].cancel()
    calls.free.set()

    assert await tasks[2] == "ok"


def answered(value: str) -> Callable[[], Awaitable[str]]:
    """Return a call that is answered at once."""

    async def send() -> str:
        return value

    return send


@in_virtual_time
async def test_idle_windows_are_dropped() -> None:
    """Calls in ten thousand channels, a hundred of them a second, keep a thousand windows at most."""
    limiter = RateLimiter(MonotonicClock(now))
    for number in range(10_000):
        await limiter.clock.pause(0.01)
        await limiter.call(POST, answered("ok"), channel=f"C{number}")

    assert len(limiter._windows) <= 1_000  # noqa: SLF001 - the memory cannot be observed otherwise
