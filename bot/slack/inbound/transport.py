"""How Slack's requests reach the app: over Socket Mode, or over signed HTTP.

Rule: whatever has not proved to be Slack's is turned away before anything parses it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.signature import SignatureVerifier

from bot.config.settings import Settings
from bot.ops.bind_port import listen
from bot.slack.inbound.socket_mode import DRAIN_S, SocketMode

PATH = "/slack/events"
LARGEST_BODY_BYTES = 1_000_000


@asynccontextmanager
async def connect(app: AsyncApp, settings: Settings) -> AsyncIterator[SocketMode | HttpMode]:
    """The connection that the settings ask for, while it takes requests in. Raises StartupError."""
    connection: SocketMode | HttpMode
    if settings.slack_app_token:
        connection = SocketMode(app, settings.slack_app_token.get_secret_value())
    else:
        secret = settings.slack_signing_secret.get_secret_value() if settings.slack_signing_secret else ""
        connection = HttpMode(app, secret, settings.host, settings.port)
    try:
        await connection.start()
        yield connection
    finally:
        await connection.stop()


class HttpMode:
    """An HTTP server for the Request URL: https://docs.slack.dev/authentication/verifying-requests-from-slack."""

    def __init__(self, app: AsyncApp, signing_secret: str, host: str, port: int) -> None:
        """Port 0 lets the system choose one; `port` tells which, once started."""
        self._app = app
        self._verifier = SignatureVerifier(signing_secret)
        self._host = host
        self.port = port
        self._runner: web.AppRunner | None = None

    @property
    def connected(self) -> int:
        """How many ways Slack has to reach the app: one, while it is listened to."""
        return int(self._runner is not None)

    async def start(self) -> None:
        """Listen. Raises StartupError when the address cannot be had."""
        server = web.Application(client_max_size=LARGEST_BODY_BYTES)
        server.router.add_post(PATH, self._receive)
        self._runner = web.AppRunner(server, access_log=None, shutdown_timeout=DRAIN_S)
        self.port = await listen(self._runner, self._host, self.port, "PORT")

    async def stop(self) -> None:
        """Take in nothing more, and let what was taken in be acknowledged."""
        if (runner := self._runner) is not None:
            self._runner = None
            await runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()  # aiohttp answers 413 when it is too large
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            return web.Response(status=400)
        if not self._is_slacks(text, request):
            return web.Response(status=401)
        if (said := _read(text, {**request.headers})) is None:
            return web.Response(status=400)
        return await to_aiohttp_response(await self._app.async_dispatch(said))

    def _is_slacks(self, body: str, request: web.Request) -> bool:
        timestamp = request.headers.get("x-slack-request-timestamp", "")
        signature = request.headers.get("x-slack-signature", "")
        with suppress(ValueError, TypeError):  # a timestamp that is no number, a signature that is not ASCII
            return self._verifier.is_valid(body, timestamp, signature)
        return False


def _read(body: str, headers: dict[str, str | Sequence[str]]) -> AsyncBoltRequest | None:
    """The request as Bolt reads it; None when it is no object of the kind that Slack sends, over which Bolt breaks."""
    with suppress(ValueError, AttributeError, TypeError):
        return AsyncBoltRequest(body=body, headers=headers)
    return None
