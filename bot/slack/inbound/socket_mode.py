"""Socket Mode: https://docs.slack.dev/apis/events-api/using-socket-mode.

Rule: if Slack asks to refresh a connection, the new one is open before the old one closes. The SDK's client closes the
old one first. In that gap events arrive late, and slash commands are lost.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

import aiohttp
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_bolt.async_app import AsyncApp
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from bot.errors import StartupError
from bot.slack.errors import CLIENT_ERRORS, error_code

log = logging.getLogger(__name__)

CONNECTIONS = 2  # Slack allows ten per app, and sends each envelope over any of them
CONNECT_TIMEOUT_S = 30.0
DRAIN_S = 3.0  # Slack does not wait longer for an ack

_PING_INTERVAL_S = 10.0
_HELLO_TIMEOUT_S = 10.0
_MIN_BACKOFF_S, _MAX_BACKOFF_S = 0.5, 30.0  # before a reconnect
_MAX_DOUBLINGS = 10
_STABLE_AFTER_S = 60.0  # a connection that lasted as long resets the backoff


class SocketMode:
    """Two WebSocket connections to Slack. Each is replaced when it ends, or when Slack asks to refresh it."""

    def __init__(self, app: AsyncApp, app_token: str, connect_timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        """Create it in a running loop."""
        self._app = app
        self._app_token = app_token
        self._connect_timeout_s = connect_timeout_s
        self._connections: set[SocketModeConnection] = set()
        self._connected_once = asyncio.Event()
        self._is_down = self._is_stopping = False
        self._connect_lock = asyncio.Lock()  # one refresh at a time, so that one connection is always open
        self._reconnectors: list[asyncio.Task[None]] = []
        self._closings: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> int:
        """The number of open connections."""
        return len(self._connections)

    async def start(self) -> None:
        """Connect. Raise StartupError if no connection opens in time."""
        self._session = aiohttp.ClientSession()
        self._reconnectors = [asyncio.create_task(self._stay_connected()) for _ in range(CONNECTIONS)]
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await self._connected_once.wait()
        except TimeoutError:
            raise StartupError("Socket Mode did not connect. Check the network and SLACK_API_URL.") from None

    async def stop(self) -> None:
        """Accept no more envelopes, acknowledge those in flight, and disconnect."""
        self._is_stopping = True
        for task in self._reconnectors:
            task.cancel()
        for connection in self._connections:
            connection.accepts_envelopes = False
        drained = [connection.drain() for connection in self._connections]
        await asyncio.gather(*self._reconnectors, *self._closings, *drained, return_exceptions=True)
        await self._session.close()

    async def _stay_connected(self) -> None:
        """Keep one connection open: open its successor, then close it."""
        connection: SocketModeConnection | None = None
        failures = 0
        while True:
            await asyncio.sleep(_backoff_s(failures))
            try:
                async with self._connect_lock:
                    successor = await self._open()
            except CLIENT_ERRORS as error:
                failures += 1
                log.debug("socket_mode_connect_failed", extra={"error": error_code(error), "failures": failures})
                continue
            if connection is not None:
                self._close_soon(connection)
            connection, opened_at = successor, time.monotonic()
            await connection.needs_successor.wait()
            failures = 0 if time.monotonic() - opened_at >= _STABLE_AFTER_S else failures + 1

    async def _open(self) -> SocketModeConnection:
        """Open a connection, up to Slack's hello. Raise one of CLIENT_ERRORS if that fails."""
        async with asyncio.timeout(_HELLO_TIMEOUT_S):
            opened = await self._app.client.apps_connections_open(app_token=self._app_token)
            proxy = self._app.client.proxy
            socket = await self._session.ws_connect(opened["url"], heartbeat=_PING_INTERVAL_S, proxy=proxy)
            connection = SocketModeConnection(self._app, socket)
            try:
                await connection.wait_for_hello()
            except BaseException:
                await connection.drain()
                raise
        self._connections.add(connection)
        self._log_change()
        connection.receiving = asyncio.create_task(self._receive(connection))
        return connection

    async def _receive(self, connection: SocketModeConnection) -> None:
        try:
            await connection.receive()
        finally:
            self._connections.discard(connection)
            self._log_change()

    def _log_change(self) -> None:
        """Log when the last connection is lost, and when there is one again."""
        if self._connections:
            self._connected_once.set()
            if self._is_down:
                log.info("socket_mode_connected")
        elif not self._is_stopping:
            log.warning("socket_mode_reconnecting")
        self._is_down = not self._connections

    def _close_soon(self, connection: SocketModeConnection) -> None:
        closing = asyncio.create_task(connection.drain())
        self._closings.add(closing)
        closing.add_done_callback(self._closings.discard)


class SocketModeConnection(AsyncBaseSocketModeClient):
    """One WebSocket, and the envelopes in flight. It is a client for the SDK, which sends the acks through it."""

    def __init__(self, app: AsyncApp, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.logger = app.client.logger  # the SDK logs to it
        self.needs_successor = asyncio.Event()  # it has ended, or Slack asked to refresh it
        self.accepts_envelopes = True
        self.receiving: asyncio.Task[None] | None = None
        self._app = app
        self._socket = socket
        self._in_flight: set[asyncio.Task[None]] = set()

    async def wait_for_hello(self) -> None:
        """Wait for Slack's hello. Raise ConnectionError if Slack sends anything else."""
        message = await self._socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT or _parse(message.data).get("type") != "hello":
            raise ConnectionError("Slack sent no hello")

    async def receive(self) -> None:
        """Handle messages until the connection ends."""
        try:
            async for message in self._socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._handle_message(_parse(message.data))
        finally:
            self.needs_successor.set()

    async def send_message(self, message: str) -> None:
        """Send an ack for the SDK. If the connection has ended, Slack delivers the envelope again."""
        if not self._socket.closed:
            await self._socket.send_str(message)

    async def drain(self) -> None:
        """Wait until the envelopes in flight are acknowledged, for DRAIN_S at most. Then close the connection."""
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=DRAIN_S)
        await self._socket.close()
        if self.receiving is not None:
            await self.receiving

    def _handle_message(self, message: dict[str, Any]) -> None:
        if message.get("type") == "disconnect":
            self.needs_successor.set()
            return
        envelope = SocketModeRequest.from_dict(message) if isinstance(message.get("payload"), dict) else None
        if envelope is not None and self.accepts_envelopes:
            task = asyncio.create_task(self._dispatch(envelope))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)

    async def _dispatch(self, envelope: SocketModeRequest) -> None:
        response = await run_async_bolt_app(self._app, envelope)
        try:
            await send_async_response(self, envelope, response, time.time())
        except ConnectionError:
            log.debug("socket_mode_ack_failed")  # Slack delivers the envelope again


def _backoff_s(failures: int) -> float:
    """Return the seconds before the next attempt. The exponent is bounded, so that the float does not overflow."""
    return min(_MIN_BACKOFF_S * 2 ** min(failures - 1, _MAX_DOUBLINGS), _MAX_BACKOFF_S) if failures else 0.0


def _parse(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
