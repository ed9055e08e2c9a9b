"""Waiting for a state: whoever waits is woken by every change, and never asks the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Watch:
    """Wakes those who wait for something to become true."""

    def __init__(self) -> None:
        self._asleep: set[asyncio.Future[None]] = set()

    def changed(self) -> None:
        """Something may have become true."""
        for future in self._asleep:
            if not future.done():
                future.set_result(None)
        self._asleep.clear()

    async def until(self, holds: Callable[[], bool], *, timeout_s: float, describe: Callable[[], str]) -> None:
        """Return as soon as `holds()`. Raises AssertionError with `describe()` when it does not within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                while not holds():
                    await self._change()
        except TimeoutError:
            raise AssertionError(f"not so after {timeout_s:g} s:\n{describe()}") from None

    async def _change(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._asleep.add(future)
        try:
            await future
        finally:
            self._asleep.discard(future)
