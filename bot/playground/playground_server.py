"""The playground's HTTP server: the Web API, Socket Mode, response URLs and the page, on one port of the loopback.

Rule: only its own page may call it from a browser. It refuses foreign host names (DNS rebinding) and requests from
the pages of other sites (CSRF).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from urllib.parse import urlsplit

from aiohttp import web

from bot.errors import StartupError
from bot.playground.delivery.deliveries import ACK_WITHIN_S, RETRY_AFTER_S, Deliveries
from bot.playground.delivery.http_delivery import HttpDelivery
from bot.playground.delivery.outcomes import InteractionOutcomes
from bot.playground.delivery.responses import Responses
from bot.playground.delivery.socket_mode import SocketModeDelivery
from bot.playground.page.feed import Feeds
from bot.playground.page.inspector import Inspector
from bot.playground.page.routes import PageApi
from bot.playground.web_api import chat_methods, files, lookups, statuses, streams, views
from bot.playground.web_api.calls import ApiCalls
from bot.playground.web_api.endpoint import WebApi
from bot.playground.web_api.fault_injection import FaultInjector
from bot.playground.web_api.rate_limits import RateLimits
from bot.playground.workspace.changes import AppUninstalled, Change
from bot.playground.workspace.workspace import Workspace

HOST = "127.0.0.1"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_SWEEP_INTERVAL_S = 15.0
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class PlaygroundServer:
    """Serves a workspace. With `request_url`, events go to the app over signed HTTP instead of Socket Mode.

    The page shows `notice`. The times are Slack's own. Tests set shorter ones.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        request_url: str | None = None,
        notice: str | None = None,
        ack_within_s: float = ACK_WITHIN_S,
        retry_after_s: Sequence[float] = RETRY_AFTER_S,
    ) -> None:
        self.workspace = workspace
        self.faults = FaultInjector(workspace.watch)
        self.calls = ApiCalls(workspace.watch)
        self.rate_limits = RateLimits(workspace.clock)
        self.sockets = SocketModeDelivery(workspace, self.faults)
        self.http = HttpDelivery(request_url, workspace.app, workspace.clock) if request_url else None
        self._responses = Responses(workspace)
        self.deliveries = Deliveries(
            workspace,
            self.http or self.sockets,
            InteractionOutcomes(workspace, self._responses),
            ack_within_s=ack_within_s,
            retry_after_s=retry_after_s,
        )
        self.files = files.Files(workspace)
        self._feeds = Feeds(workspace)
        self._notice = notice
        self._runner: web.AppRunner | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsubscribe: Callable[[], None] | None = None

    @property
    def url(self) -> str:
        """The page's address. Only valid once started."""
        return self.workspace.address + "/"

    @property
    def api_url(self) -> str:
        """The Web API's address, for SLACK_API_URL. Only valid once started."""
        return self.workspace.address + "/api/"

    @property
    def port(self) -> int:
        """The port. Only valid once started."""
        return urlsplit(self.workspace.address).port or 0

    async def start(self, port: int = 0) -> None:
        """Serve on this port of the loopback, or with 0 on any free port. Raises StartupError when the port is taken.

        A stopped server can start again on its old port. Tests simulate an outage of Slack in this way.
        """
        runner = web.AppRunner(self._app(self._notice), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, port).start()
        except OSError as error:
            await runner.cleanup()
            raise StartupError(
                f"The playground cannot use port {port} of {HOST}: another program has it. "
                "Stop that program, or set PORT to another number."
            ) from error
        self._runner = runner
        self.workspace.address = f"http://{HOST}:{runner.addresses[0][1]}"
        self.workspace.set_connected(connected=self.http is not None)
        self.deliveries.start()
        self._unsubscribe = self.workspace.subscribe(self._on_change)
        self._start_task(self._sweep())

    async def stop(self) -> None:
        """Close every connection and interrupt pending deliveries."""
        if self._unsubscribe:
            self._unsubscribe()
        self._unsubscribe = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.deliveries.stop()
        self._feeds.close()
        await self.sockets.close()
        if self._runner:
            await self._runner.cleanup()
        if self.http:
            await self.http.close()

    def _app(self, notice: str | None) -> web.Application:
        modules = (chat_methods, streams, statuses, lookups, views, files)
        methods = {name: method for module in modules for name, method in module.METHODS.items()}
        methods["apps.connections.open"] = self.sockets.open_method()
        api = WebApi(self.workspace, methods, self.faults, self.rate_limits, self.calls)
        app = web.Application(middlewares=[_guard], client_max_size=files.MAX_BYTES)
        app.on_response_prepare.append(_add_headers)
        app.router.add_route("*", "/api/{method}", api.handle)
        app.router.add_get("/link", self.sockets.handle)
        app.router.add_post("/response/{token}", self._receive_response)
        app.router.add_routes(self.files.routes())
        inspector = Inspector(self.workspace, self.deliveries.all, self.calls.all)
        app.router.add_routes(PageApi(self.workspace, self._feeds, inspector, notice).routes())
        return app

    async def _receive_response(self, request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.read())
        except ValueError:
            return web.json_response({"ok": False, "error": "invalid_payload"}, status=400)
        error = self._responses.receive(request.match_info["token"], body)
        if error:
            return web.json_response({"ok": False, "error": error}, status=404 if "_url" in error else 400)
        return web.Response(text="ok")

    def _on_change(self, change: Change) -> None:
        if isinstance(change, AppUninstalled):
            self._start_task(self._disconnect_app())

    async def _disconnect_app(self) -> None:
        # Slack delivers app_uninstalled before it closes the connections.
        await self.deliveries.drain()
        await self.sockets.close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_INTERVAL_S)
            self.workspace.sweep()

    def _start_task(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@web.middleware
async def _guard(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    host, origin = urlsplit(f"//{request.host}"), request.headers.get("Origin")
    if host.hostname not in _LOOPBACK:
        raise web.HTTPForbidden(text="This server answers only on the loopback.")
    if origin is not None and urlsplit(origin).netloc != host.netloc:
        raise web.HTTPForbidden(text="This server answers only its own page.")
    return await handler(request)


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
