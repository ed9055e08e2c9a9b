"""Connections: slow clients are disconnected, and requests that are not HTTP get an error in the API's shape."""

from __future__ import annotations

import asyncio
import json
import socket

import aiohttp
import pytest
from aiohttp.web import RequestHandler

from bot.ops import http_server
from bot.ops.http_server import LINGERING_S
from bot.testing import SettableClock
from bot.turns.pacer import MOST_STEPS
from tests.slack.inbound.test_http_mode import http_stage
from tests.support.gateway_stage import GatewayStage, opened
from tests.support.openai_server import Forever, OpenAIServer, Says, delta, event
from tests.support.timeouts import GENEROUS_S

MANY = 200
FEW = 20


async def test_a_slow_client_is_disconnected(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """A client that does not send its body gets a 408. A client that does not send its headers gets no response."""
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


async def test_a_flood_ends_no_answer_and_keeps_nobody_out(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While silent connections fill the gateway's port, its answers go on, it serves others, and Slack delivers."""
    monkeypatch.setattr(http_server, "MAX_CONNECTIONS", FEW)
    async with opened(empty_sqlite_url, reciter, clock) as gate, http_stage() as (slack, _):
        hold = gate.hold_model("Try ")
        answer = asyncio.create_task(gate.asks("My VPN is down"))
        await hold.reached()
        silent = [await connected(gate) for _ in range(10 * FEW)]
        await asyncio.gather(*(reader.read() for reader, _ in silent[: 9 * FEW]))
        slack.workspace.post(slack.ana, slack.help_desk, "hello")
        await slack.acknowledged()
        async with aiohttp.ClientSession() as other, other.get(f"{gate.address}/healthz") as alive:
            assert alive.status == 200
        hold.release()
        assert (await answer).status == 200
        for _, writer in silent:
            writer.close()

    assert len(slack.inbox.accepted) == 1


@pytest.mark.parametrize("line", [b"X-Long: " + b"x" * 9_000, *[b"\r\n".join(b"X-%d: y" % n for n in range(200))]])
async def test_headers_have_limits(gate: GatewayStage, line: bytes) -> None:
    """Both the length of a header and the number of headers are limited."""
    reader, writer = await connected(gate)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: here\r\n" + line + b"\r\n\r\n")
    status = (await reader.readline()).split()[1]
    writer.close()

    assert status == b"400"


HEAD = "POST /v1 HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("SECRET\r\n\r\n", 400),
        ("SECRET /v1 HTTP/1.1\r\nHost: here\r\n\r\n", 400),
        ("GET SECRET\r\n\r\n", 400),
        ("G\x01T /SECRET HTTP/1.1\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nX-Long: SECRET" + "x" * 9_000 + "\r\n\r\n", 400),
        (HEAD + "Content-Length: SECRET\r\n\r\n", 400),
        (HEAD + "Transfer-Encoding: chunked\r\n\r\nSECRET\r\n", 400),
        (HEAD + "Expect: SECRET\r\nContent-Length: 0\r\n\r\n", 417),
        ("GET /nowhere HTTP/1.1\r\nHost: here\r\nExpect: SECRET\r\n\r\n", 417),
    ],
)
async def test_invalid_http_gets_an_error_in_the_apis_shape(gate: GatewayStage, sent: str, status: int) -> None:
    """The response has the security headers, and repeats nothing of the request."""
    reader, writer = await connected(gate)
    writer.write(sent.format(key=gate.key).encode())
    top = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), GENEROUS_S)).decode()
    headers = dict(line.lower().split(": ", 1) for line in top.splitlines()[1:] if line)
    body = await reader.readexactly(int(headers["content-length"]))
    writer.close()

    assert int(top.split()[1]) == status
    assert json.loads(body)["error"]["type"] == "invalid_request_error"
    assert (headers["server"], headers["x-content-type-options"]) == ("attendant", "nosniff")
    assert "SECRET" not in top + body.decode()


async def test_invalid_http_is_not_repeated_in_the_log(gate: GatewayStage, caplog: pytest.LogCaptureFixture) -> None:
    """The log does not contain the request, because the request may contain a key."""
    reader, writer = await connected(gate)
    writer.write(b"GET /v1 HTTP/1.1\r\nAuthorization: Bearer sk-att-\x00secret\r\n\r\n")
    status = (await reader.readline()).split()[1]
    writer.close()

    assert status == b"400"
    assert "secret" not in caplog.text


async def connected(gate: GatewayStage) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a raw connection to the gateway."""
    return await asyncio.open_connection("127.0.0.1", int(gate.address.rpartition(":")[2]))


def head(gate: GatewayStage, length: int) -> bytes:
    """Return the head of a request whose body has this many bytes."""
    lines = [
        "POST /v1 HTTP/1.1",
        "Host: here",
        f"Authorization: Bearer {gate.key}",
        "Content-Type: application/json",
        f"Content-Length: {length}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


async def test_a_client_that_does_not_read_its_answer_is_disconnected(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """Its answer is cancelled, and its session is free again."""
    async with opened(empty_sqlite_url, reciter, clock, gateway_client_timeout_seconds=0.2) as gate:
        reciter.script(Says((Forever(event(delta("w"))),)))
        with unread(gate) as client:
            await asyncio.get_running_loop().sock_sendall(client, _request(gate))
            await asyncio.wait_for(reciter.disconnected.wait(), GENEROUS_S)
        assert (await gate.asks("hello", session="one")).state == "created"


async def test_many_lost_connections_end_a_few_at_a_time(gate: GatewayStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """When many clients go away at once, each pass of the loop ends a few of their requests; in the end all."""
    ends, passes = 0, list[int]()
    lost = RequestHandler.connection_lost

    def end(connection: RequestHandler, error: BaseException | None) -> None:
        nonlocal ends
        ends += 1
        lost(connection, error)

    monkeypatch.setattr(RequestHandler, "connection_lost", end)
    connections = [await connected(gate) for _ in range(MANY)]
    for _, writer in connections:
        writer.transport.abort()
    while ends < MANY:
        before = ends
        await asyncio.sleep(0)
        passes.append(ends - before)

    assert max(passes) <= MOST_STEPS


async def test_a_client_that_reads_no_responses_is_disconnected(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """This holds without a key too, because the OpenAPI document needs none."""
    async with opened(empty_sqlite_url, reciter, clock, gateway_client_timeout_seconds=0.2) as gate:
        with unread(gate) as client, pytest.raises(ConnectionError):
            await asyncio.wait_for(_ask_on(client), GENEROUS_S)


class unread:  # noqa: N801 - reads as a statement
    """A connection whose client reads nothing."""

    def __init__(self, gate: GatewayStage) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self._socket.connect(("127.0.0.1", int(gate.address.rpartition(":")[2])))
        self._socket.setblocking(False)

    def __enter__(self) -> socket.socket:
        return self._socket

    def __exit__(self, *_: object) -> None:
        self._socket.close()


async def _ask_on(client: socket.socket) -> None:
    while True:
        asked = b"GET /v1/openapi.json HTTP/1.1\r\nHost: here\r\n\r\n"
        await asyncio.get_running_loop().sock_sendall(client, asked)


def _request(gate: GatewayStage) -> bytes:
    body = b'{"stream": true, "messages": [{"role": "user", "content": "hi"}]}'
    head = f"Authorization: Bearer {gate.key}\r\nsessionId: one\r\nContent-Type: application/json\r\n"
    return f"POST /v1 HTTP/1.1\r\nHost: here\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
