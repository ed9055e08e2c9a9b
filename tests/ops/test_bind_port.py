"""bot.ops.bind_port: a crowd that connects at once is accepted in small steps."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest
from aiohttp import web

from bot.ops.bind_port import ACCEPTED_AT_ONCE, listen
from bot.ops.http_server import Runner
from tests.support.timeouts import GENEROUS_S

CROWD = 300  # more than asyncio's own limit of connections that wait
HOST = "127.0.0.1"


class CountingRunner(Runner):
    """A server that counts its connections."""

    made = 0

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        connection_made = server.connection_made

        def counted(handler: web.RequestHandler, transport: asyncio.Transport) -> None:
            self.made += 1
            connection_made(handler, transport)

        server.connection_made = counted  # type: ignore[method-assign]
        return server


@pytest.fixture
async def runner() -> AsyncIterator[CountingRunner]:
    """Yield a server of no routes."""
    server = CountingRunner(web.Application(), shutdown_timeout=0)
    yield server
    await server.cleanup()


async def test_a_pass_of_the_loop_accepts_few_of_a_crowd(runner: CountingRunner) -> None:
    """However many clients wait, each pass accepts a few. None is refused."""
    port, most = await listen(runner, HOST, 0, "HEALTH_PORT"), 0
    with ExitStack() as clients:
        for _ in range(CROWD):  # the loop stands, and the system keeps the connections
            clients.enter_context(socket.create_connection((HOST, port), timeout=GENEROUS_S))
        async with asyncio.timeout(GENEROUS_S):
            while (before := runner.made) < CROWD:
                await asyncio.sleep(0)
                most = max(most, runner.made - before)
    assert 0 < most <= ACCEPTED_AT_ONCE
