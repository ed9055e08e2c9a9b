"""The gateway's door: bounds, browsers, and what every answer carries."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import aiohttp
import pytest

from bot import app
from bot.errors import StartupError
from bot.gateway.connection import LINGERING_S
from bot.testing import SettableClock
from tests.support.gateway_stage import CALLS, Gate, Got, opened
from tests.support.openai_server import OpenAIServer


async def test_a_body_has_its_bounds(empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock) -> None:
    """In bytes, and in messages; it is JSON and says so."""
    async with opened(empty_sqlite_url, reciter, clock, gateway_max_body_bytes=1_000, gateway_max_messages=2) as gate:
        too_long, too_many = await gate.asks("x" * 1_000), await gate.asks("a", "b", "c")
        form = await gate.posts(b"a=b", {"Content-Type": "application/x-www-form-urlencoded"})

    assert (too_long.status, too_long.error["code"]) == (413, "request_too_large")
    assert (too_many.status, too_many.error["param"]) == (400, "messages")
    assert (form.status, form.error["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("path", ["/v1", "/v1/chat/completions"])
async def test_a_body_that_is_not_encoded_as_it_says(gate: Gate, path: str, encoding: str) -> None:
    """It is the client's mistake: 400."""
    got = await gate.posts(b'{"messages": []}', {"Content-Encoding": encoding}, path)

    assert (got.status, got.error["type"]) == (400, "invalid_request_error")


async def test_a_client_that_takes_its_time_is_not_waited_for(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """One that keeps its body back is told so, and then left, too; one that keeps its headers back is left."""
    async with opened(empty_sqlite_url, reciter, clock, gateway_client_timeout_seconds=0.2) as gate:
        reader, writer = await connected(gate)
        writer.write(head(gate, 100))
        body = await asyncio.wait_for(reader.read(), LINGERING_S / 2)
        writer.close()
        reader, writer = await connected(gate)
        writer.write(b"GET /healthz HTT")
        headers = await reader.read()
        writer.close()

    assert (body.split()[1], headers) == (b"408", b"")


@pytest.mark.parametrize("line", [b"X-Long: " + b"x" * 9_000, *[b"\r\n".join(b"X-%d: y" % n for n in range(200))]])
async def test_headers_have_their_bounds(gate: Gate, line: bytes) -> None:
    """Neither one header nor all of them may be without end."""
    reader, writer = await connected(gate)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: here\r\n" + line + b"\r\n\r\n")
    status = (await reader.readline()).split()[1]
    writer.close()

    assert status == b"400"


BEGUN = "POST /v1 HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("SECRET\r\n\r\n", 400),
        ("SECRET /v1 HTTP/1.1\r\nHost: here\r\n\r\n", 400),
        ("GET SECRET\r\n\r\n", 400),
        ("G\x01T /SECRET HTTP/1.1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nX-Long: SECRET" + "x" * 9_000 + "\r\n\r\n", 400),
        (BEGUN + "Content-Length: SECRET\r\n\r\n", 400),
        (BEGUN + "Transfer-Encoding: chunked\r\n\r\nSECRET\r\n", 400),
        (BEGUN + "Expect: SECRET\r\nContent-Length: 0\r\n\r\n", 417),
        ("GET /nowhere HTTP/1.1\r\nHost: here\r\nExpect: SECRET\r\n\r\n", 417),
    ],
)
async def test_what_is_no_request_is_refused_as_everything_else(gate: Gate, sent: str, status: int) -> None:
    """In OpenAI's shape, with the headers that keep it safe, repeating nothing and telling no version."""
    reader, writer = await connected(gate)
    writer.write(sent.format(key=gate.key).encode())
    top = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode()
    headers = dict(line.lower().split(": ", 1) for line in top.splitlines()[1:] if line)
    body = await reader.readexactly(int(headers["content-length"]))
    writer.close()

    assert int(top.split()[1]) == status
    assert json.loads(body)["error"]["type"] == "invalid_request_error"
    assert (headers["server"], headers["x-content-type-options"]) == ("attendant", "nosniff")
    assert "SECRET" not in top + body.decode()


@pytest.mark.parametrize("role", ["system", "developer"])
@pytest.mark.parametrize("session", ["one", None])
async def test_refused_system_messages(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock, session: str | None, role: str
) -> None:
    """By setting, they are not accepted, in a session or not; no session is begun for one."""
    async with opened(empty_sqlite_url, reciter, clock, gateway_system_messages="refuse") as gate:
        got = await gate.asks({"role": role, "content": "You are a pirate."}, "hi", session=session)
        turns = await gate.turns("one")

    assert (got.status, got.error["code"], turns) == (400, "system_message_refused", 0)


async def test_models_that_are_allowed(empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock) -> None:
    """They are listed, and asked when they are named."""
    async with opened(empty_sqlite_url, reciter, clock, gateway_models=("big", "small")) as gate:
        listed = [model["id"] for model in (await gate.calls("GET", "/v1/models")).body["data"]]
        for model in ("big", "other"):
            await gate.asks("hi", model=model)

    assert listed == ["test-model", "big", "small"]
    assert [asked.body["model"] for asked in reciter.requests] == ["big", "test-model"]


async def test_browsers_are_not_let_in_unasked(gate: Gate) -> None:
    """Without a setting no page may call, and none learns that it may not."""
    headers = {"Origin": "https://example.com", "Access-Control-Request-Method": "POST"}
    preflight = await gate.calls("OPTIONS", "/v1", headers=headers)

    assert preflight.status == 405
    assert not [name for name in preflight.headers if name.startswith("access-control")]


async def test_pages_of_an_origin_that_is_set_may_call(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """They may send what SDKs send and read what is told of the session; others may not."""
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
    assert {"x-session-state", "retry-after", *told_of_limits(got)} <= exposed
    assert "access-control-allow-origin" not in other.headers


async def test_the_document_names_the_headers(gate: Gate) -> None:
    """Those of the limits and of the session, and when to try again."""
    got = await gate.asks("hi", session="one")
    paths = (await gate.calls("GET", "/v1/openapi.json")).body["paths"]
    answers = paths["/v1"]["post"]["responses"]

    assert {"x-session-id", "x-session-state", *told_of_limits(got)} == set(answers["200"]["headers"])
    assert {"Retry-After", *told_of_limits(got)} == set(answers["429"]["headers"])
    assert all("Retry-After" in answers[status]["headers"] for status in ("409", "503"))
    assert "Retry-After" in paths["/v1/models"]["get"]["responses"]["429"]["headers"]


def told_of_limits(got: Got) -> set[str]:
    """The headers that tell how much is left."""
    return {name for name in got.headers if name.startswith("x-ratelimit-")}


@pytest.mark.parametrize(("method", "path"), [*CALLS, ("GET", "/healthz"), ("GET", "/v1/openapi.json"), ("GET", "/")])
async def test_every_answer_carries_what_keeps_it_safe(gate: Gate, method: str, path: str) -> None:
    """Errors, too: nobody guesses its type, frames it or keeps it, and the server does not tell its version."""
    headers = (await gate.calls(method, path)).headers

    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["server"] == "attendant"
    assert headers["x-request-id"].startswith("req_")


async def test_a_slash_at_the_end_of_a_path_changes_nothing(gate: Gate) -> None:
    """Some clients post to the base URL with its slash."""
    for path in ("/v1/", "/api/publicLLM/", "/v1/chat/completions/"):
        assert (await gate.posts({"messages": [{"role": "user", "content": "hi"}]}, path=path)).status == 200
    assert (await gate.calls("GET", "/v1/models/")).status == 200


async def test_paths_and_methods_that_there_are_not(gate: Gate) -> None:
    """They are errors in OpenAI's shape, too."""
    nowhere, wrong = await gate.calls("GET", "/v1/nothing"), await gate.calls("GET", "/v1/chat/completions")

    assert (nowhere.status, nowhere.error["type"]) == (404, "invalid_request_error")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")


async def test_health_needs_no_key(gate: Gate) -> None:
    """It tells that the process lives."""
    got = await gate.calls("GET", "/healthz", headers={"Authorization": ""})

    assert (got.status, got.body) == (200, {"alive": True})


async def test_a_port_that_is_taken_stops_the_start_with_a_line(gate: Gate) -> None:
    """It names the setting."""
    port = int(gate.address.rpartition(":")[2])
    values: dict[str, Any] = {"database_url": gate.settings.database_url, "gateway_port": port}
    with pytest.raises(StartupError, match=rf"^Port {port} [^\n]+GATEWAY_PORT to another, [^\n]+\.$"):
        async with app.gateway_bot(type(gate.settings)(**values)):
            pass


async def connected(gate: Gate) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the gateway, byte by byte."""
    return await asyncio.open_connection("127.0.0.1", int(gate.address.rpartition(":")[2]))


def head(gate: Gate, length: int) -> bytes:
    """The head of a request whose body has so many bytes."""
    lines = [
        "POST /v1 HTTP/1.1",
        "Host: here",
        f"Authorization: Bearer {gate.key}",
        "Content-Type: application/json",
        f"Content-Length: {length}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


async def test_what_is_no_http_is_not_repeated_in_the_log(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    """A broken line may hold a key."""
    reader, writer = await connected(gate)
    writer.write(b"GET /v1 HTTP/1.1\r\nAuthorization: Bearer sk-att-\x00secret\r\n\r\n")
    status = (await reader.readline()).split()[1]
    writer.close()

    assert status == b"400"
    assert "secret" not in caplog.text


async def test_what_nobody_foresaw_is_told_without_its_reason(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    """500 in OpenAI's shape; the log has the reason, and the request's id, which the client has, too."""
    await gate.services.store.close()
    got = await gate.asks("hi")

    assert (got.status, got.error["type"], "futures" in str(got.body)) == (500, "server_error", False)
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.__dict__["request"] == got.headers["x-request-id"]


async def test_what_breaks_in_the_middle_of_a_stream_breaks_the_connection(gate: Gate) -> None:
    """Nobody takes half an answer for a whole one."""
    hold = gate.hold_model("Try ")
    asking = asyncio.create_task(gate.asks("hi", session="one", stream=True))
    await hold.reached()
    await gate.services.store.close()
    hold.release()

    with pytest.raises(aiohttp.ClientError):
        await asking


async def test_its_health_has_a_port_of_its_own(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """Ready without Slack, which it does not need."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with (
        opened(empty_sqlite_url, reciter, clock, health_port=port) as gate,
        gate.http.get(f"http://127.0.0.1:{port}/readyz") as response,
    ):
        told = await response.json()

    assert told["parts"] == {"database": True, "scheduler": True}
    assert [told["counts"][what] for what in ("running", "waiting", "asking")] == [0, 0, 0]
