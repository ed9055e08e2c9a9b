"""Connection: what comes before there is a request, and is none; it is refused in the same shape as everything else.

Rule: nothing of what came is repeated, for it may hold a key.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiohttp import web

from bot.gateway import errors
from bot.gateway.errors import Error

log = logging.getLogger(__name__)

SECURITY = {
    "Server": "attendant",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
LINGERING_S = 10.0  # for the rest of a body that nobody wants: who is still sending it may miss the answer
NO_HTTP = "The request is not valid HTTP, or its headers are too long."

# For aiohttp's own complaints: of a request that is no HTTP it repeats the line, which may hold a key.
_UNHEARD = logging.Logger("unheard", logging.CRITICAL + 1)  # noqa: LOG001 - no handler shall find it


class Runner(web.AppRunner):
    """Serves an application over such connections."""

    def __init__(
        self, app: web.Application, *, shutdown_timeout: float, client_timeout_s: float, **bounds: Any
    ) -> None:
        """A client may take so long to send its next headers, or to read an answer; `bounds` as aiohttp has them."""
        super().__init__(app, shutdown_timeout=shutdown_timeout)
        lingering_s = min(LINGERING_S, client_timeout_s)
        self._bounds = {"keepalive_timeout": client_timeout_s, "lingering_time": lingering_s, **bounds}

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=True,  # a client that goes away ends its answer
            logger=_UNHEARD,
            access_log=None,
            **self._bounds,
        )


class _Server(web.Server):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._of_connection = {name: value for name, value in kwargs.items() if name not in _OF_SERVER}

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._of_connection)


_OF_SERVER = {"request_factory", "handler_cancellation"}


class _Connection(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it repeats what came
    ) -> web.StreamResponse:
        """What is no HTTP is refused, and the connection ends."""
        if request.writer.output_size > 0:
            raise ConnectionResetError("an answer has begun: nothing else can be said")
        if status >= 500:  # noqa: PLR2004 - HTTP's own
            log.error("a connection broke", exc_info=exc)
        else:
            log.info("a client sent what is no HTTP", extra={"status": status})
        response = response_to(errors.failed().error if status >= 500 else Error(status, NO_HTTP))  # noqa: PLR2004
        response.headers.update(SECURITY)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """aiohttp's own refusals, as of an unknown `Expect`, are told in our shape. Who does not read is left."""
        if isinstance(resp, web.HTTPException):
            resp = response_to(Error(resp.status, f"{resp.reason}."))
        try:
            async with asyncio.timeout(self.keepalive_timeout):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            if self.transport is not None:
                self.transport.abort()  # closed, it would wait until all of the answer was read
            return resp, True


def response_to(error: Error) -> web.Response:
    """The answer to a request that is refused."""
    response = web.json_response(error.body(), status=error.status, headers=error.headers)
    if "Connection" in error.headers:
        response.force_close()
    return response
