"""The drain: when the gateway stops, requests under way may go on for a while; then they end, and are told so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from bot.domain import texts
from bot.gateway.errors import unavailable


class Drain:
    """The requests under way, and their end."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: for how long they may go on."""
        self._seconds = seconds
        self._inside: dict[asyncio.Task[Any] | None, asyncio.Timeout] = {}

    @asynccontextmanager
    async def inside(self) -> AsyncIterator[None]:
        """A request is under way inside the block. Raises Refusal when it took longer than the drain."""
        try:
            async with asyncio.timeout(None) as until:
                self._inside[task := asyncio.current_task()] = until
                try:
                    yield
                finally:
                    del self._inside[task]
        except TimeoutError:
            if not until.expired():  # it is the request's own
                raise
            raise unavailable(texts.STOPPING) from None

    async def run_dry(self, _: web.Application) -> None:
        """Wait for all of them, and end those that go on for too long; aiohttp's `on_shutdown`."""
        if running := [task for task in self._inside if task is not None]:
            await asyncio.wait(running, timeout=self._seconds)
        for until in self._inside.values():
            until.reschedule(asyncio.get_running_loop().time())
