"""Attacks on a running gateway, for hostile tests and the bench: each is what one client, or many, may do to it.

Rule: raw sockets, so that an attack costs the attacker little and a client may stop reading.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

HOST = "127.0.0.1"
PATH = "/v1/chat/completions"
OPENED_AT_ONCE = 50  # connections, so that the listen queue does not overflow
SMALL_BUFFER = 4_096  # bytes that the kernel keeps for a client that does not read


def asking(text: str = "attack", **fields: Any) -> bytes:
    """Return the body of a request with one message."""
    return json.dumps({"messages": [{"role": "user", "content": text}], **fields}).encode()


def many_parts(parts: int = 36_000) -> bytes:
    """Return a body whose one message has so many empty text parts."""
    content = [{"type": "text", "text": ""}] * parts
    return json.dumps({"messages": [{"role": "user", "content": content}]}, separators=(",", ":")).encode()


def huge_schema(properties: int = 50_000) -> bytes:
    """Return a body whose response format has so many properties."""
    schema: dict[str, Any] = {f"p{number}": {} for number in range(properties)}
    return asking(response_format={"type": "json_schema", "json_schema": schema})


def nested_lists(lists: int = 90_000) -> bytes:
    """Return a body whose response format has so many short, nested lists."""
    nested: list[Any] = [[[[]]]] * lists
    return asking(response_format={"type": "json_schema", "json_schema": {"a": nested}})


def long_text(characters: int = 300_000) -> bytes:
    """Return a body with one message of so many Chinese characters."""
    return json.dumps({"messages": [{"role": "user", "content": "漢" * characters}]}, ensure_ascii=False).encode()


def many_numbers(numbers: int = 300_000) -> bytes:
    """Return a body whose response format has an array of so many numbers."""
    return asking(response_format={"type": "json_schema", "json_schema": {"a": [0] * numbers}})


def resent_history(salt: str = "", turns: int = 400) -> bytes:
    """Return a body that resends so many turns, a little different from those of another salt."""
    earlier = [
        {"role": role, "content": f"{salt}{number} " + "printer " * 100}
        for number in range(turns)
        for role in ("user", "assistant")
    ]
    return json.dumps({"messages": [*earlier, {"role": "user", "content": f"the newest {salt}"}]}).encode()


HEAVY = (many_parts, huge_schema, nested_lists, long_text, many_numbers)


async def flood(port: int, keys: Sequence[str], bodies: Sequence[bytes], *, connections: int = 8) -> Counter[int]:
    """Send these bodies over and over, on so many connections, until it is cancelled. Return the statuses.

    Each connection sends its next request as soon as it has the response.
    """
    statuses: Counter[int] = Counter()
    turns = itertools.cycle(zip(itertools.cycle(keys), bodies, strict=False))

    async def client() -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            while True:
                key, body = next(turns)
                writer.write(_request(key, body))
                status, closing = await _response(reader)
                statuses[status] += 1
                if closing:
                    writer.close()
                    reader, writer = await asyncio.open_connection(HOST, port)
        finally:
            writer.transport.abort()

    clients = [asyncio.create_task(client()) for _ in range(connections)]
    try:
        with suppress(asyncio.CancelledError):
            await asyncio.wait(clients)
    finally:
        for each in clients:
            each.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    return statuses


@asynccontextmanager
async def slow_readers(
    port: int, keys: Sequence[str], *, readers: int = 1_000, body: bytes | None = None, in_sessions: bool = False
) -> AsyncIterator[Counter[int]]:
    """Open so many streams, with each key in turn, and read nothing but the status. All close at once in the end.

    With `in_sessions` each is in a session of its own. The block gets the number of responses by status; a stream that
    is not answered yet is missing.
    """
    statuses: Counter[int] = Counter()
    opening = asyncio.Semaphore(OPENED_AT_ONCE)
    sockets: list[socket.socket] = []
    body = body or asking(stream=True)

    async def reader(number: int) -> None:
        key, session = keys[number % len(keys)], f"slow-{number}" if in_sessions else ""
        async with opening:
            connection = await _connection(port)
            sockets.append(connection)
            await asyncio.get_running_loop().sock_sendall(connection, _request(key, body, session))
        status = await asyncio.get_running_loop().sock_recv(connection, len("HTTP/1.1 200"))
        statuses[int(status[-3:] or 0)] += 1

    waiting = [asyncio.create_task(reader(number)) for number in range(readers)]
    try:
        yield statuses
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for connection in sockets:
            connection.close()


async def _connection(port: int) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, (HOST, port))
    return connection


def _request(key: str, body: bytes, session: str = "") -> bytes:
    headers = {"Host": HOST, "Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    headers |= {"Content-Length": str(len(body))} | ({"sessionId": session} if session else {})
    lines = [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _response(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Read a response that is not a stream. Return its status, and whether the connection closes."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:"))
    await reader.readexactly(length)
    return int(head[9:12]), "connection: close" in head
