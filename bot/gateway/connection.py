"""Connections of the gateway: requests that are not valid HTTP get an error in the API's shape."""

from __future__ import annotations

from functools import partial
from typing import Any

from aiohttp import web

from bot.gateway.outbound import errors
from bot.gateway.outbound.errors import ErrorResponse
from bot.ops.http_server import ClientConnection
from bot.turns.pacer import Pacer

SECURITY_HEADERS = {
    "Server": "attendant",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
INVALID_HTTP = "The request is not valid HTTP, or its headers are too long."


class ApiConnection(ClientConnection):
    """One client's connection to the API."""

    __slots__ = ("_pacer",)

    def __init__(self, pacer: Pacer, server: web.Server, **options: Any) -> None:
        """`pacer` spreads the ends of lost connections."""
        super().__init__(server, **options)
        self._pacer = pacer

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the connection and cancel its request, a few in each pass of the loop: many may be lost at once."""
        self._pacer.call(partial(super().connection_lost, exc))

    def error_response(self, status: int) -> web.Response:
        """Return the response to a request that failed before or after its handler ran."""
        error = errors.internal_error().response if status >= 500 else ErrorResponse(status, INVALID_HTTP)  # noqa: PLR2004 - HTTP's own
        response = response_to(error)
        response.headers.update(SECURITY_HEADERS)
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response, aiohttp's own errors (an unknown `Expect`) in the API's shape."""
        if isinstance(resp, web.HTTPException):
            resp = response_to(ErrorResponse(resp.status, f"{resp.reason}."))
        return await super().finish_response(request, resp, start_time)


def response_to(error: ErrorResponse) -> web.Response:
    """Return the HTTP response of an error."""
    response = web.json_response(error.body(), status=error.status, headers=error.headers)
    if "Connection" in error.headers:
        response.force_close()
    return response
