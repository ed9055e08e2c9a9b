"""The page's routes: its JSON API, its event stream and its static files."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from bot.playground.page.feed import Feeds
from bot.playground.page.inspector import Inspector
from bot.playground.page.page_actions import ACTIONS, PageAction
from bot.playground.page.page_json import shown_message, shown_view, state_json
from bot.playground.page.page_request import PageRequest, RequestError
from bot.playground.workspace.file_sharing import share, visible_file
from bot.playground.workspace.messages import Json
from bot.playground.workspace.rules import NotAllowed
from bot.playground.workspace.shared_files import file_response, is_image
from bot.playground.workspace.surfaces import ViewKind
from bot.playground.workspace.workspace import Workspace

STATIC_FILES = Path(__file__).parent / "static"

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PageApi:
    """Serves the page."""

    def __init__(self, workspace: Workspace, feeds: Feeds, inspector: Inspector, notice: str | None) -> None:
        self._workspace = workspace
        self._inspector = inspector
        self._feeds = feeds
        self._notice = notice

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the routes. The static files come last, since they match every path below /page/."""
        return [
            web.get("/", _index),
            web.get("/page/state", self._state),
            web.get("/page/messages", _with_refusals(self._messages)),
            web.get("/page/views", _with_refusals(self._views)),
            web.get("/page/files/{id}", _with_refusals(self._file)),
            web.post("/page/share", _with_refusals(self._share)),
            web.get("/inspector", self._inspector.page),
            web.get("/page/traffic", self._inspector.traffic),
            web.post("/page/switch", _with_refusals(self._switch)),
            web.get("/page/events", _with_refusals(self._events)),
            *(web.post(f"/page/{name}", _with_refusals(self._acting(action))) for name, action in ACTIONS.items()),
            web.static("/page", STATIC_FILES),
        ]

    async def _state(self, _request: web.Request) -> web.Response:
        return web.json_response(state_json(self._workspace, self._notice))

    async def _messages(self, request: web.Request) -> web.Response:
        workspace, query = self._workspace, self._query(request)
        person, channel = query.person, query.channel
        visible = [m for m in workspace.transcript.of_channel(channel.id) if m.only_for in {None, person.id}]
        statuses = [
            {"thread_ts": ts, "text": text, "stoppable": workspace.statuses.is_stoppable(channel, ts)}
            for ts, text in workspace.statuses.in_channel(channel).items()
        ]
        return web.json_response({"messages": [shown_message(workspace, m) for m in visible], "statuses": statuses})

    async def _views(self, request: web.Request) -> web.Response:
        person = self._query(request).person
        kinds: tuple[ViewKind, ...] = ("home", "modal")
        return web.json_response({kind: shown_view(self._workspace.surfaces.of(person, kind)) for kind in kinds})

    async def _file(self, request: web.Request) -> web.Response:
        query = self._query(request)
        upload = visible_file(self._workspace, query.person, query.channel, request.match_info["id"])
        if upload is None or upload.content is None:
            raise RequestError("That file is no longer there.", 404)
        return file_response(upload, inline=is_image(upload))

    async def _share(self, request: web.Request) -> web.Response:
        """Post a message with files, which come as a form."""
        form = await request.post()
        query = PageRequest(self._workspace, {name: value for name, value in form.items() if isinstance(value, str)})
        files = [field for field in form.getall("file", []) if isinstance(field, web.FileField)]
        if not files:
            raise RequestError("The file is missing.")
        contents = {field.filename: field.file.read() for field in files}
        thread_ts, text = query.optional("thread_ts"), query.optional("text") or ""
        share(self._workspace, query.person, query.channel, text, files=contents, thread_ts=thread_ts)
        return web.json_response({"ok": True})

    async def _switch(self, request: web.Request) -> web.Response:
        fields = await _fields(request)
        self._inspector.switch(str(fields.get("name")), fields.get("value"))
        return web.json_response({"ok": True})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        return await self._feeds.serve(request, self._query(request).person)

    def _query(self, request: web.Request) -> PageRequest:
        return PageRequest(self._workspace, dict(request.query))

    def _acting(self, action: PageAction) -> _Handler:
        async def handle(request: web.Request) -> web.Response:
            action(self._workspace, PageRequest(self._workspace, await _fields(request)))
            return web.json_response({"ok": True})

        return handle


def _with_refusals(handler: _Handler) -> _Handler:
    """Turn a refusal of the handler into a response whose sentence the page shows."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except NotAllowed as refusal:
            return _refused(str(refusal), 403)
        except RequestError as error:
            return _refused(error.sentence, error.status)

    return handle


async def _index(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(STATIC_FILES / "index.html")


async def _fields(request: web.Request) -> Json:
    try:
        fields = json.loads(await request.read())
    except ValueError:
        raise RequestError("That is not JSON.") from None
    if not isinstance(fields, dict):
        raise RequestError("That is not a JSON object.")
    return fields


def _refused(sentence: str, status: int) -> web.Response:
    return web.json_response({"ok": False, "error": sentence}, status=status)
