"""The rate limiter of all Web API calls that show answers. It counts calls as Slack does, in sliding windows.

Rule: a method is called freely up to its rate limit. Beyond it calls go out one at a time, because a tier is only the
minimum that Slack guarantees. After a 429 no call of the method is sent before the Retry-After, and then the limit
is strict for a while. Partial updates leave room for the calls that finish messages.
https://docs.slack.dev/apis/web-api/rate-limits
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from bot.metrics import SLACK_CALLS
from bot.slack.errors import CLIENT_ERRORS, ThrottledError, UnconfirmedError, call_error
from bot.slack.monotonic_clock import MonotonicClock
from bot.slack.rate_limit_tiers import RATE_LIMITS, RateLimit

T = TypeVar("T")

_STRICT_S = 300.0  # after a 429: the time in which a method does not exceed its rate limit
_RETRY_DELAYS_S = (0.5, 2.0)  # before each retry of an unconfirmed call
_MAX_WINDOWS = 1_000


class RateLimiter:
    """Sends Web API calls within the rate limits of one installation of the app."""

    def __init__(self, clock: MonotonicClock | None = None) -> None:
        self.clock = clock or MonotonicClock()
        self._windows: dict[tuple[str, str], _SlidingWindow] = {}
        self._reserved: Counter[str] = Counter()

    async def call(
        self,
        method: str,
        send: Callable[[], Awaitable[T]],
        *,
        channel: str = "",
        wait_s: float = 0.0,
        idempotent: bool = False,
    ) -> T:
        """Send the call when the rate limit allows it. Raise CallError if it fails, or would wait longer than `wait_s`.

        Pass `channel` for a method that Slack limits per channel. A throttled call is retried within `wait_s`. An
        unconfirmed call is retried twice if it was not sent or is `idempotent`, unless `wait_s` is 0.
        """
        window, deadline = self._window(method, channel), self.clock.now() + wait_s
        delays = iter(_RETRY_DELAYS_S if wait_s else ())
        while True:
            try:
                async with window.slot(deadline):
                    response = await send()
            except CLIENT_ERRORS as error:
                failure = call_error(error, method)
                SLACK_CALLS.labels(method, failure.outcome).inc()
            else:
                SLACK_CALLS.labels(method, "ok").inc()
                return response
            if isinstance(failure, ThrottledError):
                window.block(failure.retry_after_s)
                continue
            may_retry = isinstance(failure, UnconfirmedError) and (idempotent or not failure.sent)
            delay_s = next(delays, None) if may_retry else None
            if delay_s is None:
                raise failure
            await self.clock.pause(delay_s)

    async def wait_for_partial_update(self, method: str) -> None:
        """Wait until the method may be called to show more of an unfinished message. First come, first served."""
        await self._window(method).wait_for_partial_update()

    def can_reserve(self, method: str) -> bool:
        """Return whether one more call of this method fits into the rate limit, besides the reserved ones."""
        window = self._window(method)
        return not window.is_blocked and window.used + self._reserved[method] < window.limit.calls

    def reserve(self, method: str, calls: int = 1) -> None:
        """Reserve calls of the method, each for the end of a message that has begun."""
        self._reserved[method] += calls

    def release(self, method: str) -> None:
        """Release one reserved call of the method."""
        self._reserved[method] -= 1

    def _window(self, method: str, channel: str = "") -> _SlidingWindow:
        if (method, channel) not in self._windows:
            if len(self._windows) >= _MAX_WINDOWS:
                self._windows = {key: window for key, window in self._windows.items() if not window.is_idle}
            self._windows[method, channel] = _SlidingWindow(method, RATE_LIMITS[method], self.clock)
        return self._windows[method, channel]


class _SlidingWindow:
    """The calls that Slack counts together: of one method, in one channel if Slack limits it per channel."""

    def __init__(self, method: str, limit: RateLimit, clock: MonotonicClock) -> None:
        self.limit = limit
        self._method = method
        self._clock = clock
        self._in_flight = 0
        self._ended_at: deque[float] = deque(maxlen=limit.calls)
        self._blocked_until = self._strict_until = self._next_partial_update_at = -math.inf
        self._call_queue, self._partial_update_queue = asyncio.Lock(), asyncio.Lock()  # both are fair
        self._call_ended = asyncio.Event()

    @property
    def used(self) -> int:
        """The calls in the window. A call counts from its start to a period after its end: Slack may count it late."""
        since = self._clock.now() - self.limit.period_s
        return self._in_flight + sum(ended_at > since for ended_at in self._ended_at)

    @property
    def is_blocked(self) -> bool:
        """Whether the Retry-After of a 429 has not passed."""
        return self._clock.now() < self._blocked_until

    @property
    def is_idle(self) -> bool:
        """Whether the window holds no state that matters."""
        is_waited_for = self._call_queue.locked() or self._partial_update_queue.locked()
        return not self.is_blocked and not self.used and not is_waited_for

    @asynccontextmanager
    async def slot(self, deadline: float) -> AsyncIterator[None]:
        """Wait for a slot, and hold it during the call. Raise ThrottledError if there is none by the deadline."""
        await self._wait_for_slot(deadline)
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            self._ended_at.append(self._clock.now())
            self._call_ended.set()

    def block(self, retry_after_s: float) -> None:
        """Allow no call for that many seconds, because Slack answered with a 429."""
        self._blocked_until = max(self._blocked_until, self._clock.now() + retry_after_s)
        self._strict_until = self._blocked_until + _STRICT_S

    async def wait_for_partial_update(self) -> None:
        """Wait for the next of the calls that are set aside for partial updates. They are evenly spaced."""
        async with self._partial_update_queue:
            while (wait_s := self._partial_update_wait_s()) > 0:
                await self._wait_for_call_end(wait_s)
            self._next_partial_update_at = self._clock.now() + self._spacing_s

    @property
    def _spacing_s(self) -> float:
        return self.limit.period_s / self.limit.partial_updates

    async def _wait_for_slot(self, deadline: float) -> None:
        now = self._clock.now()
        remaining_s = deadline - now if self._blocked_until <= deadline else 0.0
        try:
            async with self._clock.timeout(remaining_s), self._call_queue:
                while (wait_s := self._slot_wait_s()) > 0:
                    await self._wait_for_call_end(wait_s)
        except TimeoutError:
            raise ThrottledError(self._method, "ratelimited", max(self._blocked_until - now, 0.0)) from None

    def _slot_wait_s(self) -> float:
        now = self._clock.now()
        if now < self._blocked_until:
            return self._blocked_until - now
        if self.used < self.limit.calls:
            return 0.0
        if self._in_flight:
            return math.inf  # until a call ends
        return self._ended_at[0] + self.limit.period_s - now if now < self._strict_until else 0.0

    def _partial_update_wait_s(self) -> float:
        now, earliest = self._clock.now(), max(self._blocked_until, self._next_partial_update_at)
        if now < earliest:
            return earliest - now
        has_room = self.used < self.limit.partial_updates and not self._call_queue.locked()
        return 0.0 if has_room else self._spacing_s

    async def _wait_for_call_end(self, wait_s: float) -> None:
        """Wait until a call ends, but at most `wait_s` seconds."""
        self._call_ended.clear()
        with suppress(TimeoutError):
            async with self._clock.timeout(wait_s if math.isfinite(wait_s) else None):
                await self._call_ended.wait()
