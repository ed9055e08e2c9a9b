"""The gateway in this process, with a client and a model that recites each request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bot import app
from bot.cli import keys
from bot.config.settings import Settings
from bot.services import Services
from bot.testing import PausedStep, SettableClock
from tests.support.openai_server import OpenAIServer, says
from tests.support.timeouts import GENEROUS_S

Message = Mapping[str, Any]
CALLS: list[tuple[str, str]] = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1"),
    ("GET", "/v1/models"),
    ("GET", "/v1/sessions/one"),
    ("DELETE", "/v1/sessions/one"),
]


@dataclass(frozen=True, slots=True)
class GatewayResponse:
    """A response of the gateway. A stream has events instead of a body."""

    status: int
    headers: Mapping[str, str]
    body: Any
    events: Sequence[Any] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The answer's text."""
        if self.events:
            chunks = [event for event in self.events if event != "[DONE]" and event.get("choices")]
            return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
        content: str = self.body["choices"][0]["message"]["content"]
        return content

    @property
    def error(self) -> Mapping[str, Any]:
        """The error object."""
        error: Mapping[str, Any] = self.body["error"]
        return error

    @property
    def state(self) -> str | None:
        """The state of the session."""
        return self.headers.get("x-session-state")


@dataclass(frozen=True, slots=True)
class GatewayStage:
    """A running gateway, the model behind it, and a client with a key of its own."""

    address: str
    key: str
    model: OpenAIServer
    services: Services
    clock: SettableClock
    settings: Settings
    http: aiohttp.ClientSession

    async def another_key(self, **limits: Any) -> str:
        """Create another key."""
        return await keys.create(self.settings, "another", **limits)

    async def asks(
        self,
        *messages: str | Message,
        session: str | None = None,
        headers: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> GatewayResponse:
        """Send messages and read the answer. A text is a message of the user."""
        body = [{"role": "user", "content": each} if isinstance(each, str) else each for each in messages]
        named = {"sessionId": session} if session is not None else {}
        return await self.posts({"messages": body, **fields}, {**named, **(headers or {})})

    async def posts(
        self, body: Any, headers: Mapping[str, str] | None = None, path: str = "/v1/chat/completions"
    ) -> GatewayResponse:
        """Send this body; bytes are sent unchanged."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.calls(
            "POST", path, data=data, headers={"Content-Type": "application/json", **(headers or {})}
        )

    async def calls(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> GatewayResponse:
        """Make any request, by default with this client's key."""
        headers = {"Authorization": f"Bearer {self.key}", **(headers or {})}
        async with self.http.request(method, self.address + path, headers=headers, **more) as response:
            return await _read(response)

    def hold_model(self, *first_words: str) -> PausedStep:
        """Make the model's next answer pause after these words, until the test releases it."""
        hold = PausedStep()
        self.model.script(says(*first_words, hold, "a held answer"))
        return hold

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on this process is true."""
        async with asyncio.timeout(GENEROUS_S):
            while not condition():  # noqa: ASYNC110 - no event marks it
                await asyncio.sleep(0)

    async def turns(self, session: str, **headers: str) -> int:
        """Return the number of the session's turns."""
        response = await self.calls("GET", f"/v1/sessions/{session}", headers=headers)
        return int(response.body["turns"]) if response.status == 200 else 0


def limit_headers(response: GatewayResponse) -> set[str]:
    """Return the names of the rate-limit headers."""
    return {name for name in response.headers if name.startswith("x-ratelimit-")}


async def _read(response: aiohttp.ClientResponse) -> GatewayResponse:
    headers = {name.lower(): value for name, value in response.headers.items()}
    if response.content_type != "text/event-stream":
        text = await response.text()
        return GatewayResponse(response.status, headers, json.loads(text) if text else None)
    lines = (await response.text()).split("\n\n")
    data = [line.removeprefix("data: ") for line in lines if line]
    return GatewayResponse(
        response.status, headers, None, [line if line == "[DONE]" else json.loads(line) for line in data]
    )


@asynccontextmanager
async def opened(
    database_url: str, model: OpenAIServer, clock: SettableClock, **more: Any
) -> AsyncIterator[GatewayStage]:
    """Serve a gateway on a free port, with this database and model."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "openai_base_url": model.base_url,
        "openai_model": "test-model",
        "gateway_port": 0,
        "drain_seconds": 0.1,
        "model_patience_seconds": 0.5,
        **more,
    }
    settings = Settings(**values)
    key = await keys.create(settings, "test")
    async with app.gateway_bot(settings, clock=clock.now) as bot, aiohttp.ClientSession() as http:
        address = bot.address.removeprefix("at ").removesuffix(settings.gateway_prefixes[0])
        yield GatewayStage(address, key, model, bot.services, clock, settings, http)
