"""The gateway as a process, with five kinds of clients: each session remembers its own messages, and no others."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway_world import GatewayWorld

FOLDER = Path(__file__).parents[1] / "clients"
DOCS = Path(__file__).parents[2] / "docs"
HEADERS = ("sessionId", "session-id", "x-session-id", "session_id")
ALICE, WHO = "My name is Alice", "What's my name?"
WITHIN_S = 60.0

Call = Mapping[str, Any]
Client = Callable[[GatewayWorld, str, Sequence[Call]], Awaitable[list[str]]]


@pytest.fixture(scope="session")
def node() -> str:
    """Return Node's path. Without OpenAI's npm package the test is skipped; in CI it fails."""
    path = shutil.which("node")
    if path is None or not (FOLDER / "node_modules" / "openai").exists():
        no_node = "NO NODE: install it, then run: npm ci --prefix tests/clients"
        if os.environ.get("CI"):
            pytest.fail(no_node)
        pytest.skip(no_node)
    return path


async def run(*command: str, typed: str = "", environ: Mapping[str, str] | None = None, folder: Path = FOLDER) -> str:
    """Run a program that must succeed, and return its output."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**os.environ, **(environ or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(typed.encode()), WITHIN_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    return output.decode()


def program(*command: str) -> Client:
    """Return a client that is a separate program."""

    async def answers(world: GatewayWorld, address: str, calls: Sequence[Call]) -> list[str]:
        output = await run(*command, address, world.key, typed=json.dumps(calls))
        received: list[str] = json.loads(output)
        return received

    return answers


async def curl(world: GatewayWorld, address: str, calls: Sequence[Call]) -> list[str]:
    """Run curl once for each call."""
    return [await _curl(world, address, call) for call in calls]


async def _curl(world: GatewayWorld, address: str, call: Call) -> str:
    body = {"messages": [{"role": "user", "content": call["text"]}], "stream": call["stream"]}
    session = f"{call['header']}: {call['session']}"
    headers = (f"Authorization: Bearer {world.key}", "Content-Type: application/json", session)
    options = [option for header in headers for option in ("-H", header)]
    output = await run("curl", "-sSNf", f"{address}/v1/chat/completions", *options, "-d", json.dumps(body))
    if not call["stream"]:
        return str(json.loads(output)["choices"][0]["message"]["content"])
    lines = [line.removeprefix("data: ") for line in output.split("\n\n") if line]
    chunks = [json.loads(line) for line in lines if line != "[DONE]"]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


def clients(node: str) -> dict[str, Client]:
    """Return the five clients."""
    return {
        "sdk": program(sys.executable, "sdk.py"),
        "requests": program(sys.executable, "with_requests.py"),
        "javascript": program(node, "sdk.mjs"),
        "fetch": program(node, "fetch.mjs"),
        "curl": curl,
    }


def calls(name: str, text: str, *, another: bool = False) -> list[Call]:
    """Return one call for each spelling of the header, streaming and not, each in its own session."""
    return [
        {"header": header, "session": f"{name}-{header}-{stream}{'-x' * another}", "stream": stream, "text": text}
        for header in HEADERS
        for stream in (False, True)
    ]


async def all_ask(
    world: GatewayWorld, address: str, node: str, text: str, *, another: bool = False
) -> dict[str, list[str]]:
    """Return the answers of the five clients, which run concurrently."""
    running = {name: ask(world, address, calls(name, text, another=another)) for name, ask in clients(node).items()}
    return dict(zip(running, await asyncio.gather(*running.values()), strict=True))


async def assert_remembered(world: GatewayWorld, address: str, node: str) -> None:
    """Check that each client's sessions remember its message, and that its other sessions do not."""
    same = await all_ask(world, address, node, WHO)
    other = await all_ask(world, address, node, WHO, another=True)

    assert {name: [ALICE in answer for answer in answers] for name, answers in same.items()} == dict.fromkeys(
        same, [True] * 8
    )
    assert not [name for name, answers in other.items() for answer in answers if ALICE in answer]


async def test_each_client_remembers_across_a_restart(world: GatewayWorld, node: str) -> None:
    """The client uses each spelling of the header, streaming and not. Another session remembers nothing."""
    async with world.running("gateway") as (_, address):
        await all_ask(world, address, node, ALICE)
    async with world.running("gateway") as (_, address):
        await assert_remembered(world, address, node)


async def test_each_client_remembers_across_replicas(world: GatewayWorld, node: str) -> None:
    """A second process, which runs at the same time, has the sessions of the first."""
    async with world.running("gateway") as (_, here), world.running("gateway") as (_, there):
        await all_ask(world, here, node, ALICE)
        await assert_remembered(world, there, node)


def snippets(kind: str, page: str = "http-api", after: str = "clients", before: str = "<!-- end") -> list[str]:
    """Return the examples of a page of docs/ in this language."""
    section = (DOCS / f"{page}.md").read_text(encoding="utf-8").split(f"<!-- {after}:")[1].split(before)[0]
    return re.findall(rf"^```{kind}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


async def test_the_examples_of_the_http_api_run(world: GatewayWorld, node: str) -> None:
    """The test replaces only the address. Each example asks twice, and its second answer contains the name."""
    async with world.running("gateway") as (_, address):
        outputs = [
            await run(*command, snippet.replace("http://127.0.0.1:8000", address), environ={"ATTENDANT_KEY": world.key})
            for command, kind in (
                ((sys.executable, "-c"), "python"),
                ((node, "--input-type=module", "-e"), "javascript"),
                (("sh", "-ec"), "sh"),
            )
            for snippet in snippets(kind)
        ]

    assert [f"{ALICE} | " in answer for answer in outputs] == [True] * 5


async def test_the_example_of_the_python_api_runs(world: GatewayWorld) -> None:
    """The example needs no server. Its second answer contains the name."""
    (snippet,) = snippets("python", "python-api", "python", "\n| Call")
    environ = {**world.environ, "PYTHONPATH": str(FOLDER.parents[1])}

    assert ALICE in await run(sys.executable, "-c", snippet, environ=environ, folder=world.folder)
