"""A monotonic clock for rate limits and timeouts. Tests replace it with a faster one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MonotonicClock:
    """`now` returns seconds since an arbitrary moment. `timeout` works like asyncio.timeout."""

    now: Callable[[], float] = time.monotonic
    timeout: Callable[[float | None], AbstractAsyncContextManager[object]] = asyncio.timeout

    async def pause(self, seconds: float) -> None:
        """Wait for that many seconds of this clock."""
        with suppress(TimeoutError):
            async with self.timeout(seconds):
                await asyncio.get_running_loop().create_future()
