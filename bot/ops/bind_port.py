"""Binding a server to a port of this machine; or the reason why that fails."""

from __future__ import annotations

import asyncio
import errno
import os
import socket

from aiohttp import web

from bot.errors import StartupError

BACKLOG = 1_024  # connections that the server has not accepted yet
ACCEPTED_AT_ONCE = 8  # in one pass of the event loop: each takes about 0.3 ms, here and in the passes that follow


async def listen(runner: web.AppRunner, host: str, port: int, setting: str) -> int:
    """Start a runner's server on this address and return the port; for port 0 the system chooses one.

    The caller cleans the runner up. Raises StartupError, which names the setting to change: `setting`, or HOST.
    """
    await runner.setup()
    try:
        await _Site(runner, host, port, backlog=ACCEPTED_AT_ONCE).start()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)  # asyncio's is longer
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise StartupError(
                f"HOST {host} is no address of this machine ({reason}). Set it to one of its own, as 127.0.0.1 or "
                "0.0.0.0."
            ) from None
        raise StartupError(
            f"Port {port} on {host} cannot be listened on ({reason}). Set {setting} to another, or stop what uses it."
        ) from None
    bound: int = runner.addresses[0][1]
    return bound


class _Site(web.TCPSite):
    """A site whose backlog is longer than the number of connections that asyncio accepts at once.

    asyncio has one argument for both: https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.create_server
    """

    async def start(self) -> None:
        await super().start()
        if isinstance(self._server, asyncio.Server):
            for listening in self._server.sockets:
                with listening.dup() as same:
                    same.listen(BACKLOG)
