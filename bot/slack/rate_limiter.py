"""When Slack is called: one limiter for all that an installation shows, which counts as Slack counts.

Rule: up to its tier a method is called freely, and beyond it one call at a time, because a tier is the least that Slack
promises; after a 429 nobody calls the method before its time. What lets an unfinished message grow leaves room for what
finishes one. https://docs.slack.dev/apis/web-api/rate-limits
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from bot.slack.errors import BusyError, CallFailed, NoAnswerError, failure_of

T = TypeVar("T")

_WARY_S = 300.0  # for so long after a 429 a method is not called beyond its tier
_PAUSES_S = (0.5, 2.0)  # before a call is repeated that got no answer
_LANES_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Rate:
    """How often Slack lets a method be called, and how many of these calls may show what is not whole yet."""

    calls: int
    within_s: float = 60.0
    growing: int = 0


_TIER_2, _TIER_3, _TIER_4 = Rate(20), Rate(50), Rate(100)

# https://docs.slack.dev/reference/methods names each method's tier. assistant.threads.setStatus has none.
RATES: Mapping[str, Rate] = {
    "agents.sessions.setStatus": _TIER_3,
    "assistant.threads.setStatus": _TIER_4,
    "chat.appendStream": Rate(100, growing=85),
    "chat.delete": _TIER_3,
    "chat.postMessage": Rate(1, within_s=1.0),  # in each channel
    "chat.startStream": _TIER_2,
    "chat.stopStream": _TIER_2,
    "chat.update": Rate(50, growing=30),
    "conversations.replies": _TIER_3,
    "users.info": _TIER_4,
}


@dataclass(frozen=True, slots=True)
class Time:
    """How time passes: the seconds since some moment, and a limit to waiting, as asyncio.timeout is one."""

    now: Callable[[], float] = time.monotonic
    limit: Callable[[float | None], AbstractAsyncContextManager[object]] = asyncio.timeout

    async def pause(self, seconds: float) -> None:
        """Let so many seconds pass."""
        with suppress(TimeoutError):
            async with self.limit(seconds):
                await asyncio.get_running_loop().create_future()


class RateLimiter:
    """Lets calls of the Web API through, each in its time. One workspace's: it knows of one installation."""

    def __init__(self, passing: Time | None = None) -> None:
        """Time passes as it does, unless `passing` says otherwise."""
        self.time = passing or Time()
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._owed: Counter[str] = Counter()

    async def call(
        self,
        method: str,
        send: Callable[[], Awaitable[T]],
        *,
        place: str = "",
        wait_s: float = 0.0,
        repeatable: bool = False,
    ) -> T:
        """Send when it is this call's turn, after `wait_s` seconds at most; again after a 429 when there is time.

        `place` is what Slack counts by, besides the method. Without an answer the call is repeated, shortly, if it
        did not reach Slack or is `repeatable` without harm. Raises CallError.
        """
        lane, deadline = self._lane(method, place), self.time.now() + wait_s
        pauses = iter(_PAUSES_S if wait_s else ())
        while True:
            try:
                async with lane.turn(deadline):
                    return await send()
            except CallFailed as error:
                failure = failure_of(error, method)
            if isinstance(failure, BusyError):
                lane.close(failure.seconds)
                continue
            harmless = isinstance(failure, NoAnswerError) and (repeatable or not failure.sent)
            pause_s = next(pauses, None) if harmless else None
            if pause_s is None:
                raise failure
            await self.time.pause(pause_s)

    async def growth(self, method: str) -> None:
        """Wait until this method may be called to show more of what is not whole yet: whoever came first goes first."""
        await self._lane(method).growth()

    def affords(self, method: str) -> bool:
        """Whether one more message can be begun that this method will have to finish, without making others wait."""
        lane = self._lane(method)
        return lane.is_open and lane.used + self._owed[method] < lane.rate.calls

    def owe(self, method: str, change: int) -> None:
        """Count the messages that this method will have to finish: one more, or one less."""
        self._owed[method] += change

    def _lane(self, method: str, place: str = "") -> _Lane:
        if (method, place) not in self._lanes:
            if len(self._lanes) >= _LANES_KEPT:
                self._lanes = {key: lane for key, lane in self._lanes.items() if not lane.is_idle}
            self._lanes[method, place] = _Lane(method, RATES[method], self.time)
        return self._lanes[method, place]


class _Lane:
    """The calls that Slack counts together, in the order in which they were asked for."""

    def __init__(self, method: str, rate: Rate, passing: Time) -> None:
        self.rate = rate
        self._method = method
        self._time = passing
        self._under_way = 0
        self._ended: deque[float] = deque(maxlen=rate.calls)
        self._closed_until = self._wary_until = self._next_growth = -math.inf
        self._queue, self._growers = asyncio.Lock(), asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def used(self) -> int:
        """How many of the calls that the rate allows are used up: Slack may have counted each until it ended."""
        since = self._time.now() - self.rate.within_s
        return self._under_way + sum(ended > since for ended in self._ended)

    @property
    def is_open(self) -> bool:
        """Whether no 429 forbids to call."""
        return self._time.now() >= self._closed_until

    @property
    def is_idle(self) -> bool:
        """Whether nothing is lost when this is forgotten."""
        return self.is_open and not self.used and not self._queue.locked() and not self._growers.locked()

    @asynccontextmanager
    async def turn(self, deadline: float) -> AsyncIterator[None]:
        """Wait for the turn to call, which lasts as long as the context. Raises BusyError when it would be too late."""
        await self._wait_for_turn(deadline)
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._ended.append(self._time.now())
            self._changed.set()

    def close(self, seconds: float) -> None:
        """Let nobody call for so long: Slack said so."""
        self._closed_until = max(self._closed_until, self._time.now() + seconds)
        self._wary_until = self._closed_until + _WARY_S

    async def growth(self) -> None:
        """Wait for one of the calls that are left over for growing; they are evenly spaced."""
        async with self._growers:
            while (wait_s := self._growth_wait_s()) > 0:
                await self._change(wait_s)
            self._next_growth = self._time.now() + self._spacing_s

    @property
    def _spacing_s(self) -> float:
        return self.rate.within_s / self.rate.growing

    async def _wait_for_turn(self, deadline: float) -> None:
        now = self._time.now()
        left_s = deadline - now if self._closed_until <= deadline else 0.0
        try:
            async with self._time.limit(left_s), self._queue:
                while (wait_s := self._wait_s()) > 0:
                    await self._change(wait_s)
        except TimeoutError:
            raise BusyError(self._method, "ratelimited", max(self._closed_until - now, 0.0)) from None

    def _wait_s(self) -> float:
        now = self._time.now()
        if now < self._closed_until:
            return self._closed_until - now
        if self.used < self.rate.calls:
            return 0.0
        if self._under_way:
            return math.inf  # the end of a call under way will tell
        return self._ended[0] + self.rate.within_s - now if now < self._wary_until else 0.0

    def _growth_wait_s(self) -> float:
        now, until = self._time.now(), max(self._closed_until, self._next_growth)
        if now < until:
            return until - now
        return 0.0 if self.used < self.rate.growing and not self._queue.locked() else self._spacing_s

    async def _change(self, wait_s: float) -> None:
        """Wait for the end of a call, so long at most."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with self._time.limit(wait_s if math.isfinite(wait_s) else None):
                await self._changed.wait()
