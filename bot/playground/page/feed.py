"""Server-sent events: each change is pushed to the open pages.

Rule: the queue of a page is bounded. A page that reads too slowly loses its connection and connects again.
"""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from bot.playground.page.page_json import updates_of
from bot.playground.workspace.changes import Change
from bot.playground.workspace.messages import Json
from bot.playground.workspace.people import Person
from bot.playground.workspace.state import WorkspaceState

_HEARTBEAT_S = 15.0
_MAX_QUEUED = 5_000  # updates for one page


class Feeds:
    """The event streams of the open pages."""

    def __init__(self, state: WorkspaceState) -> None:
        self._state = state
        self._queues: set[asyncio.Queue[Json | None]] = set()

    async def serve(self, request: web.Request, person: Person) -> web.StreamResponse:
        """Push the updates that this person can see, until the page closes or the server stops."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue: asyncio.Queue[Json | None] = asyncio.Queue(_MAX_QUEUED)
        self._queues.add(queue)
        unsubscribe = self._state.subscribe(lambda change: self._enqueue(queue, change, person))
        try:
            await self._push(response, queue)
        except ConnectionError:
            pass  # the page was closed
        finally:
            unsubscribe()
            self._queues.discard(queue)
        return response

    def close(self) -> None:
        """End every event stream."""
        for queue in self._queues:
            _end(queue)

    def _enqueue(self, queue: asyncio.Queue[Json | None], change: Change, person: Person) -> None:
        for update in updates_of(self._state, change, person):
            if queue.full():
                _end(queue)
                return
            queue.put_nowait(update)

    async def _push(self, response: web.StreamResponse, queue: asyncio.Queue[Json | None]) -> None:
        await response.write(b": welcome\n\n")
        while True:
            try:
                update = await asyncio.wait_for(queue.get(), _HEARTBEAT_S)
            except TimeoutError:
                await response.write(b": still here\n\n")
                continue
            if update is None:
                return
            await response.write(f"data: {json.dumps(update)}\n\n".encode())


def _end(queue: asyncio.Queue[Json | None]) -> None:
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(None)
