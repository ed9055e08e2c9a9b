"""The gateway's server: its paths, and what holds for every answer there: errors in one shape, headers, CORS, bounds.

Rule: TLS is the proxy's job.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from aiohttp import web

from bot.config.settings import Settings
from bot.errors import AttendantError, StoreUnavailable
from bot.gateway import access_log, errors, openapi
from bot.gateway import headers as names
from bot.gateway.auth import LIMIT_HEADERS, Authenticator
from bot.gateway.chat_completions import ChatCompletions
from bot.gateway.completion import event
from bot.gateway.connection import SECURITY, Runner, response_to
from bot.gateway.drain import Drain
from bot.gateway.errors import ApiError, Error
from bot.gateway.sessions import PARAMETER, SessionRoutes
from bot.ops import health
from bot.ops.bind_port import listen
from bot.store.engine import Store
from bot.turns.chat_service import ChatService
from bot.turns.chat_sessions import ChatSessions

log = logging.getLogger(__name__)

MOST_HEADER_BYTES = 8_190
MOST_HEADERS = 100
BACKLOG = 1_024
FAREWELL_S = 5.0  # for the last words to those whose answers end because it stops

_ALLOWED_HEADERS = ("Authorization", "Content-Type", names.IDEMPOTENCY_HEADER, *names.SESSION_HEADERS)
_EXPOSED_HEADERS = ", ".join(["x-session-id", "x-session-state", "x-request-id", "Retry-After", *LIMIT_HEADERS])
_BEGUN = web.RequestKey("begun", web.StreamResponse)
_SDK_HEADER = "x-stainless-"  # what OpenAI's own SDKs tell of themselves

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Gateway:
    """The OpenAI-compatible API over the chat service."""

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
        self._doorman = Authenticator(store, settings, clock)
        self._chat = ChatCompletions(chat, self._doorman, settings, new_id)
        self._sessions = SessionRoutes(sessions, self._doorman, settings.idle_after)
        self._documents = {prefix: openapi.document(prefix, settings) for prefix in settings.gateway_prefixes}

    @asynccontextmanager
    async def served(self, port: int, setting: str = "GATEWAY_PORT") -> AsyncGenerator[int, None]:
        """Serve it on this port of HOST; the port. Raises StartupError, naming the setting, when it cannot be had."""
        runner = Runner(
            self._app(),
            shutdown_timeout=FAREWELL_S,
            client_timeout_s=self._settings.gateway_client_timeout_seconds,
            max_line_size=MOST_HEADER_BYTES,
            max_field_size=MOST_HEADER_BYTES,
            max_headers=MOST_HEADERS,
        )
        try:
            yield await listen(runner, self._settings.host, port, setting, backlog=BACKLOG)
        finally:
            await runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._keep], client_max_size=self._settings.gateway_max_body_bytes)
        app.on_response_prepare.append(self._dress)
        app.on_shutdown.append(self._drain.run_dry)
        app.router.add_get("/healthz", health.lives)
        for prefix in self._settings.gateway_prefixes:
            for slash in ("", "/"):  # some clients write it
                app.router.add_post(f"{prefix}{slash}", self._chat.complete)
                app.router.add_post(f"{prefix}/chat/completions{slash}", self._chat.complete)
                app.router.add_get(f"{prefix}/models{slash}", self._list_models)
            app.router.add_get(f"{prefix}/openapi.json", self._show_document)
            app.router.add_get(f"{prefix}/sessions/{{{PARAMETER}}}", self._sessions.tell)
            app.router.add_delete(f"{prefix}/sessions/{{{PARAMETER}}}", self._sessions.reset)
        return app

    async def _list_models(self, http: web.Request) -> web.Response:
        await self._doorman.know(http)
        names_of_models = dict.fromkeys([self._settings.openai_model, *self._settings.gateway_models])
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "attendant"} for name in names_of_models]
        return web.json_response({"object": "list", "data": data})

    async def _show_document(self, http: web.Request) -> web.Response:
        return web.json_response(self._documents[http.path.removesuffix("/openapi.json")])

    @web.middleware
    async def _keep(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every request is told of in the log when it ends."""
        request[access_log.ID] = f"req_{self._new_id()}"
        status, began = None, time.monotonic()
        try:
            response = await self._guard(request, handler)
            status = response.status
            return response
        finally:
            access_log.tell(request, status, time.monotonic() - began)

    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Errors become answers here, in OpenAI's shape; in a stream that has begun, its last event."""
        try:
            if self._is_preflight(request):
                return web.Response(status=204)
            async with self._drain.inside():
                return await handler(request)
        except ApiError as refusal:
            return await self._told(request, refusal.error)
        except web.HTTPException as error:
            return await self._told(request, _of_http(request, error))
        except AttendantError as error:
            if isinstance(error, StoreUnavailable):
                log.warning(
                    "the database was not there for a request: %s", error, extra={"request": request[access_log.ID]}
                )
            return await self._told(request, errors.of(error).error)
        except ConnectionError:
            raise
        except Exception:
            log.exception(
                "a request broke", extra={"path": access_log.path(request), "request": request[access_log.ID]}
            )
            request[access_log.WHY] = "internal_error"
            if _BEGUN in request:  # half an answer is out already: nobody shall take it for a whole one
                raise ConnectionResetError from None
            return await self._told(request, errors.failed().error)

    async def _told(self, http: web.Request, error: Error) -> web.StreamResponse:
        if error.why is not None:
            http[access_log.WHY] = error.why
        begun: web.StreamResponse | None = http.get(_BEGUN)
        if begun is None:
            return response_to(error)
        with suppress(TimeoutError):  # it does not read: then it is not told
            async with asyncio.timeout(self._settings.gateway_client_timeout_seconds):
                await begun.write(event(error.body()))
        return begun

    def _is_preflight(self, http: web.Request) -> bool:
        return http.method == "OPTIONS" and "Access-Control-Request-Method" in http.headers and self._welcomes(http)

    def _welcomes(self, http: web.Request) -> bool:
        return http.headers.get("Origin") in self._settings.gateway_origins

    async def _dress(self, http: web.Request, response: web.StreamResponse) -> None:
        """What every answer carries."""
        http[_BEGUN] = response
        response.headers.update(SECURITY)
        if access_log.ID in http:
            response.headers["x-request-id"] = http[access_log.ID]
        if self._settings.gateway_origins:
            response.headers["Vary"] = "Origin"
        if self._welcomes(http):
            response.headers["Access-Control-Allow-Origin"] = http.headers["Origin"]
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS
            if self._is_preflight(http):
                response.headers.update(_preflight(http))


def _preflight(http: web.Request) -> dict[str, str]:
    asked = (name.strip() for name in http.headers.get("Access-Control-Request-Headers", "").split(","))
    of_sdk = [name for name in asked if name.lower().startswith(_SDK_HEADER) and name.isascii() and name.isprintable()]
    return {
        "Access-Control-Allow-Methods": "GET, POST, DELETE",
        "Access-Control-Allow-Headers": ", ".join([*_ALLOWED_HEADERS, *of_sdk]),
        "Access-Control-Max-Age": "600",
    }


def _of_http(http: web.Request, error: web.HTTPException) -> Error:
    """An error of the server's own: no such path, or no such method there."""
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return Error(error.status, f"Invalid URL or method: {error.reason} ({http.method}).", headers=headers)
