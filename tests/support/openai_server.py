"""An OpenAI-shaped HTTP server for tests and the bench: it plays scripted replies and records the requests."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from aiohttp import web

from bot.testing import PausedStep

USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrived."""

    body: Mapping[str, Any]
    headers: Mapping[str, str]
    peer: object = None  # the client's end of the connection

    @property
    def texts(self) -> list[str]:
        """The text of each message, the system message included."""
        return [message["content"] for message in self.body["messages"]]  # a list of parts where there are images


class Cut:
    """A step at which the server breaks the connection."""


@dataclass(frozen=True, slots=True)
class Forever:
    """A step that never ends: these bytes over and over, until the client goes away."""

    data: bytes


# A text is a delta, a mapping a whole chunk, and bytes are sent unchanged.
Step = str | Mapping[str, Any] | bytes | PausedStep | Cut | Forever


@dataclass(frozen=True, slots=True)
class Says:
    """A streamed answer: its steps, then a finish_reason, the usage and [DONE], each unless it is None or False."""

    steps: tuple[Step, ...]
    finish: str | None = "stop"
    usage: Mapping[str, Any] | None = field(default_factory=lambda: USAGE)
    done: bool = True
    status: int = 200


@dataclass(frozen=True, slots=True)
class Fails:
    """An HTTP error. A text as `error` is sent as it is, a mapping as OpenAI's error object."""

    status: int
    error: Mapping[str, Any] | str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waits:
    """No reply until the pause is released; then an empty one."""

    hold: PausedStep


Reply = Says | Fails | Waits


def says(*steps: Step, finish: str | None = "stop", done: bool = True) -> Says:
    """Return a streamed answer of these steps."""
    return Says(steps, finish=finish, done=done)


def calls(name: str, arguments: object, *said: Step) -> Says:
    """Return an answer that calls a tool after these steps. Arguments given as a text are sent unchanged."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    called = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": text}}
    return Says((*said, _chunk({"tool_calls": [called]})), finish="tool_calls")


def instant(chunks: int, text: str = "word ") -> Says:
    """Return an answer of that many deltas, encoded once, so that it costs the server next to nothing."""
    return Says((event(delta(text)),) * chunks)


def delta(text: str) -> dict[str, Any]:
    """Return the chunk that adds this text."""
    return _chunk({"content": text})


def event(chunk: Mapping[str, Any]) -> bytes:
    """Return a chunk as a server-sent event."""
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


class OpenAIServer:
    """Listens on 127.0.0.1. A request without a scripted reply gets the default answer, or fails without one."""

    def __init__(self, answer: Callable[[Request], Reply] | None = None, *, keep: int = 1_000) -> None:
        """`keep` is the number of requests that are recorded, the latest ones."""
        self.base_url = ""
        self.requests: deque[Request] = deque(maxlen=keep)
        self.unexpected = 0
        self.disconnected = asyncio.Event()  # a client went away before its answer had ended
        self.card: Callable[[str], web.Response] = card
        self._answer = answer
        self._script: deque[Reply] = deque()
        self._came = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> str:
        """Listen, on a free port unless one is given. Return the base URL. A stopped server can start again."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models/{model}", self._show_card)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, backlog=4_096).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1/"
        return self.base_url

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def asked(self, times: int, *, within_s: float) -> None:
        """Wait until so many requests have come in."""
        async with asyncio.timeout(within_s), self._came:
            await self._came.wait_for(lambda: len(self.requests) >= times)

    def script(self, *replies: Reply) -> None:
        """Add the replies to the next requests, one each."""
        self._script.extend(replies)

    def unscript(self) -> None:
        """Drop the scripted replies that are left."""
        self._script.clear()

    def assert_done(self) -> None:
        """Raise AssertionError unless every scripted reply was given and no request came without one."""
        assert (len(self._script), self.unexpected) == (0, 0)

    async def _complete(self, http: web.Request) -> web.StreamResponse:
        request = Request(await http.json(), dict(http.headers), http.get_extra_info("peername"))
        self.requests.append(request)
        async with self._came:
            self._came.notify_all()
        try:
            return await self._play(http, self._reply(request))
        except (asyncio.CancelledError, ConnectionResetError):
            self.disconnected.set()
            raise

    def _reply(self, request: Request) -> Reply:
        if self._script:
            return self._script.popleft()
        if self._answer is not None:
            return self._answer(request)
        self.unexpected += 1
        return Fails(400, "this request is not in the script")

    async def _play(self, http: web.Request, reply: Reply) -> web.StreamResponse:
        match reply:
            case Says():
                return await _stream(http, reply)
            case Fails(status, str(text), headers):
                return web.Response(status=status, text=text, headers=headers)
            case Fails(status, error, headers):
                return web.json_response({"error": error}, status=status, headers=headers)
            case Waits(hold):
                await hold.pause()
                return web.Response()
            case _:
                assert_never(reply)

    async def _show_card(self, http: web.Request) -> web.Response:
        return self.card(http.match_info["model"])


def card(model: str) -> web.Response:
    """Return the card of a model that exists."""
    return web.json_response({"id": model, "object": "model", "created": 0, "owned_by": "test"})


async def _stream(http: web.Request, reply: Says) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers={"content-type": "text/event-stream"})
    await response.prepare(http)
    for step in reply.steps:
        match step:
            case bytes():
                await response.write(step)
            case str():
                await response.write(event(delta(step)))
            case PausedStep():
                await step.pause()
            case Cut():
                _break_connection(http)
                return response
            case Forever(data):
                while True:
                    await response.write(data)
                    await asyncio.sleep(0)  # a write to a fast reader does not yield to other tasks
            case _:
                await response.write(event(step))
    await response.write(_ending(reply))
    return response


def _ending(reply: Says) -> bytes:
    ending = event(_chunk({}, reply.finish)) if reply.finish else b""
    if reply.usage is not None:
        ending += event({"model": "test-model", "choices": [], "usage": reply.usage})
    return ending + (b"data: [DONE]\n\n" if reply.done else b"")


def _chunk(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"model": "test-model", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def _break_connection(http: web.Request) -> None:
    assert http.transport is not None
    http.transport.abort()
