"""The HTTP server of each port: limits of times and lengths, and requests that are not valid HTTP.

Rule: no response and no log line repeats bytes of a broken request, because they may contain a key.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web

from bot.errors import trace

log = logging.getLogger(__name__)

CLIENT_TIMEOUT_S = 60.0  # proxies keep idle connections for as long: nginx, AWS's load balancers
LINGERING_S = 10.0  # time to read the rest of a refused body: a client that still sends may miss the response
MAX_HEADER_BYTES = 8_190
MAX_HEADERS = 100

# aiohttp's own log lines quote the broken request.
_MUTED = logging.Logger("muted", logging.CRITICAL + 1)  # noqa: LOG001 - it must have no handlers


class ClientConnection(web.RequestHandler):
    """One client's connection."""

    __slots__ = ()

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
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            if self.transport is not None:
                self.transport.abort()  # close() would wait until the client has read everything
            return resp, True


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
    ) -> None:
        """`client_timeout_s`: how long a client may be idle, send headers, or read a response.

        `connection` makes a connection from aiohttp's arguments. `cancels_handlers`: whether a client that disconnects
        cancels its handler.
        """
        super().__init__(app, shutdown_timeout=shutdown_timeout)
        self._connection = connection
        self._cancels_handlers = cancels_handlers
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
        )


class _Server(web.Server):
    def __init__(
        self, *args: Any, connection: Callable[..., ClientConnection], options: dict[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._connection = connection
        self._options = options

    def __call__(self) -> web.RequestHandler:
        return self._connection(self, loop=self._loop, **self._options)
