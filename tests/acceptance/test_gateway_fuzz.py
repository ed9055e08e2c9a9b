"""The gateway and its OpenAPI document: a fuzzer that reads the document finds no difference between them."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.openai_server import Cut, Fails, OpenAIServer, Reply, Request, says
from tests.support.process import Process
from tests.support.room import recites
from tests.support.timeouts import GENEROUS_S

# Without positive_data_acceptance: some valid bodies are refused for the order of their messages.
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance"),
    *("response_schema_conformance", "negative_data_rejection", "unsupported_method"),
    *("use_after_free", "allow_header_conformance"),
)
UNLIMITED = {"GATEWAY_REQUESTS_PER_MINUTE": "100000000", "GATEWAY_TOKENS_PER_MINUTE": "999999999"}


# Requests that the fuzzer cannot send: broken encodings, and bytes that are not HTTP.
BROKEN = [
    (b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 400),
    (b"Content-Encoding: deflate\r\nContent-Length: 2\r\n\r\n{}", 400),
    (b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", 400),
    (b"X-Long: " + b"x" * 9_000 + b"\r\n\r\n", 400),
    (b"nonsense\r\n\r\n", 400),
    (b"Expect: nonsense\r\nContent-Length: 0\r\n\r\n", 417),
]


def failing_model() -> Callable[[Request], Reply]:
    """Return a model that fails in several ways in turn, and sometimes answers."""
    retry = {"retry-after-ms": "1"}
    replies: cycle[Reply] = cycle(
        [
            Fails(400, {"code": "context_length_exceeded"}),
            Fails(500, "", retry),
            says("Try "),
            Fails(401, {"code": "invalid_api_key"}),
            says("Try ", Cut()),
            Fails(429, {}, retry),
            says(),
            Fails(400, {"code": "content_filter"}),
        ]
    )
    return lambda _: next(replies)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("prefix", "fails"), [("/v1", False), ("/api/publicLLM", True)])
async def test_the_server_conforms_to_its_openapi_document(tmp_path: Path, prefix: str, *, fails: bool) -> None:
    """The server returns no undocumented status, header or body. Only failures of the model cause a 5xx."""
    model = OpenAIServer(failing_model() if fails else recites)
    environ = {"OPENAI_BASE_URL": await model.start(), "OPENAI_API_KEY": "sk-test", **UNLIMITED}
    created = await Process.run(tmp_path, environ, "keys", "create", "test")
    key = next(line for line in created.lines if line.startswith("sk-att-"))
    async with Process.running(tmp_path, environ, "gateway") as process:
        (address,) = re.findall(r"http://[^/]+", await process.says("is running at"))
        failures = await fuzz(f"{address}{prefix}/openapi.json", key, tmp_path, CHECKS[1:] if fails else CHECKS)
        documented = await statuses(f"{address}{prefix}/openapi.json", prefix)
        received = [await status(address, f"POST {prefix}", key, rest) for rest, _ in BROKEN]
        ended = await process.stop()
    await model.stop()

    assert failures is None, failures
    assert received == [status for _, status in BROKEN]
    assert set(map(str, received)) <= documented
    unexpected = "request_failed" if fails else '"level": "error"'
    assert not [line for line in ended.lines if unexpected in line]


async def fuzz(document: str, key: str, path: Path, checks: tuple[str, ...]) -> str | None:
    """Return the fuzzer's report, or None if it finds no failure."""
    fuzzer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", document),
        *("-H", f"Authorization: Bearer {key}", "--checks", ",".join(checks)),
        *("--max-examples", "15", "--seed", "7", "--no-color"),
        cwd=path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    report, _ = await fuzzer.communicate()
    return report.decode() if fuzzer.returncode else None


async def statuses(document: str, path: str) -> set[str]:
    """Return the documented statuses of a completion."""
    async with aiohttp.ClientSession() as http, http.get(document) as response:
        content: dict[str, Any] = await response.json()
    return set(content["paths"][path]["post"]["responses"])


async def status(address: str, line: str, key: str, rest: bytes) -> int:
    """Send a request that ends with these raw bytes, and return the status."""
    host, _, port = address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"{line} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    writer.write(head.encode() + rest)
    answer = await asyncio.wait_for(reader.readline(), GENEROUS_S)
    writer.close()
    return int(answer.split()[1])
