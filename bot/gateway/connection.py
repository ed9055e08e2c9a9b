"""Connections: requests that are not valid HTTP get an error in the API's shape, and slow clients are disconnected.

Rule: no response and no log line repeats bytes of a broken request, because they may contain a key.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

from aiohttp import web

from bot.gateway.outbound import errors
from bot.gateway.outbound.errors import ErrorResponse
from bot.turns.pacer import Pacer

log = logging.getLogger(__name__)

SECURITY_HEADERS = {
    "Server": "attendant",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
LINGERING_S = 10.0  # time to read the rest of a refused body: a client that still sends may miss the response
INVALID_HTTP = "The request is not valid HTTP, or its headers are too long."

# aiohttp's own log lines quote the broken request.
_MUTED = logging.Logger("muted", logging.CRITICAL + 1)  # noqa: LOG001 - it must have no handlers


class Runner(web.AppRunner):
    """Serves an application over these connections."""

    def __init__(
        self, app: web.Application, *, shutdown_timeout: float, client_timeout_s: float, pacer: Pacer, **limits: Any
    ) -> None:
        """`client_timeout_s`: how long a client may take to send headers or to read a response.

        `pacer` spreads the ends of lost connections. `limits`: aiohttp's own, of lengths.
        """
        super().__init__(app, shutdown_timeout=shutdown_timeout)
        self._pacer = pacer
        lingering_s = min(LINGERING_S, client_timeout_s)
        # aiohttp would decompress a body before anybody looks at its key: 200 kB may become 200 MB.
        limits["auto_decompress"] = False
        self._limits = {"keepalive_timeout": client_timeout_s, "lingering_time": lingering_s, **limits}

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(
            self._pacer,
            server.request_handler,
            request_factory=server.request_factory,
            handler_cancellation=True,  # a client that disconnects cancels its answer
            logger=_MUTED,
            access_log=None,
            **self._limits,
        )


class _Server(web.Server):
    def __init__(self, pacer: Pacer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pacer = pacer
        self._connection_options = {name: value for name, value in kwargs.items() if name not in _SERVER_OPTIONS}

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, self.pacer, loop=self._loop, **self._connection_options)


_SERVER_OPTIONS = {"request_factory", "handler_cancellation"}


class _Connection(web.RequestHandler):
    __slots__ = ("_pacer",)

    def __init__(self, server: _Server, pacer: Pacer, **options: Any) -> None:
        super().__init__(server, **options)
        self._pacer = pacer

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the connection and cancel its request, a few in each pass of the loop: many may be lost at once."""
        self._pacer.call(partial(super().connection_lost, exc))

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
            log.error("connection_failed", exc_info=exc)
        else:
            log.info("invalid_http", extra={"status": status})
        error = errors.internal_error().response if status >= 500 else ErrorResponse(status, INVALID_HTTP)  # noqa: PLR2004
        response = response_to(error)
        response.headers.update(SECURITY_HEADERS)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response, aiohttp's own errors (an unknown `Expect`) in the API's shape.

        Disconnect a client that does not read it in time.
        """
        if isinstance(resp, web.HTTPException):
            resp = response_to(ErrorResponse(resp.status, f"{resp.reason}."))
        try:
            async with asyncio.timeout(self.keepalive_timeout):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            if self.transport is not None:
                self.transport.abort()  # close() would wait until the client has read everything
            return resp, True


def response_to(error: ErrorResponse) -> web.Response:
    """Return the HTTP response of an error."""
    response = web.json_response(error.body(), status=error.status, headers=error.headers)
    if "Connection" in error.headers:
        response.force_close()
    return response
