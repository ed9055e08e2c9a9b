"""Listener: a port of this machine, on which a server is reached; or why it cannot be had."""

from __future__ import annotations

import errno
import socket

from aiohttp import web

from bot.errors import StartupError

BACKLOG = 128  # connections that nobody has taken up yet


async def listen(runner: web.AppRunner, host: str, port: int, setting: str, *, backlog: int = BACKLOG) -> int:
    """Have a runner's server reached there; the port, which for 0 the system chooses. Whoever made it cleans it up.

    Raises StartupError, naming what to set: the port's setting, or HOST.
    """
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=backlog).start()
    except OSError as error:
        why = error.strerror or str(error)
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise StartupError(
                f"HOST {host} is no address of this machine ({why}). Set it to one of its own, as 127.0.0.1 or 0.0.0.0."
            ) from None
        raise StartupError(
            f"Port {port} on {host} cannot be listened on ({why}). Set {setting} to another, or stop what uses it."
        ) from None
    told: int = runner.addresses[0][1]
    return told
