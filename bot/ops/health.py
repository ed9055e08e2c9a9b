"""The health endpoint. GET /healthz: the process is alive. GET /readyz: each part that it needs works; and some counts.

Rule: no text of people and no secrets, because anybody who reaches the port can read the answers.
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

PART_TIMEOUT_S = 2.0

Part = Callable[[], Awaitable[bool]]
Count = Callable[[], int]
Counts = Callable[[], Awaitable[Mapping[str, int]]]


@asynccontextmanager
async def served(
    host: str, port: int, parts: Mapping[str, Part], local: Mapping[str, Count], shared: Counts
) -> AsyncGenerator[int, None]:
    """Serve both paths on this address, and yield the port. Raises StartupError when it is not free.

    `local` counts this process; `shared` counts all replicas by the database. A shared count overrides a local one of
    the same name while the database answers.
    """

    async def ready(_: web.Request) -> web.Response:
        checks = asyncio.gather(*map(_in_time, parts.values()))
        works, shared_counts = await asyncio.gather(checks, _in_time(shared))
        body = {
            "ready": all(works),
            "parts": dict(zip(parts, map(bool, works), strict=True)),
            "counts": {**{name: count() for name, count in local.items()}, **(shared_counts or {})},
        }
        return web.json_response(body, status=200 if body["ready"] else 503)

    app = web.Application()
    app.router.add_get("/healthz", alive)
    app.router.add_get("/readyz", ready)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    try:
        yield await listen(runner, host, port, "HEALTH_PORT")
    finally:
        await runner.cleanup()


async def alive(_: web.Request) -> web.Response:
    """Answer GET /healthz."""
    return web.json_response({"alive": True})


async def _in_time(check: Callable[[], Awaitable[T]]) -> T | None:
    try:
        async with asyncio.timeout(PART_TIMEOUT_S):
            return await check()
    except (AttendantError, TimeoutError):
        return None
