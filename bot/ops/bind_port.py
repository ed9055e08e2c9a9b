"""Binding a server to a port of this machine; or the reason why that fails."""

from __future__ import annotations

import errno
import socket

from aiohttp import web

from bot.errors import StartupError

BACKLOG = 1_024  # connections that the server has not accepted yet


async def listen(runner: web.AppRunner, host: str, port: int, setting: str) -> int:
    """Start a runner's server on this address and return the port; for port 0 the system chooses one.

    The caller cleans the runner up. Raises StartupError, which names the setting to change: `setting`, or HOST.
    """
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=BACKLOG).start()
    except OSError as error:
        reason = error.strerror or str(error)
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
