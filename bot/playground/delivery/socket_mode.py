"""Socket Mode: the app's WebSocket connections, and the envelopes that travel over them.

Rule: each payload goes to one connection, any of at most ten (docs.slack.dev/apis/events-api/using-socket-mode).
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import WSMsgType, web

from bot.playground.delivery.deliveries import Attempt, Delivery, NotAcknowledged
from bot.playground.web_api.fault_injection import FaultInjector
from bot.playground.web_api.methods import Args, Method
from bot.playground.workspace.messages import Json
from bot.playground.workspace.workspace import Workspace

_MOST = 10


class Connection:
    """One WebSocket of the app, and the envelopes on it that wait for their acknowledgement."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self.socket = socket
        self._transport = transport
        self._waiting: dict[str, asyncio.Future[Any]] = {}

    async def send(self, envelope: Json) -> Any:
        """Send an envelope and return its acknowledgement's payload. Raises NotAcknowledged when the socket closes."""
        acknowledged = asyncio.get_running_loop().create_future()
        self._waiting[envelope["envelope_id"]] = acknowledged
        try:
            await self.socket.send_json(envelope)
            return await acknowledged
        except ConnectionError:
            raise NotAcknowledged("connection_failed") from None
        finally:
            del self._waiting[envelope["envelope_id"]]

    def acknowledge(self, envelope_id: str, payload: Any) -> None:
        """The app has confirmed an envelope; one that is not awaited any more is ignored."""
        waiting = self._waiting.get(envelope_id)
        if waiting and not waiting.done():
            waiting.set_result(payload)

    def cut(self) -> None:
        """Break the connection, without a word."""
        if self._transport:
            self._transport.abort()

    def fail(self) -> None:
        """No acknowledgement can come any more."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(NotAcknowledged("connection_failed"))


class Sockets:
    """The app's connections."""

    def __init__(self, workspace: Workspace, faults: FaultInjector) -> None:
        self._workspace = workspace
        self._faults = faults
        self._tickets: set[str] = set()
        self._connections: list[Connection] = []
        self._envelopes = 0

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    def open_method(self) -> Method:
        """apps.connections.open: hands out an address that is good for one connection."""
        return Method(run=self._new_address, caller="app")

    async def deliver(self, delivery: Delivery, attempt: Attempt, within_s: float) -> Any:
        """Send a payload over one of the connections (Transport)."""
        if not await self._faults.goes_on(delivery.kind) or not self._connections:
            raise NotAcknowledged("connection_failed")
        try:
            async with asyncio.timeout(within_s):
                return await self._workspace.rng.choice(self._connections).send(self._envelope(delivery, attempt))
        except TimeoutError:
            raise NotAcknowledged("timeout") from None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One connection, from hello to its end."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets or not self._workspace.installed:
            raise web.HTTPForbidden(text="invalid ticket")
        self._tickets.remove(ticket)
        socket = web.WebSocketResponse(heartbeat=30.0)
        await socket.prepare(request)
        if self.open >= _MOST:
            await socket.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await socket.close()
            return socket
        await self._serve(Connection(socket, request.transport))
        return socket

    async def refresh(self) -> None:
        """Ask every connection to be made anew, as Slack does now and then."""
        for connection in tuple(self._connections):
            debug = {"host": "playground"}
            await connection.socket.send_json(
                {"type": "disconnect", "reason": "refresh_requested", "debug_info": debug}
            )

    def drop_all(self) -> None:
        """Cut every connection, as a failing network does: nobody says goodbye."""
        for connection in self._connections:
            connection.cut()

    async def close(self) -> None:
        """Close every connection from this side."""
        for connection in tuple(self._connections):
            await connection.socket.close()

    async def _serve(self, connection: Connection) -> None:
        self._connections.append(connection)
        try:
            await connection.socket.send_json(self._hello())
            self._count_changed()
            async for message in connection.socket:
                if message.type is WSMsgType.TEXT:
                    self._receive(connection, message.data)
        finally:
            self._connections.remove(connection)
            connection.fail()
            self._count_changed()

    def _count_changed(self) -> None:
        self._workspace.set_connected(connected=bool(self._connections))
        self._workspace.watch.changed()

    def _receive(self, connection: Connection, text: str) -> None:
        try:
            answer = json.loads(text)
        except ValueError:
            return
        if isinstance(answer, dict) and not self._faults.drops_ack():
            connection.acknowledge(str(answer.get("envelope_id")), answer.get("payload"))

    def _new_address(self, workspace: Workspace, _args: Args) -> Json:
        ticket = workspace.new_secret()
        self._tickets.add(ticket)
        return {"url": f"{workspace.address.replace('http', 'ws', 1)}/link?ticket={ticket}&app_id={workspace.app.id}"}

    def _hello(self) -> Json:
        return {
            "type": "hello",
            "num_connections": self.open,
            "connection_info": {"app_id": self._workspace.app.id},
            "debug_info": {"host": "playground", "approximate_connection_time": 18_060},
        }

    def _envelope(self, delivery: Delivery, attempt: Attempt) -> Json:
        self._envelopes += 1
        envelope: Json = {
            "envelope_id": f"{self._envelopes:08x}-{self._workspace.new_id()}",
            "type": delivery.kind,
            "payload": delivery.payload,
            "accepts_response_payload": delivery.kind != "events_api",
        }
        if delivery.kind == "events_api":
            envelope |= {"retry_attempt": attempt.number, "retry_reason": attempt.retry_reason or ""}
        return envelope
