"""The page's own API: the JSON behind it, and its files.

Rule: a person sees and does only what they may; ids that come in are resolved by one gatekeeper each.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from bot.playground.page.feed import Feeds
from bot.playground.page.page_json import shown_message, shown_view, state_json
from bot.playground.workspace.messages import Json, Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.surfaces import Kind
from bot.playground.workspace.workspace import NotAllowed, Workspace

FILES = Path(__file__).parent / "static"


class RequestError(Exception):
    """A request that cannot be done; the sentence is shown on the page."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status


class PageRequest:
    """What the page asks for, resolved."""

    def __init__(self, workspace: Workspace, fields: Json) -> None:
        self._workspace = workspace
        self._fields = fields

    def text(self, name: str) -> str:
        """A text that must be there."""
        value = self.optional(name)
        if not value or not value.strip():
            raise RequestError(f"There is no {name}.")
        return value

    def optional(self, name: str) -> str | None:
        """A text that may be there."""
        value = self._fields.get(name)
        if value is not None and not isinstance(value, str):
            raise RequestError(f"The {name} is not a text.")
        return value or None

    @property
    def values(self) -> dict[str, str]:
        """What was put into a modal's inputs, by block."""
        given = self._fields.get("values")
        if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
            raise RequestError("The values are no texts.")
        return given

    @property
    def person(self) -> Person:
        """Who acts."""
        try:
            return self._workspace.people[self.text("as")]
        except KeyError:
            raise RequestError("There is no such person.", 403) from None

    @property
    def channel(self) -> Channel:
        """Where; the person has to be in it."""
        channel = self._workspace.channels.get(self.text("channel"))
        if channel is None or self.person.id not in channel.members:
            raise RequestError("You are not in this channel.", 403)
        return channel

    @property
    def message(self) -> Message:
        """Which message, by its `ts` or its `id`; the person has to see it."""
        ts = self.optional("ts") or self.text("id").rpartition("-")[2]
        message = self._workspace.transcript.find(self.channel.id, ts)
        if message is None or message.only_for not in {None, self.person.id}:
            raise RequestError("That message is not there any more.", 404)
        return message


class PageApi:
    """Everything that the page asks for."""

    def __init__(self, workspace: Workspace, feeds: Feeds, notice: str | None) -> None:
        self._workspace = workspace
        self._feeds = feeds
        self._notice = notice

    def routes(self) -> list[web.AbstractRouteDef]:
        """The addresses, the page's files last."""
        acts: dict[str, Callable[[PageRequest], None]] = {
            "post": self._post,
            "edit": self._edit,
            "delete": self._delete,
            "command": self._command,
            "shortcut": self._shortcut,
            "action": self._action,
            "stop": self._stop,
            "home": self._home,
            "view-action": self._view_action,
            "submit": self._submit,
            "close": self._close,
        }
        return [
            web.get("/", _index),
            web.get("/page/state", self._state),
            web.get("/page/messages", self._messages),
            web.get("/page/views", self._views),
            web.get("/page/events", self._events),
            *(web.post(f"/page/{name}", self._acting(act)) for name, act in acts.items()),
            web.static("/page", FILES),
        ]

    async def _state(self, _request: web.Request) -> web.Response:
        return web.json_response(state_json(self._workspace, self._notice))

    async def _messages(self, request: web.Request) -> web.Response:
        workspace, asked = self._workspace, PageRequest(self._workspace, dict(request.query))
        try:
            person, channel = asked.person, asked.channel
        except RequestError as bad:
            return _refused(bad.sentence, bad.status)
        visible = [m for m in workspace.transcript.of_channel(channel.id) if m.only_for in {None, person.id}]
        statuses = [
            {"thread_ts": ts, "text": text, "stoppable": workspace.is_stoppable(channel, ts)}
            for ts, text in workspace.statuses(channel).items()
        ]
        return web.json_response(
            {"messages": [shown_message(workspace, message) for message in visible], "statuses": statuses}
        )

    async def _views(self, request: web.Request) -> web.Response:
        try:
            person = PageRequest(self._workspace, dict(request.query)).person
        except RequestError as bad:
            return _refused(bad.sentence, bad.status)
        kinds: tuple[Kind, ...] = ("home", "modal")
        return web.json_response({kind: shown_view(self._workspace.surfaces.of(person, kind)) for kind in kinds})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        try:
            person = PageRequest(self._workspace, dict(request.query)).person
        except RequestError as bad:
            return _refused(bad.sentence, bad.status)
        return await self._feeds.serve(request, person)

    def _acting(self, act: Callable[[PageRequest], None]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            try:
                act(PageRequest(self._workspace, await _fields(request)))
            except NotAllowed as refusal:
                return _refused(str(refusal), 403)
            except RequestError as bad:
                return _refused(bad.sentence, bad.status)
            return web.json_response({"ok": True})

        return handle

    def _post(self, asked: PageRequest) -> None:
        self._workspace.post(asked.person, asked.channel, asked.text("text"), asked.optional("thread_ts"))

    def _edit(self, asked: PageRequest) -> None:
        self._workspace.edit(asked.person, asked.message, asked.text("text"))

    def _delete(self, asked: PageRequest) -> None:
        self._workspace.delete(asked.person, asked.message)

    def _command(self, asked: PageRequest) -> None:
        command, text = asked.text("command"), asked.optional("text") or ""
        self._workspace.command(asked.person, asked.channel, command, text, asked.optional("thread_ts"))

    def _shortcut(self, asked: PageRequest) -> None:
        self._workspace.shortcut(asked.person, asked.message, asked.text("callback_id"))

    def _action(self, asked: PageRequest) -> None:
        value, block = asked.optional("value"), asked.optional("block_id")
        self._workspace.press(asked.person, asked.message, asked.text("action_id"), value, block)

    def _stop(self, asked: PageRequest) -> None:
        self._workspace.stop(asked.person, asked.channel, asked.text("thread_ts"))

    def _home(self, asked: PageRequest) -> None:
        self._workspace.open_home(asked.person)

    def _view_action(self, asked: PageRequest) -> None:
        self._workspace.press_at_home(asked.person, asked.text("action_id"), asked.text("view_id"))

    def _submit(self, asked: PageRequest) -> None:
        self._workspace.submit(asked.person, asked.values, asked.text("view_id"))

    def _close(self, asked: PageRequest) -> None:
        self._workspace.surfaces.close(asked.person)


async def _index(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(FILES / "index.html")


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
