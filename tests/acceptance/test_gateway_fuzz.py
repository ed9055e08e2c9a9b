"""The gateway and its OpenAPI document: a fuzzer that is led by the document finds nothing that it does not say."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from tests.openai_server import OpenAIServer
from tests.process import Process
from tests.room import recites

# Not whether every request that fits the schema is accepted: some are refused for what they say, not for their shape.
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance"),
    *("response_schema_conformance", "negative_data_rejection", "unsupported_method"),
    *("use_after_free", "allow_header_conformance"),
)
UNLIMITED = {"GATEWAY_REQUESTS_PER_MINUTE": "100000000", "GATEWAY_TOKENS_PER_MINUTE": "999999999"}


@pytest.mark.timeout(300)
async def test_the_document_is_true(tmp_path: Path) -> None:
    """No 5xx, and no status, header or shape that is not in it."""
    model = OpenAIServer(recites)
    environ = {"OPENAI_BASE_URL": await model.start(), "OPENAI_API_KEY": "sk-test", **UNLIMITED}
    made = await Process.run(tmp_path, environ, "keys", "create", "test")
    key = next(line for line in made.lines if line.startswith("sk-att-"))
    async with Process.running(tmp_path, environ, "gateway") as process:
        (address,) = re.findall(r"http://[^/]+", await process.says("is running at"))
        fuzzer = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{address}/v1/openapi.json"),
            *("-H", f"Authorization: Bearer {key}", "--checks", ",".join(CHECKS)),
            *("--max-examples", "15", "--seed", "7", "--no-color"),
            cwd=tmp_path,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        found, _ = await fuzzer.communicate()
        ended = await process.stop()
    await model.stop()

    assert fuzzer.returncode == 0, found.decode()
    assert not [line for line in ended.lines if '"level": "error"' in line]
