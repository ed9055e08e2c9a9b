"""The gateway's server: its routes, and the common parts of all responses: the shape of errors, headers, CORS, limits.

Rule: a proxy in front of it terminates TLS.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial

from aiohttp import web

from bot.config.settings import Settings
from bot.errors import AttendantError, StoreUnavailable, trace
from bot.gateway.connection import SECURITY_HEADERS, ApiConnection, response_to
from bot.gateway.drain import Drain
from bot.gateway.inbound.auth import LIMIT_HEADERS, Authenticator
from bot.gateway.inbound.headers import IDEMPOTENCY_HEADER, SESSION_HEADERS
from bot.gateway.outbound import access_log, errors
from bot.gateway.outbound.completion import event
from bot.gateway.outbound.errors import ApiError, ErrorResponse
from bot.gateway.outbound.response_models import ListedModel, ModelList
from bot.gateway.routes import openapi
from bot.gateway.routes.chat_completions import ChatCompletions
from bot.gateway.routes.sessions import PARAMETER, SessionRoutes
from bot.ops import health
from bot.ops.bind_port import listen
from bot.ops.http_server import Runner
from bot.store.engine import Store
from bot.store.pool import OF_OTHERS
from bot.turns.chat_service import ChatService
from bot.turns.chat_sessions import ChatSessions

log = logging.getLogger(__name__)

SHUTDOWN_S = 5.0  # to send the error responses of requests that the drain ended

_ALLOWED_HEADERS = ("Authorization", "Content-Type", IDEMPOTENCY_HEADER, *SESSION_HEADERS)
_EXPOSED_HEADERS = ", ".join(["x-session-id", "x-session-state", "x-request-id", "Retry-After", *LIMIT_HEADERS])
_RESPONSE = web.RequestKey("response", web.StreamResponse)  # set when its headers are sent
_SDK_HEADER = "x-stainless-"  # OpenAI's SDKs describe themselves in headers that begin so

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Gateway:
    """Serves the OpenAI-compatible API."""

    def __init__(
        self,
        store: Store,
        chat: ChatService,
        sessions: ChatSessions,
        settings: Settings,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._new_id = new_id
        self._drain = Drain(settings.drain_seconds)
        self._pacer = chat.pacer
        self._authenticator = Authenticator(store, settings, clock)
        self._chat = ChatCompletions(chat, sessions.places, self._authenticator, settings, new_id)
        self._sessions = SessionRoutes(sessions, self._authenticator, settings.idle_after)

    @asynccontextmanager
    async def served(self, port: int, setting: str = "GATEWAY_PORT") -> AsyncGenerator[int, None]:
        """Serve the API on this port of HOST, and yield the port.

        Raises StartupError, which names the setting, if the port is not available.
        """
        runner = Runner(
            self._app(),
            shutdown_timeout=SHUTDOWN_S,
            client_timeout_s=self._settings.gateway_client_timeout_seconds,
            connection=partial(ApiConnection, self._pacer),
            cancels_handlers=True,  # a client that disconnects cancels its answer
        )
        try:
            yield await listen(runner, self._settings.host, port, setting)
        finally:
            await runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._log_request], client_max_size=self._settings.gateway_max_body_bytes)
        app.on_response_prepare.append(self._add_headers)
        app.on_shutdown.append(self._drain.wait)
        app.router.add_get("/healthz", health.alive)
        for prefix in self._settings.gateway_prefixes:
            for slash in ("", "/"):  # some clients append it
                app.router.add_post(f"{prefix}{slash}", self._chat.complete)
                app.router.add_post(f"{prefix}/chat/completions{slash}", self._chat.complete)
                app.router.add_get(f"{prefix}/models{slash}", self._list_models)
            app.router.add_get(f"{prefix}/openapi.json", self._show_document)
            app.router.add_get(f"{prefix}/sessions/{{{PARAMETER}}}", self._sessions.describe)
            app.router.add_delete(f"{prefix}/sessions/{{{PARAMETER}}}", self._sessions.reset)
        return app

    async def _list_models(self, http: web.Request) -> web.Response:
        await self._authenticator.authenticate(http)
        names = dict.fromkeys([self._settings.openai_model, *self._settings.gateway_models])
        models = ModelList(data=[ListedModel(id=name) for name in names])
        return web.json_response(models.model_dump())

    async def _show_document(self, http: web.Request) -> web.Response:
        return web.json_response(openapi.document(http.path.removesuffix("/openapi.json"), self._settings))

    @web.middleware
    async def _log_request(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Give the request an id, and log its end."""
        OF_OTHERS.set(True)
        await self._pacer.step()
        request[access_log.ID] = f"req_{self._new_id()}"
        status, started = None, time.monotonic()
        try:
            response = await self._handle_errors(request, handler)
            status = response.status
            return response
        finally:
            access_log.write(request, status, time.monotonic() - started)

    async def _handle_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn exceptions into error responses. In a stream that has begun, the error is the last event."""
        try:
            if self._is_preflight(request):
                return web.Response(status=204)
            async with self._drain.running():
                return await handler(request)
        except ApiError as error:
            return await self._send(request, error.response)
        except web.HTTPException as error:
            return await self._send(request, _from_http_error(request, error))
        except AttendantError as error:
            if isinstance(error, StoreUnavailable):
                log.warning("store_unavailable", extra={"request": request[access_log.ID], "error": str(error)})
            return await self._send(request, errors.from_error(error).response)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 - logged, so that other requests go on
            self._log_failure(request, error)
            request[access_log.ERROR] = "internal_error"
            if _RESPONSE in request:  # a broken connection shows the client that the answer is not complete
                raise ConnectionResetError from None
            return await self._send(request, errors.internal_error().response)

    @staticmethod
    def _log_failure(request: web.Request, error: Exception) -> None:
        fields = {"path": access_log.path(request), "request": request[access_log.ID], "traceback": trace(error)}
        log.error("request_failed", extra=fields)

    async def _send(self, http: web.Request, error: ErrorResponse) -> web.StreamResponse:
        http[access_log.ERROR] = error.log_code
        stream: web.StreamResponse | None = http.get(_RESPONSE)
        if stream is None:
            return response_to(error)
        with suppress(TimeoutError):  # the client does not read
            async with asyncio.timeout(self._settings.gateway_client_timeout_seconds):
                await stream.write(event(error.body()))
        return stream

    def _is_preflight(self, http: web.Request) -> bool:
        return (
            http.method == "OPTIONS" and "Access-Control-Request-Method" in http.headers and self._allows_origin(http)
        )

    def _allows_origin(self, http: web.Request) -> bool:
        return http.headers.get("Origin") in self._settings.gateway_origins

    async def _add_headers(self, http: web.Request, response: web.StreamResponse) -> None:
        """Add the headers that all responses share. aiohttp calls this before it sends the headers."""
        http[_RESPONSE] = response
        response.headers.update(SECURITY_HEADERS)
        if access_log.ID in http:
            response.headers["x-request-id"] = http[access_log.ID]
        if self._settings.gateway_origins:
            response.headers["Vary"] = "Origin"
        if self._allows_origin(http):
            response.headers["Access-Control-Allow-Origin"] = http.headers["Origin"]
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS
            if self._is_preflight(http):
                response.headers.update(_preflight_headers(http))


def _preflight_headers(http: web.Request) -> dict[str, str]:
    requested = (name.strip() for name in http.headers.get("Access-Control-Request-Headers", "").split(","))
    from_sdk = [
        name for name in requested if name.lower().startswith(_SDK_HEADER) and name.isascii() and name.isprintable()
    ]
    return {
        "Access-Control-Allow-Methods": "GET, POST, DELETE",
        "Access-Control-Allow-Headers": ", ".join([*_ALLOWED_HEADERS, *from_sdk]),
        "Access-Control-Max-Age": "600",
    }


def _from_http_error(http: web.Request, error: web.HTTPException) -> ErrorResponse:
    """Return the response to aiohttp's own error: an unknown path, or a method that the path does not support."""
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return ErrorResponse(error.status, f"Invalid URL or method: {error.reason} ({http.method}).", headers=headers)
