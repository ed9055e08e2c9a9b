"""The inspector: a page that shows the traffic between the playground and the app, and switches Slack's variants.

Rule: it is for the developer, who sees everybody's messages there. The page of the workspace hides them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web

from bot.playground.delivery.delivery import Delivery
from bot.playground.page.page_request import RequestError
from bot.playground.page.traffic import newest
from bot.playground.web_api.calls import ApiCall
from bot.playground.workspace.workspace import Workspace

_PAGE = Path(__file__).parent / "static" / "inspector.html"
_MOST_BYTES = 1_000_000  # of a number


class Inspector:
    """Serves the inspector's page and its data."""

    def __init__(
        self,
        workspace: Workspace,
        deliveries: Callable[[], Sequence[Delivery]],
        calls: Callable[[], Sequence[ApiCall]],
    ) -> None:
        self._workspace = workspace
        self._deliveries = deliveries
        self._calls = calls

    async def page(self, _request: web.Request) -> web.FileResponse:
        """Return the page."""
        return web.FileResponse(_PAGE)

    async def traffic(self, request: web.Request) -> web.Response:
        """Return the newest traffic and the switches; status 204 when nothing has changed since `revision`."""
        revision = str(self._workspace.watch.revision)
        if request.query.get("revision") == revision:
            return web.Response(status=204)
        exchanges = newest(self._deliveries(), self._calls())
        switches = self._workspace.variant.switches()
        return web.json_response({"revision": revision, "exchanges": exchanges, "switches": switches})

    def switch(self, name: str, value: Any) -> None:
        """Set one switch of the variant of Slack. Raises RequestError."""
        known = {switch["name"]: switch for switch in self._workspace.variant.switches()}
        if (switch := known.get(name)) is None:
            raise RequestError("There is no such switch.", 404)
        choices = switch["choices"]
        is_number = not choices and isinstance(value, int) and not isinstance(value, bool)
        if value not in choices and not (is_number and 0 < value <= _MOST_BYTES):
            raise RequestError(f"The switch {name} has no such value.")
        self._workspace.variant = replace(self._workspace.variant, **{name: value})
        self._workspace.watch.changed()
