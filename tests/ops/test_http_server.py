"""bot.ops.http_server: on the health port and on Slack's port, slow clients and broken requests are turned away."""

from __future__ import annotations

import asyncio
import gzip
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import pytest

from bot.ops import health
from bot.ops.http_server import CLIENT_TIMEOUT_S, MAX_CONNECTIONS, MAX_HEADER_BYTES, most_connections
from bot.slack.inbound.http_mode import MAX_BODY_BYTES, PATH
from tests.slack.inbound.test_http_mode import http_stage
from tests.support.timeouts import GENEROUS_S

HOST = "127.0.0.1"
TIMEOUT_S = 0.2
HALF_SENT = 400

MOST = 10

Served = Callable[..., AbstractAsyncContextManager[int]]
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def health_port(most_connections: int | None = None) -> AsyncIterator[int]:
    """Serve the health endpoint."""

    async def no_counts() -> dict[str, int]:
        return {}

    client_timeout_s = TIMEOUT_S if most_connections is None else CLIENT_TIMEOUT_S
    async with health.served(
        HOST,
        0,
        {},
        {},
        no_counts,
        client_timeout_s=client_timeout_s,
        most_connections=most_connections or MAX_CONNECTIONS,
    ) as port:
        yield port


@asynccontextmanager
async def slack_port(most_connections: int | None = None) -> AsyncIterator[int]:
    """Serve Slack's requests. With a limit of connections, clients have time."""
    client_timeout_s = TIMEOUT_S if most_connections is None else CLIENT_TIMEOUT_S
    most = most_connections or MAX_CONNECTIONS
    async with http_stage(client_timeout_s=client_timeout_s, most_connections=most) as (_, http):
        yield http.port


PORTS = pytest.mark.parametrize("served", [health_port, slack_port])
HALF_A_BODY = f"POST {PATH} HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\nhalf".encode()


async def response_to(port: int, sent: bytes) -> bytes:
    """Send bytes, and return all that the server sends until it closes the connection."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(sent)
    try:
        return await asyncio.wait_for(reader.read(), GENEROUS_S)
    finally:
        writer.close()


@PORTS
@pytest.mark.parametrize("sent", [b"", b"GET /", b"POST / HTTP/1.1\r\nHost: here\r\n"], ids=["", "line", "headers"])
async def test_half_sent_requests_are_disconnected(served: Served, sent: bytes) -> None:
    """Connections that send no whole request are closed without a response."""
    async with served() as port:
        responses = await asyncio.gather(*(response_to(port, sent) for _ in range(HALF_SENT)))

    assert set(responses) == {b""}


async def flood(port: int, count: int, sent: bytes = b"") -> list[Client]:
    """Open connections, one after the other, that send no whole request."""
    clients = []
    for _ in range(count):
        clients.append(await asyncio.open_connection(HOST, port))
        clients[-1][1].write(sent)
    return clients


async def is_closed(client: Client) -> bool:
    """Wait until the server has closed this connection."""
    with suppress(ConnectionResetError):
        await asyncio.wait_for(client[0].read(), GENEROUS_S)
    return True


@PORTS
@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost", HALF_A_BODY], ids=["idle", "headers", "body"])
async def test_a_flood_takes_no_more_connections_than_its_port_has(served: Served, sent: bytes) -> None:
    """Each new connection takes the place of the one that was used least recently. A whole request is answered."""
    async with served(MOST) as port:
        clients = await flood(port, 5 * MOST, sent)
        assert all([await is_closed(client) for client in clients[: 4 * MOST]])
        response = await response_to(port, b"GET /nowhere HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        for _, writer in clients:
            writer.close()

    assert response.startswith(b"HTTP/1.1 404")


@PORTS
async def test_a_connection_in_use_outlives_silent_ones(served: Served) -> None:
    """A connection whose requests are answered is kept, while connections that never send one come and go."""
    asked = b"GET /nowhere HTTP/1.1\r\nHost: here\r\n\r\n"
    async with served(MOST) as port:
        reader, writer = await asyncio.open_connection(HOST, port)
        for _ in range(5):
            writer.write(asked)
            assert (await reader.readuntil(b"404: Not Found")).startswith(b"HTTP/1.1 404")
            for _, silent in await flood(port, MOST - 1):
                silent.close()
        writer.close()


def test_a_port_leaves_files_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three flooded ports together take three quarters of the process's file descriptors."""
    for files, most in ((1_024, 256), (65_536, MAX_CONNECTIONS), (resource.RLIM_INFINITY, MAX_CONNECTIONS)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert most_connections() == most


@PORTS
async def test_an_idle_connection_is_closed(served: Served) -> None:
    """After a response the next request must arrive in time."""
    async with served() as port:
        response = await response_to(port, b"GET /nowhere HTTP/1.1\r\nHost: here\r\n\r\n")

    assert response.startswith(b"HTTP/1.1 404")


async def test_a_half_sent_body_is_disconnected() -> None:
    """Slack's port answers 408 and closes the connection."""
    async with slack_port() as port:
        responses = await asyncio.gather(*(response_to(port, HALF_A_BODY) for _ in range(HALF_SENT)))

    assert {response.split()[1] for response in responses} == {b"408"}


async def test_a_compressed_body_is_not_decompressed() -> None:
    """A few kilobytes of a client that Slack did not sign could become gigabytes. Slack compresses no request."""
    body = gzip.compress(bytes(10 * MAX_BODY_BYTES))
    head = f"POST {PATH} HTTP/1.1\r\nHost: here\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    async with slack_port() as port:
        response = await response_to(port, head.encode() + body)

    assert response.split()[1] == b"400"  # it is not UTF-8; decompressed, it would be too large


@PORTS
@pytest.mark.parametrize(
    "sent",
    [
        b"SECRET\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-Long: SECRET" + b"x" * MAX_HEADER_BYTES + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: SECRET\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    ],
    ids=["not HTTP", "long header", "many headers"],
)
async def test_invalid_http_is_refused(served: Served, sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """The response is a 400. Neither it nor the log repeats the request."""
    async with served() as port:
        response = await response_to(port, sent)

    assert response.startswith(b"HTTP/1.0 400")
    assert "SECRET" not in response.decode() + caplog.text
