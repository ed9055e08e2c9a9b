"""HTTP mode: the server behind the Request URL of the app.

Rule: the signature is verified before anything parses the body:
https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.signature import SignatureVerifier

from bot.ops.bind_port import listen
from bot.ops.http_server import CLIENT_TIMEOUT_S, Runner, keep_connection
from bot.slack.inbound.socket_mode import DRAIN_S

PATH = "/slack/events"
MAX_BODY_BYTES = 1_000_000


class HttpMode:
    """The HTTP server. `connected` is 1 while it listens."""

    def __init__(
        self,
        app: AsyncApp,
        signing_secret: str,
        host: str,
        port: int,
        *,
        client_timeout_s: float = CLIENT_TIMEOUT_S,
        most_connections: int | None = None,
    ) -> None:
        """With port 0 the system chooses one, and `start` sets `port` to it. `most_connections`: see Runner."""
        self._app = app
        self._verifier = SignatureVerifier(signing_secret)
        self._host = host
        self.port = port
        self._client_timeout_s = client_timeout_s
        self._most_connections = most_connections
        self._runner: web.AppRunner | None = None

    @property
    def connected(self) -> int:
        """The number of ways in which Slack can reach the app."""
        return int(self._runner is not None)

    async def start(self) -> None:
        """Listen on the port. Raise StartupError if it is taken."""
        server = web.Application(client_max_size=MAX_BODY_BYTES)
        server.router.add_post(PATH, self._receive)
        self._runner = Runner(
            server, shutdown_timeout=DRAIN_S, client_timeout_s=self._client_timeout_s, most=self._most_connections
        )
        self.port = await listen(self._runner, self._host, self.port, "PORT")

    async def stop(self) -> None:
        """Accept no more requests, and acknowledge those in flight."""
        if (runner := self._runner) is not None:
            self._runner = None
            await runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(self._client_timeout_s):
                body = await request.read()  # aiohttp answers 413 if the body is too large
            text = body.decode("utf-8")
        except TimeoutError:
            return web.Response(status=408, headers={"Connection": "close"})
        except (UnicodeDecodeError, web.RequestPayloadError):
            return web.Response(status=400)
        if not self._has_valid_signature(text, request):
            return web.Response(status=401)
        keep_connection(request)
        if (parsed := _parse(text, {**request.headers})) is None:
            return web.Response(status=400)
        return await to_aiohttp_response(await self._app.async_dispatch(parsed))

    def _has_valid_signature(self, body: str, request: web.Request) -> bool:
        timestamp = request.headers.get("x-slack-request-timestamp", "")
        signature = request.headers.get("x-slack-signature", "")
        with suppress(ValueError, TypeError):  # the timestamp is no number, or the signature is not ASCII
            return self._verifier.is_valid(body, timestamp, signature)
        return False


def _parse(body: str, headers: dict[str, str | Sequence[str]]) -> AsyncBoltRequest | None:
    """Parse the request. Return None if the body is not of a kind that Slack sends, for which Bolt raises."""
    with suppress(ValueError, AttributeError, TypeError):
        return AsyncBoltRequest(body=body, headers=headers)
    return None
