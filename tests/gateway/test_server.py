"""The server: routes, browsers, the headers of all responses, and unexpected errors."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import aiohttp
import pytest

from bot import app
from bot.errors import StartupError
from bot.store.engine import Store
from bot.testing import SettableClock
from tests.support.gateway_stage import CALLS, GatewayStage, limit_headers, opened
from tests.support.openai_server import OpenAIServer


async def test_allowed_models_are_listed_and_used(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """A request that names any other model gets the default model."""
    async with opened(empty_sqlite_url, reciter, clock, gateway_models=("big", "small")) as gate:
        listed = [model["id"] for model in (await gate.calls("GET", "/v1/models")).body["data"]]
        for model in ("big", "other"):
            await gate.asks("hi", model=model)

    assert listed == ["test-model", "big", "small"]
    assert [asked.body["model"] for asked in reciter.requests] == ["big", "test-model"]


async def test_browsers_are_refused_by_default(gate: GatewayStage) -> None:
    """Without the setting, no page of another origin may call the API."""
    headers = {"Origin": "https://example.com", "Access-Control-Request-Method": "POST"}
    preflight = await gate.calls("OPTIONS", "/v1", headers=headers)

    assert preflight.status == 405
    assert not [name for name in preflight.headers if name.startswith("access-control")]


async def test_pages_of_an_allowed_origin_may_call(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """These pages may send SDK headers and read session and rate limit headers. Other origins may not call the API."""
    async with opened(empty_sqlite_url, reciter, clock, gateway_origins=("https://example.com",)) as gate:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "sessionid, X-Stainless-OS"}
        preflight = await gate.calls("OPTIONS", "/v1", headers={"Origin": "https://example.com", **asked})
        other = await gate.calls("OPTIONS", "/v1", headers={"Origin": "https://example.org", **asked})
        got = await gate.asks("hi", session="one", headers={"Origin": "https://example.com"})

    allowed = preflight.headers["access-control-allow-headers"].lower().split(", ")
    assert (preflight.status, other.status) == (204, 405)
    assert {"authorization", "sessionid", "x-stainless-os", "idempotency-key"} <= set(allowed)
    assert got.headers["access-control-allow-origin"] == "https://example.com"
    exposed = set(got.headers["access-control-expose-headers"].lower().split(", "))
    assert {"x-session-state", "retry-after", *limit_headers(got)} <= exposed
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(("method", "path"), [*CALLS, ("GET", "/healthz"), ("GET", "/v1/openapi.json"), ("GET", "/")])
async def test_every_response_has_security_headers(gate: GatewayStage, method: str, path: str) -> None:
    """All responses, errors included, forbid sniffing, frames and caching, and show no version of the server."""
    headers = (await gate.calls(method, path)).headers

    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["server"] == "attendant"
    assert headers["x-request-id"].startswith("req_")


async def test_a_trailing_slash_is_accepted(gate: GatewayStage) -> None:
    """Some clients post to the base URL with a slash."""
    for path in ("/v1/", "/api/publicLLM/", "/v1/chat/completions/"):
        assert (await gate.posts({"messages": [{"role": "user", "content": "hi"}]}, path=path)).status == 200
    assert (await gate.calls("GET", "/v1/models/")).status == 200


async def test_unknown_paths_and_methods_are_errors(gate: GatewayStage) -> None:
    """The errors have OpenAI's shape, too."""
    unknown, unsupported = await gate.calls("GET", "/v1/nothing"), await gate.calls("GET", "/v1/chat/completions")

    assert (unknown.status, unknown.error["type"]) == (404, "invalid_request_error")
    assert (unsupported.status, unsupported.headers["allow"]) == (405, "POST")


async def test_health_needs_no_key(gate: GatewayStage) -> None:
    """GET /healthz reports without a key that the process is alive."""
    got = await gate.calls("GET", "/healthz", headers={"Authorization": ""})

    assert (got.status, got.body) == (200, {"alive": True})


async def test_a_port_in_use_stops_the_start(gate: GatewayStage) -> None:
    """The error is one line that names the setting."""
    port = int(gate.address.rpartition(":")[2])
    values: dict[str, Any] = {"database_url": gate.settings.database_url.get_secret_value(), "gateway_port": port}
    with pytest.raises(StartupError, match=rf"^Port {port} [^\n]+GATEWAY_PORT to another, [^\n]+\.$"):
        async with app.gateway_bot(type(gate.settings)(**values)):
            pass


async def broken(*_: object, **__: object) -> None:
    """Fail as no code expects."""
    raise RuntimeError("the reason")


async def test_an_unexpected_error_is_a_500_without_its_reason(
    gate: GatewayStage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has the error's type and place, and the id of the request, which is also in the response."""
    monkeypatch.setattr(Store, "run", broken)
    got = await gate.asks("hi")

    assert (got.status, got.error["type"], "reason" in str(got.body)) == (500, "server_error", False)
    (record,) = [record for record in caplog.records if record.getMessage() == "request_failed"]
    assert record.__dict__["request"] == got.headers["x-request-id"]
    assert "RuntimeError" in record.__dict__["traceback"]


async def test_an_unexpected_error_in_a_stream_breaks_the_connection(
    gate: GatewayStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client sees that the answer is not complete."""
    hold = gate.hold_model("Try ")
    asking = asyncio.create_task(gate.asks("hi", session="one", stream=True))
    await hold.reached()
    monkeypatch.setattr(Store, "run", broken)
    hold.release()

    with pytest.raises(aiohttp.ClientError):
        await asking


async def test_readiness_has_its_own_port(empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock) -> None:
    """The gateway is ready without Slack."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with (
        opened(empty_sqlite_url, reciter, clock, health_port=port) as gate,
        gate.http.get(f"http://127.0.0.1:{port}/readyz") as response,
    ):
        readiness = await response.json()

    assert readiness["parts"] == {"database": True, "scheduler": True}
    assert [readiness["counts"][what] for what in ("running", "waiting", "requests")] == [0, 0, 0]
