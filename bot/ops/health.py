"""The health endpoint. GET /healthz: the process is alive. GET /readyz: each part that it needs works; and some counts.

GET /metrics: the same counts and those of bot/metrics.py, for Prometheus.

Rule: no text of people and no secrets, because anybody who reaches the port can read the answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiohttp import web

from bot import metrics
from bot.errors import AttendantError
from bot.ops.bind_port import listen
from bot.ops.http_server import CLIENT_TIMEOUT_S, Runner

T = TypeVar("T")

PART_TIMEOUT_S = 2.0
CACHE_S = 1.0

Part = Callable[[], Awaitable[bool]]
Count = Callable[[], int]
Counts = Callable[[], Awaitable[Mapping[str, int]]]
Readiness = dict[str, Any]  # the body of the response


@asynccontextmanager
async def served(
    host: str,
    port: int,
    parts: Mapping[str, Part],
    local: Mapping[str, Count],
    shared: Counts,
    *,
    draining: Callable[[], bool] = lambda: False,
    client_timeout_s: float = CLIENT_TIMEOUT_S,
    most_connections: int | None = None,
) -> AsyncGenerator[int, None]:
    """Serve the paths on this address, and yield the port. Raises StartupError when it is not free.

    `local` counts this process; `shared` counts all replicas by the database. A shared count overrides a local one of
    the same name while the database answers.
    """

    async def look() -> Readiness:
        checks = asyncio.gather(*map(_in_time, parts.values()))
        works, shared_counts = await asyncio.gather(checks, _in_time(shared))
        return {
            "ready": all(works) and not draining(),
            "draining": draining(),
            "parts": dict(zip(parts, map(bool, works), strict=True)),
            "counts": {**{name: count() for name, count in local.items()}, **(shared_counts or {})},
        }

    latest = _Latest(look)

    runner = Runner(
        _application(latest), shutdown_timeout=1.0, client_timeout_s=client_timeout_s, most=most_connections
    )
    try:
        yield await listen(runner, host, port, "HEALTH_PORT")
    finally:
        await runner.cleanup()
        latest.cancel()


def _application(latest: _Latest) -> web.Application:
    async def ready(_: web.Request) -> web.Response:
        body = await latest.get()
        return web.json_response(body, status=200 if body["ready"] else 503)

    async def scraped(_: web.Request) -> web.Response:
        body = await latest.get()
        text = metrics.exposition(body["counts"], body["parts"], draining=body["draining"])
        return web.Response(body=text, headers={"Content-Type": metrics.CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/healthz", alive)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", scraped)
    return app


class _Latest:
    """The latest result of the checks. All requests within CACHE_S share one result, so that many cost no more."""

    def __init__(self, look: Callable[[], Awaitable[Readiness]]) -> None:
        self._look = look
        self._looking: asyncio.Task[Readiness] | None = None
        self._fresh_until = 0.0

    async def get(self) -> Readiness:
        """Return the result, which is being found or was found within CACHE_S."""
        if self._looking is None or (self._looking.done() and asyncio.get_running_loop().time() >= self._fresh_until):
            self._looking = asyncio.create_task(self._refresh())
        return await asyncio.shield(self._looking)  # a client that disconnects must not cancel it for the others

    async def _refresh(self) -> Readiness:
        try:
            return await self._look()
        finally:
            self._fresh_until = asyncio.get_running_loop().time() + CACHE_S

    def cancel(self) -> None:
        """Cancel running checks."""
        if self._looking is not None:
            self._looking.cancel()


async def alive(_: web.Request) -> web.Response:
    """Answer GET /healthz."""
    return web.json_response({"alive": True})


async def _in_time(check: Callable[[], Awaitable[T]]) -> T | None:
    try:
        async with asyncio.timeout(PART_TIMEOUT_S):
            return await check()
    except (AttendantError, TimeoutError):
        return None
