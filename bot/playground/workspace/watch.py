"""Waiting for a state: whoever waits is woken by every change, and never asks the clock.

Rule: waiting must not slow down what is waited for, so a question that takes long is asked less often.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_QUICK_S = 0.0001
_REST = 4  # times as long as a slow question took


class Watch:
    """Wakes those who wait for something to become true."""

    def __init__(self) -> None:
        self._changes = 0
        self._asleep: set[asyncio.Future[None]] = set()

    def changed(self) -> None:
        """Something may have become true."""
        self._changes += 1
        for future in self._asleep:
            if not future.done():
                future.set_result(None)
        self._asleep.clear()

    async def until(self, holds: Callable[[], bool], *, timeout_s: float, describe: Callable[[], str]) -> None:
        """Return as soon as `holds()`. Raises AssertionError with `describe()` when it does not within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                while not await self._asked(holds):
                    pass
        except TimeoutError:
            raise AssertionError(f"not so after {timeout_s:g} s:\n{describe()}") from None

    async def _asked(self, holds: Callable[[], bool]) -> bool:
        """Whether it holds; if not, something has changed since."""
        before, began = self._changes, time.perf_counter()
        if holds():
            return True
        took_s = time.perf_counter() - began
        if took_s > _QUICK_S:
            await asyncio.sleep(_REST * took_s)
        if self._changes == before:
            await self._change()
        return False

    async def _change(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._asleep.add(future)
        try:
            await future
        finally:
            self._asleep.discard(future)
