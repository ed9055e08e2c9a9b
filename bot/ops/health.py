"""GET /healthz: the process lives. GET /readyz: everything it needs is there, each part by name; and some counts.

Rule: no words, no secrets. Whoever can reach the port may read them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

from aiohttp import web

from bot.errors import AttendantError
from bot.ops.bind_port import listen

T = TypeVar("T")

ANSWER_WITHIN_S = 2.0

Part = Callable[[], Awaitable[bool]]
Count = Callable[[], int]
Counts = Callable[[], Awaitable[Mapping[str, int]]]


@asynccontextmanager
async def served(
    host: str, port: int, parts: Mapping[str, Part], here: Mapping[str, Count], everywhere: Counts
) -> AsyncGenerator[int, None]:
    """Serve both paths on this address; the port. Raises StartupError when it cannot be had.

    What is counted `here` is told always; what is counted `everywhere` replaces it, as long as that can be had.
    """

    async def ready(_: web.Request) -> web.Response:
        asked = asyncio.gather(*map(_in_time, parts.values()))
        there, counted = await asyncio.gather(asked, _in_time(everywhere))
        body = {
            "ready": all(there),
            "parts": dict(zip(parts, map(bool, there), strict=True)),
            "counts": {**{name: count() for name, count in here.items()}, **(counted or {})},
        }
        return web.json_response(body, status=200 if body["ready"] else 503)

    app = web.Application()
    app.router.add_get("/healthz", lives)
    app.router.add_get("/readyz", ready)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    try:
        yield await listen(runner, host, port, "HEALTH_PORT")
    finally:
        await runner.cleanup()


async def lives(_: web.Request) -> web.Response:
    """GET /healthz."""
    return web.json_response({"alive": True})


async def _in_time(asked: Callable[[], Awaitable[T]]) -> T | None:
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            return await asked()
    except (AttendantError, TimeoutError):
        return None
