"""bot.slack.rate_limiter: who may call Slack when."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from bot.slack.errors import BusyError, NoAnswerError, RefusedError
from bot.slack.rate_limiter import RATES, RateLimiter, Time
from tests.slack.test_errors import limited, refused
from tests.support.virtual_time import in_virtual_time, now

POST, START, UPDATE = "chat.postMessage", "chat.startStream", "chat.update"


class Calls:
    """What is sent to a Slack that answers as the test says; when each call was sent, and how many at once."""

    def __init__(self, limiter: RateLimiter, *answers: Exception | None) -> None:
        self.sent_at: list[float] = []
        self.most_at_once = 0
        self.free = asyncio.Event()
        self.free.set()
        self._limiter = limiter
        self._answers = iter(answers)
        self._at_once = 0
        self._changed = asyncio.Condition()

    async def send(self) -> str:
        """Have one call answered."""
        self.sent_at.append(self._limiter.time.now())
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        async with self._changed:
            self._changed.notify_all()
        try:
            await self.free.wait()
            await asyncio.sleep(0)
        finally:
            self._at_once -= 1
        if (answer := next(self._answers, None)) is not None:
            raise answer
        return "ok"

    async def sent(self, times: int) -> None:
        """Wait until so many calls were sent."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.sent_at) >= times)


async def all_at_once(*calls: Coroutine[Any, Any, Any]) -> None:
    """Make these calls at once; all succeed."""
    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(call)


@in_virtual_time
async def test_within_its_tier_a_method_is_called_freely_and_beyond_it_one_by_one() -> None:
    """As many calls as the tier promises go out together; whatever is more goes when the one before has ended."""
    limiter = RateLimiter(Time(now))
    calls = Calls(limiter)
    calls.free.clear()
    async with asyncio.TaskGroup() as group:
        for _ in range(30):
            group.create_task(limiter.call(START, calls.send, wait_s=60))
        await calls.sent(20)
        together, calls.most_at_once = calls.most_at_once, 0
        calls.free.set()

    assert (together, calls.most_at_once, len(calls.sent_at)) == (20, 1, 30)


@in_virtual_time
async def test_after_a_429_nobody_calls_before_its_time() -> None:
    """A call that was refused and one that comes later both wait out the Retry-After."""
    limiter = RateLimiter(Time(now))
    calls = Calls(limiter, limited(30))
    async with asyncio.TaskGroup() as group:
        group.create_task(limiter.call(START, calls.send, wait_s=60))
        await calls.sent(1)
        group.create_task(limiter.call(START, calls.send, wait_s=60))
    first, *others = calls.sent_at

    assert [at - first >= 30 for at in others] == [True, True]


@in_virtual_time
async def test_who_cannot_wait_is_told_at_once() -> None:
    """A call that would be too late after the Retry-After is not made at all, and neither is it repeated."""
    limiter = RateLimiter(Time(now))
    calls = Calls(limiter, limited(30))
    for wait_s in (2, 20, 0):
        with pytest.raises(BusyError) as busy:
            await limiter.call(START, calls.send, wait_s=wait_s)
        assert 0 < busy.value.seconds <= 30

    assert len(calls.sent_at) == 1


@in_virtual_time
async def test_a_429_is_for_its_method_and_place() -> None:
    """Another method, and posting in another channel, go on."""
    limiter = RateLimiter(Time(now))
    calls = Calls(limiter, limited(30))
    with pytest.raises(BusyError):
        await limiter.call(POST, calls.send, place="C1")

    assert await limiter.call(POST, calls.send, place="C2") == "ok"
    assert await limiter.call(UPDATE, calls.send) == "ok"


@in_virtual_time
async def test_after_a_429_the_tier_is_kept() -> None:
    """Once Slack has refused, posting in that channel keeps to one message a second."""
    limiter = RateLimiter(Time(now))
    calls = Calls(limiter, limited(1))
    await all_at_once(*(limiter.call(POST, calls.send, wait_s=60) for _ in range(4)))

    assert all(later - earlier >= 1 for earlier, later in pairwise(calls.sent_at))


@in_virtual_time
async def test_whoever_came_first_goes_first() -> None:
    """Calls that have to wait are made in the order in which they were asked for."""
    limiter, order = RateLimiter(Time(now)), list[int]()

    async def post(number: int) -> None:
        async def send() -> None:
            order.append(number)

        await limiter.call(POST, send, wait_s=60)

    await all_at_once(*(post(number) for number in range(20)))

    assert order == list(range(20))


@pytest.mark.parametrize(
    ("answer", "repeatable", "times"),
    [
        (aiohttp.ConnectionTimeoutError(), False, 2),
        (aiohttp.ServerDisconnectedError(), False, 1),
        (aiohttp.ServerDisconnectedError(), True, 2),
        (refused({}, status=502), True, 2),
        (refused({"ok": False, "error": "is_archived"}), True, 1),
    ],
)
@in_virtual_time
async def test_what_is_repeated(answer: Exception, repeatable: bool, times: int) -> None:  # noqa: FBT001 - a table's column
    """A call without an answer is repeated if it never reached Slack or does no harm; a refusal never is."""
    limiter = RateLimiter(Time(now))
    calls = Calls(limiter, answer)
    outcome = asyncio.gather(limiter.call(UPDATE, calls.send, wait_s=60, repeatable=repeatable), return_exceptions=True)
    (result,) = await outcome

    assert len(calls.sent_at) == times
    assert result == "ok" if times == 2 else isinstance(result, NoAnswerError | RefusedError)


@in_virtual_time
async def test_repeating_has_an_end() -> None:
    """When Slack stays out of reach, the call fails after a few tries."""
    limiter = RateLimiter(Time(now))
    calls = Calls(limiter, *[aiohttp.ConnectionTimeoutError() for _ in range(9)])
    with pytest.raises(NoAnswerError):
        await limiter.call(UPDATE, calls.send, wait_s=60, repeatable=True)

    assert len(calls.sent_at) == 3


@in_virtual_time
async def test_growing_is_evenly_spaced_and_leaves_room() -> None:
    """However many messages want to grow, they share a part of the method's calls, one after the other."""
    limiter, at = RateLimiter(Time(now)), list[float]()

    async def grow() -> None:
        await limiter.growth(UPDATE)
        at.append(limiter.time.now())

    await all_at_once(*(grow() for _ in range(8)))
    rate = RATES[UPDATE]

    assert all(later - earlier >= rate.within_s / rate.growing for earlier, later in pairwise(at))
    assert rate.growing < rate.calls


@in_virtual_time
async def test_growing_waits_for_what_finishes_messages() -> None:
    """While the calls of a minute are used up to that share, what is left is for finishing."""
    limiter = RateLimiter(Time(now))
    calls = Calls(limiter)
    for _ in range(RATES[UPDATE].growing):
        await limiter.call(UPDATE, calls.send)
    began = limiter.time.now()
    growing = asyncio.create_task(limiter.growth(UPDATE))
    await limiter.call(UPDATE, calls.send)
    await growing

    assert limiter.time.now() - began >= RATES[UPDATE].within_s / 2


@in_virtual_time
async def test_no_more_is_begun_than_can_be_finished() -> None:
    """Each message that is begun owes Slack the call that finishes it; they fit into a minute."""
    limiter = RateLimiter(Time(now))
    begun = 0
    while limiter.affords("chat.stopStream"):
        limiter.owe("chat.stopStream", 1)
        begun += 1
    limiter.owe("chat.stopStream", -1)

    assert begun == RATES["chat.stopStream"].calls
    assert limiter.affords("chat.stopStream")


@in_virtual_time
async def test_a_call_that_is_given_up_leaves_its_place() -> None:
    """Whoever is cancelled in the queue, or while calling, holds nobody up."""
    limiter = RateLimiter(Time(now))
    calls = Calls(limiter)
    calls.free.clear()
    tasks = [asyncio.create_task(limiter.call(POST, calls.send, wait_s=60)) for _ in range(3)]
    await calls.sent(1)
    tasks[0].cancel()
    tasks[1].cancel()
    calls.free.set()

    assert await tasks[2] == "ok"


def awaited(value: str) -> Callable[[], Awaitable[str]]:
    """A call that is answered at once."""

    async def send() -> str:
        return value

    return send


@in_virtual_time
async def test_places_without_calls_are_forgotten() -> None:
    """Ten thousand channels, a hundred of them a second, take no more memory than a thousand."""
    limiter = RateLimiter(Time(now))
    for number in range(10_000):
        await limiter.time.pause(0.01)
        await limiter.call(POST, awaited("ok"), place=f"C{number}")

    assert len(limiter._lanes) <= 1_000  # noqa: SLF001 - memory is not to be seen otherwise
