"""Waiting for a condition: a waiter wakes at every change and never polls the clock.

Rule: waiting must not slow down the code under test, so a slow condition is evaluated less often.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_QUICK_S = 0.0001
_PAUSE_FACTOR = 4  # pause after a slow evaluation, as a multiple of its duration


class Watch:
    """Wakes the tasks that wait for a condition."""

    def __init__(self) -> None:
        self._changes = 0
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def revision(self) -> int:
        """How many changes there were."""
        return self._changes

    def changed(self) -> None:
        """Wake every waiter, since its condition may have become true."""
        self._changes += 1
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def until(self, condition: Callable[[], bool], *, timeout_s: float, describe: Callable[[], str]) -> None:
        """Return as soon as `condition()` is true. Raises AssertionError with `describe()` after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                while not await self._is_met(condition):
                    pass
        except TimeoutError:
            raise AssertionError(f"not so after {timeout_s:g} s:\n{describe()}") from None

    async def _is_met(self, condition: Callable[[], bool]) -> bool:
        """Evaluate the condition once. If it is false, return only after the next change."""
        changes, started = self._changes, time.perf_counter()
        if condition():
            return True
        duration_s = time.perf_counter() - started
        if duration_s > _QUICK_S:
            await asyncio.sleep(_PAUSE_FACTOR * duration_s)
        if self._changes == changes:  # nothing changed meanwhile
            await self._next_change()
        return False

    async def _next_change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
