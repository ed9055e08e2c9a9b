"""The HTTP server of each port: limits of times, lengths and connections, and requests that are not valid HTTP.

Each port has a limit of connections of its own, so that a flood of one leaves the others their file descriptors. At the
limit a new connection takes the place of the one that was used least recently, unless its request was authenticated.
Rule: no response and no log line repeats bytes of a broken request, because they may contain a key.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Callable
from typing import Any

from aiohttp import web

from bot.errors import trace

log = logging.getLogger(__name__)

CLIENT_TIMEOUT_S = 60.0  # proxies keep idle connections for as long: nginx, AWS's load balancers
LINGERING_S = 10.0  # time to read the rest of a refused body: a client that still sends may miss the response
MAX_HEADER_BYTES = 8_190
MAX_HEADERS = 100
MAX_CONNECTIONS = 2_000  # of one port; more than the streams that MAX_RUNNING_TURNS allows
FILES_SHARE = 1 / 4  # of the process's file descriptors, for the connections of one port

# aiohttp's own log lines quote the broken request.
_MUTED = logging.Logger("muted", logging.CRITICAL + 1)  # noqa: LOG001 - it must have no handlers


class ClientConnection(web.RequestHandler):
    """One client's connection."""

    __slots__ = ("is_authenticated",)

    def __init__(self, server: web.Server, **options: Any) -> None:
        super().__init__(server, **options)
        self.is_authenticated = False  # its present request

    def error_response(self, status: int) -> web.Response:
        """Return the response to a request that failed before or after its handler ran."""
        return web.Response(status=status)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes the request
    ) -> web.StreamResponse:
        """Return the response to a request that is not valid HTTP, and close the connection."""
        if request.writer.output_size > 0:
            raise ConnectionResetError("the response has begun, so that no error can be sent")
        if status >= 500:  # noqa: PLR2004 - HTTP's own
            log.error("connection_failed", extra={"traceback": trace(exc)})
        else:
            log.info("invalid_http", extra={"status": status})
        response = self.error_response(status)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response. Disconnect a client that does not read it in time."""
        try:
            async with asyncio.timeout(self.keepalive_timeout):
                result = await super().finish_response(request, resp, start_time)
        except TimeoutError:
            if self.transport is not None:
                self.transport.abort()  # close() would wait until the client has read everything
            return resp, True
        self.is_authenticated = False
        if isinstance(self._manager, _Server):
            self._manager.note_use(self)
        return result


def keep_connection(request: web.Request) -> None:
    """Keep the connection of an authenticated request until its response is sent, also when too many are open."""
    if isinstance(request.protocol, ClientConnection):
        request.protocol.is_authenticated = True


def most_connections() -> int:
    """Return how many connections a port may have open at once."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if files == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, int(FILES_SHARE * files))


class Runner(web.AppRunner):
    """Serves an application over these connections."""

    def __init__(
        self,
        app: web.Application,
        *,
        shutdown_timeout: float,
        client_timeout_s: float = CLIENT_TIMEOUT_S,
        connection: Callable[..., ClientConnection] = ClientConnection,
        cancels_handlers: bool = False,
        most: int | None = None,
    ) -> None:
        """`most`: how many connections may be open; None: see `most_connections`.

        `client_timeout_s`: how long a client may be idle, send headers, or read a response.

        `connection` makes a connection from aiohttp's arguments. `cancels_handlers`: whether a client that disconnects
        cancels its handler.
        """
        super().__init__(app, shutdown_timeout=shutdown_timeout)
        self._connection = connection
        self._cancels_handlers = cancels_handlers
        self._most = most or most_connections()
        self._options = {
            "keepalive_timeout": client_timeout_s,
            "lingering_time": min(LINGERING_S, client_timeout_s),
            "max_line_size": MAX_HEADER_BYTES,
            "max_field_size": MAX_HEADER_BYTES,
            "max_headers": MAX_HEADERS,
            "auto_decompress": False,  # 100 kB may become 100 MB, before anybody has looked at a key or a signature
            "logger": _MUTED,
            "access_log": None,
        }

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(
            server.request_handler,
            request_factory=server.request_factory,
            handler_cancellation=self._cancels_handlers,
            connection=self._connection,
            options=self._options,
            most=self._most,
        )


class _Server(web.Server):
    def __init__(
        self,
        *args: Any,
        connection: Callable[..., ClientConnection],
        options: dict[str, Any],
        most: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._connection = connection
        self._options = options
        self._most = most
        self._open: dict[web.RequestHandler, asyncio.Transport] = {}  # the least recently used one is the first
        self._dropped = 0

    def __call__(self) -> web.RequestHandler:
        return self._connection(self, loop=self._loop, **self._options)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Count a new connection, and close one if there are too many."""
        super().connection_made(handler, transport)
        self._open[handler] = transport
        if len(self._open) > self._most:
            self._drop_one()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Count a connection no more."""
        self._open.pop(handler, None)
        super().connection_lost(handler, exc)

    def note_use(self, handler: web.RequestHandler) -> None:
        """Note that a request of this connection was answered."""
        if (transport := self._open.pop(handler, None)) is not None:
            self._open[handler] = transport

    def _drop_one(self) -> None:
        """Close the least recently used connection without an authenticated request. The new one is among them."""
        dropped = next(
            each for each in self._open if not (isinstance(each, ClientConnection) and each.is_authenticated)
        )
        self._open.pop(dropped).abort()
        self._dropped += 1
        if self._dropped.bit_count() == 1:  # the first, second, fourth, eighth …: a flood must not fill the log
            log.warning("connections_dropped", extra={"most": self._most, "count": self._dropped})
