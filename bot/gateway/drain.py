"""The drain: when the gateway stops, running requests may finish within a time limit. Then they end with an error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from bot.domain import texts
from bot.gateway.outbound.errors import unavailable


class Drain:
    """Keeps track of the running requests, and ends them."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: how long requests may go on after the stop."""
        self._seconds = seconds
        self._running: dict[asyncio.Task[Any] | None, asyncio.Timeout] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Count the block as a running request. Raises ApiError if the drain ends it."""
        try:
            async with asyncio.timeout(None) as timeout:
                self._running[task := asyncio.current_task()] = timeout
                try:
                    yield
                finally:
                    del self._running[task]
        except TimeoutError:
            if not timeout.expired():  # the error comes from the request itself
                raise
            raise unavailable(texts.STOPPING) from None

    async def wait(self, _: web.Application) -> None:
        """Wait for the running requests, and end those that take too long. aiohttp calls this on shutdown."""
        if tasks := [task for task in self._running if task is not None]:
            await asyncio.wait(tasks, timeout=self._seconds)
        for timeout in self._running.values():
            timeout.reschedule(asyncio.get_running_loop().time())
