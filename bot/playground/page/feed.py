"""What happens, pushed to the pages that are open: server-sent events.

Rule: a page that does not read loses its connection, not the server's memory; it connects again by itself.
"""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from bot.playground.page.page_json import items_of
from bot.playground.workspace.changes import Change
from bot.playground.workspace.messages import Json
from bot.playground.workspace.people import Person
from bot.playground.workspace.state import WorkspaceState

_HEARTBEAT_S = 15.0
_MOST_WAITING = 5_000  # items for one page


class Feeds:
    """The pages that are open."""

    def __init__(self, state: WorkspaceState) -> None:
        self._state = state
        self._open: set[asyncio.Queue[Json | None]] = set()

    async def serve(self, request: web.Request, person: Person) -> web.StreamResponse:
        """Push to one page, as this person sees it, until it goes or the server stops."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue: asyncio.Queue[Json | None] = asyncio.Queue(_MOST_WAITING)
        self._open.add(queue)
        unsubscribe = self._state.subscribe(lambda change: self._offer(queue, change, person))
        try:
            await self._push(response, queue)
        except ConnectionError:
            pass  # the page was closed
        finally:
            unsubscribe()
            self._open.discard(queue)
        return response

    def close(self) -> None:
        """Let every page go."""
        for queue in self._open:
            _end(queue)

    def _offer(self, queue: asyncio.Queue[Json | None], change: Change, person: Person) -> None:
        for item in items_of(self._state, change, person):
            if queue.full():
                _end(queue)
                return
            queue.put_nowait(item)

    async def _push(self, response: web.StreamResponse, queue: asyncio.Queue[Json | None]) -> None:
        await response.write(b": welcome\n\n")
        while True:
            try:
                item = await asyncio.wait_for(queue.get(), _HEARTBEAT_S)
            except TimeoutError:
                await response.write(b": still here\n\n")
                continue
            if item is None:
                return
            await response.write(f"data: {json.dumps(item)}\n\n".encode())


def _end(queue: asyncio.Queue[Json | None]) -> None:
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(None)
