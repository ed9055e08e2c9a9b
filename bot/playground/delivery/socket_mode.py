"""Socket Mode: the app's WebSocket connections and the envelopes on them.

Rule: each payload goes to one connection, chosen at random from at most ten.
Facts: docs.slack.dev/apis/events-api/using-socket-mode.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import WSMsgType, web

from bot.playground.delivery.delivery import Attempt, Delivery, NotAcknowledged
from bot.playground.web_api.arguments import Args
from bot.playground.web_api.fault_injection import FaultInjector
from bot.playground.web_api.methods import Method
from bot.playground.workspace.messages import Json
from bot.playground.workspace.workspace import Workspace

_MAX_CONNECTIONS = 10


class Connection:
    """One WebSocket of the app, with its envelopes that are not acknowledged yet."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self.socket = socket
        self._transport = transport
        self._pending: dict[str, asyncio.Future[Any]] = {}

    async def send(self, envelope: Json) -> Any:
        """Send an envelope. Return its acknowledgement's payload. Raises NotAcknowledged when the socket closes."""
        acknowledgement = asyncio.get_running_loop().create_future()
        self._pending[envelope["envelope_id"]] = acknowledgement
        try:
            await self.socket.send_json(envelope)
            return await acknowledgement
        except ConnectionError:
            raise NotAcknowledged("connection_failed") from None
        finally:
            del self._pending[envelope["envelope_id"]]

    def acknowledge(self, envelope_id: str, payload: Any) -> None:
        """Record the app's acknowledgement. An envelope that is no longer pending is ignored."""
        pending = self._pending.get(envelope_id)
        if pending and not pending.done():
            pending.set_result(payload)

    def abort(self) -> None:
        """Break the connection without a closing handshake."""
        if self._transport:
            self._transport.abort()

    def fail(self) -> None:
        """Fail every pending envelope, since the connection has ended."""
        for pending in self._pending.values():
            if not pending.done():
                pending.set_exception(NotAcknowledged("connection_failed"))


class SocketModeDelivery:
    """A Transport over the app's WebSocket connections."""

    def __init__(self, workspace: Workspace, faults: FaultInjector) -> None:
        self._workspace = workspace
        self._faults = faults
        self._tickets: set[str] = set()
        self._connections: list[Connection] = []
        self._envelope_count = 0

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def open_method(self) -> Method:
        """Return apps.connections.open, which issues a URL for one connection."""
        return Method(run=self._new_url, caller="app")

    async def deliver(self, delivery: Delivery, attempt: Attempt, timeout_s: float) -> Any:
        """Send a payload over one of the connections."""
        if not await self._faults.may_continue(delivery.kind) or not self._connections:
            raise NotAcknowledged("connection_failed")
        try:
            async with asyncio.timeout(timeout_s):
                return await self._workspace.rng.choice(self._connections).send(self._envelope(delivery, attempt))
        except TimeoutError:
            raise NotAcknowledged("timeout") from None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection from hello to its end."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets or not self._workspace.installed:
            raise web.HTTPForbidden(text="invalid ticket")
        self._tickets.remove(ticket)
        socket = web.WebSocketResponse(heartbeat=30.0)
        await socket.prepare(request)
        if self.open >= _MAX_CONNECTIONS:
            await socket.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await socket.close()
            return socket
        await self._serve(Connection(socket, request.transport))
        return socket

    async def refresh(self) -> None:
        """Ask the app to reconnect, as Slack does now and then."""
        for connection in tuple(self._connections):
            debug = {"host": "playground"}
            await connection.socket.send_json(
                {"type": "disconnect", "reason": "refresh_requested", "debug_info": debug}
            )

    def drop_all(self) -> None:
        """Break every connection without a closing handshake, as a failing network does."""
        for connection in self._connections:
            connection.abort()

    async def close(self) -> None:
        """Close every connection."""
        for connection in tuple(self._connections):
            await connection.socket.close()

    async def _serve(self, connection: Connection) -> None:
        self._connections.append(connection)
        try:
            await connection.socket.send_json(self._hello())
            self._on_count_change()
            async for message in connection.socket:
                if message.type is WSMsgType.TEXT:
                    self._receive(connection, message.data)
        finally:
            self._connections.remove(connection)
            connection.fail()
            self._on_count_change()

    def _on_count_change(self) -> None:
        self._workspace.set_connected(connected=bool(self._connections))
        self._workspace.watch.changed()

    def _receive(self, connection: Connection, text: str) -> None:
        try:
            acknowledgement = json.loads(text)
        except ValueError:
            return
        if isinstance(acknowledgement, dict) and not self._faults.take_ack_drop():
            connection.acknowledge(str(acknowledgement.get("envelope_id")), acknowledgement.get("payload"))

    def _new_url(self, workspace: Workspace, _args: Args) -> Json:
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
        self._envelope_count += 1
        envelope: Json = {
            "envelope_id": f"{self._envelope_count:08x}-{self._workspace.new_id()}",
            "type": delivery.kind,
            "payload": delivery.payload,
            "accepts_response_payload": delivery.kind != "events_api",
        }
        if delivery.kind == "events_api":
            envelope |= {"retry_attempt": attempt.number, "retry_reason": attempt.retry_reason or ""}
        return envelope
