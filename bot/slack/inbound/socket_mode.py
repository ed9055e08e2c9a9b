"""Socket Mode: the app's WebSockets, kept open: https://docs.slack.dev/apis/events-api/using-socket-mode.

Rule: a connection that Slack wants renewed is closed after the new one is there. The SDK's client closes it first, and
what Slack sends meanwhile is late, or lost if it is a command.
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
from bot.slack.errors import CallFailed, error_code

log = logging.getLogger(__name__)

CONNECTIONS = 2  # Slack allows ten for all processes; each payload comes over any of them
CONNECT_S = 30.0
DRAIN_S = 3.0  # as long as Slack waits for an acknowledgement

_PING_S = 10.0
_HELLO_S = 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0  # between tries to connect
_DOUBLINGS = 10  # of the pause, at most
_STEADY_S = 60.0  # a connection that lasted so long shows that connecting works


class SocketMode:
    """Two connections to Slack, each opened anew whenever it ends. `connected` tells how many there are."""

    def __init__(self, app: AsyncApp, app_token: str, connect_s: float = CONNECT_S) -> None:
        """To be made in a running loop."""
        self._app = app
        self._app_token = app_token
        self._connect_s = connect_s
        self._links: set[Link] = set()
        self._up = asyncio.Event()
        self._is_down = self._is_stopping = False
        self._one_at_a_time = asyncio.Lock()
        self._keepers: list[asyncio.Task[None]] = []
        self._endings: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> int:
        """How many connections are open."""
        return len(self._links)

    async def start(self) -> None:
        """Connect. Raises StartupError when that takes too long."""
        self._session = aiohttp.ClientSession()
        self._keepers = [asyncio.create_task(self._keep()) for _ in range(CONNECTIONS)]
        try:
            async with asyncio.timeout(self._connect_s):
                await self._up.wait()
        except TimeoutError:
            raise StartupError("Socket Mode did not connect. Check the network and SLACK_API_URL.") from None

    async def stop(self) -> None:
        """Take in nothing more, let what was taken in be acknowledged, and disconnect."""
        self._is_stopping = True
        for keeper in self._keepers:
            keeper.cancel()
        for link in self._links:
            link.deaf = True
        drained = [link.drain() for link in self._links]
        await asyncio.gather(*self._keepers, *self._endings, *drained, return_exceptions=True)
        await self._session.close()

    async def _keep(self) -> None:
        """Keep one connection: whenever it ends, or is to be renewed, open the next one, and only then close it."""
        link: Link | None = None
        failures = 0
        while True:
            await asyncio.sleep(_pause_s(failures))
            try:
                async with self._one_at_a_time:
                    renewed = await self._open()
            except CallFailed as error:
                failures += 1
                log.debug("no connection to Slack (%s)", error_code(error))
                continue
            if link is not None:
                self._end_soon(link)
            link, since = renewed, time.monotonic()
            await link.over.wait()
            failures = 0 if time.monotonic() - since >= _STEADY_S else failures + 1

    async def _open(self) -> Link:
        """A new connection that Slack has greeted. Raises what is named in CallFailed."""
        async with asyncio.timeout(_HELLO_S):
            opened = await self._app.client.apps_connections_open(app_token=self._app_token)
            proxy = self._app.client.proxy
            link = Link(self._app, await self._session.ws_connect(opened["url"], heartbeat=_PING_S, proxy=proxy))
            try:
                await link.greeting()
            except BaseException:
                await link.drain()
                raise
        self._links.add(link)
        self._note()
        link.reading = asyncio.create_task(self._read(link))
        return link

    async def _read(self, link: Link) -> None:
        try:
            await link.read()
        finally:
            self._links.discard(link)
            self._note()

    def _note(self) -> None:
        """Log, once, that no connection is left, and that there is one again."""
        if self._links:
            self._up.set()
            if self._is_down:
                log.info("Slack is connected again")
        elif not self._is_stopping:
            log.warning("Slack is not connected; it is tried again and again")
        self._is_down = not self._links

    def _end_soon(self, link: Link) -> None:
        ending = asyncio.create_task(link.drain())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)


class Link(AsyncBaseSocketModeClient):
    """One WebSocket, and what came over it and is not acknowledged yet. The SDK writes the acknowledgements."""

    def __init__(self, app: AsyncApp, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.logger = app.client.logger  # the SDK's own, which keeps quiet
        self.over = asyncio.Event()  # it has ended, or Slack wants it renewed
        self.deaf = False  # nothing more is taken in
        self.reading: asyncio.Task[None] | None = None
        self._app = app
        self._socket = socket
        self._busy: set[asyncio.Task[None]] = set()

    async def greeting(self) -> None:
        """Wait until Slack says hello. Raises ConnectionError when it says something else."""
        message = await self._socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT or _parsed(message.data).get("type") != "hello":
            raise ConnectionError("Slack did not greet the connection")

    async def read(self) -> None:
        """Take in what comes, until the connection ends."""
        try:
            async for message in self._socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(_parsed(message.data))
        finally:
            self.over.set()

    async def send_message(self, message: str) -> None:
        """Send a text. What cannot be sent any more, Slack will deliver again."""
        if not self._socket.closed:
            await self._socket.send_str(message)

    async def drain(self) -> None:
        """Wait until what came is acknowledged, for as long as Slack would; then close the connection."""
        if self._busy:
            await asyncio.wait(self._busy, timeout=DRAIN_S)
        await self._socket.close()
        if self.reading is not None:
            await self.reading

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("type") == "disconnect":
            self.over.set()
            return
        request = SocketModeRequest.from_dict(message) if isinstance(message.get("payload"), dict) else None
        if request is not None and not self.deaf:
            task = asyncio.create_task(self._handle(request))
            self._busy.add(task)
            task.add_done_callback(self._busy.discard)

    async def _handle(self, request: SocketModeRequest) -> None:
        response = await run_async_bolt_app(self._app, request)
        try:
            await send_async_response(self, request, response, time.time())
        except ConnectionError:
            log.debug("the connection ended before an acknowledgement")


def _pause_s(failures: int) -> float:
    """How long to wait before the next try; however many failed, it stays a number."""
    return min(_FIRST_PAUSE_S * 2 ** min(failures - 1, _DOUBLINGS), _LONGEST_PAUSE_S) if failures else 0.0


def _parsed(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
