"""The gateway and its OpenAPI document: a fuzzer that is led by the document finds nothing that it does not say."""

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

# Not whether every request that fits the schema is accepted: some are refused for what they say, not for their shape.
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance"),
    *("response_schema_conformance", "negative_data_rejection", "unsupported_method"),
    *("use_after_free", "allow_header_conformance"),
)
UNLIMITED = {"GATEWAY_REQUESTS_PER_MINUTE": "100000000", "GATEWAY_TOKENS_PER_MINUTE": "999999999"}


# What no client that is led by the document would send: the body's encoding, the request's own bytes.
BROKEN = [
    (b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 400),
    (b"Content-Encoding: deflate\r\nContent-Length: 2\r\n\r\n{}", 400),
    (b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", 400),
    (b"X-Long: " + b"x" * 9_000 + b"\r\n\r\n", 400),
    (b"nonsense\r\n\r\n", 400),
    (b"Expect: nonsense\r\nContent-Length: 0\r\n\r\n", 417),
]


def troubled() -> Callable[[Request], Reply]:
    """A model that fails in one way after another, and now and then says something."""
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
async def test_the_document_is_true(tmp_path: Path, prefix: str, *, fails: bool) -> None:
    """No status, header or shape that is not in it, and no 5xx but for a model's failures."""
    model = OpenAIServer(troubled() if fails else recites)
    environ = {"OPENAI_BASE_URL": await model.start(), "OPENAI_API_KEY": "sk-test", **UNLIMITED}
    made = await Process.run(tmp_path, environ, "keys", "create", "test")
    key = next(line for line in made.lines if line.startswith("sk-att-"))
    async with Process.running(tmp_path, environ, "gateway") as process:
        (address,) = re.findall(r"http://[^/]+", await process.says("is running at"))
        found = await fuzzed(f"{address}{prefix}/openapi.json", key, tmp_path, CHECKS[1:] if fails else CHECKS)
        documented = await statuses(f"{address}{prefix}/openapi.json", prefix)
        told = [await status(address, f"POST {prefix}", key, rest) for rest, _ in BROKEN]
        ended = await process.stop()
    await model.stop()

    assert found is None, found
    assert told == [status for _, status in BROKEN]
    assert set(map(str, told)) <= documented
    broke = "a request broke" if fails else '"level": "error"'
    assert not [line for line in ended.lines if broke in line]


async def fuzzed(document: str, key: str, path: Path, checks: tuple[str, ...]) -> str | None:
    """What the fuzzer says of it; None when all is well."""
    fuzzer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", document),
        *("-H", f"Authorization: Bearer {key}", "--checks", ",".join(checks)),
        *("--max-examples", "15", "--seed", "7", "--no-color"),
        cwd=path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await fuzzer.communicate()
    return said.decode() if fuzzer.returncode else None


async def statuses(document: str, path: str) -> set[str]:
    """Those that the document knows of a question."""
    async with aiohttp.ClientSession() as http, http.get(document) as response:
        told: dict[str, Any] = await response.json()
    return set(told["paths"][path]["post"]["responses"])


async def status(address: str, line: str, key: str, rest: bytes) -> int:
    """What is answered to a request that ends like this, byte by byte."""
    host, _, port = address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"{line} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    writer.write(head.encode() + rest)
    answer = await asyncio.wait_for(reader.readline(), GENEROUS_S)
    writer.close()
    return int(answer.split()[1])
