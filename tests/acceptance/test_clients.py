"""The gateway as a process, and five kinds of clients: each remembers under one id, and knows nothing under another."""

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
    """Node with OpenAI's package for it, or a loud skip; in CI it must be there."""
    found = shutil.which("node")
    if found is None or not (FOLDER / "node_modules" / "openai").exists():
        no_node = "NO NODE: install it, then run: npm ci --prefix tests/clients"
        if os.environ.get("CI"):
            pytest.fail(no_node)
        pytest.skip(no_node)
    return found


async def ran(*command: str, typed: str = "", environ: Mapping[str, str] | None = None, folder: Path = FOLDER) -> str:
    """What a program prints; it must end well."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**os.environ, **(environ or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        printed, complaints = await asyncio.wait_for(process.communicate(typed.encode()), WITHIN_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaints.decode()
    return printed.decode()


def program(*command: str) -> Client:
    """A client that is a program of its own."""

    async def answers(world: GatewayWorld, address: str, calls: Sequence[Call]) -> list[str]:
        printed = await ran(*command, address, world.key, typed=json.dumps(calls))
        told: list[str] = json.loads(printed)
        return told

    return answers


async def curl(world: GatewayWorld, address: str, calls: Sequence[Call]) -> list[str]:
    """One curl for each call."""
    return [await _curled(world, address, call) for call in calls]


async def _curled(world: GatewayWorld, address: str, call: Call) -> str:
    body = {"messages": [{"role": "user", "content": call["text"]}], "stream": call["stream"]}
    named = f"{call['header']}: {call['session']}"
    headers = (f"Authorization: Bearer {world.key}", "Content-Type: application/json", named)
    options = [option for header in headers for option in ("-H", header)]
    printed = await ran("curl", "-sSNf", f"{address}/v1/chat/completions", *options, "-d", json.dumps(body))
    if not call["stream"]:
        return str(json.loads(printed)["choices"][0]["message"]["content"])
    lines = [line.removeprefix("data: ") for line in printed.split("\n\n") if line]
    chunks = [json.loads(line) for line in lines if line != "[DONE]"]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


def clients(node: str) -> dict[str, Client]:
    """The five."""
    return {
        "sdk": program(sys.executable, "sdk.py"),
        "requests": program(sys.executable, "with_requests.py"),
        "javascript": program(node, "sdk.mjs"),
        "fetch": program(node, "fetch.mjs"),
        "curl": curl,
    }


def calls(name: str, text: str, *, another: bool = False) -> list[Call]:
    """One call in each spelling of the header, streaming and not, each in a session of its own."""
    return [
        {"header": header, "session": f"{name}-{header}-{stream}{'-x' * another}", "stream": stream, "text": text}
        for header in HEADERS
        for stream in (False, True)
    ]


async def all_ask(
    world: GatewayWorld, address: str, node: str, text: str, *, another: bool = False
) -> dict[str, list[str]]:
    """What each of the five is told, all of them asking at once."""
    asking = {name: ask(world, address, calls(name, text, another=another)) for name, ask in clients(node).items()}
    return dict(zip(asking, await asyncio.gather(*asking.values()), strict=True))


async def remember(world: GatewayWorld, address: str, node: str) -> None:
    """Check that each client, in each of its sessions, is told what it said before, and not in another one."""
    told = await all_ask(world, address, node, WHO)
    strange = await all_ask(world, address, node, WHO, another=True)

    assert {name: [ALICE in answer for answer in answers] for name, answers in told.items()} == dict.fromkeys(
        told, [True] * 8
    )
    assert not [name for name, answers in strange.items() for answer in answers if ALICE in answer]


async def test_each_client_remembers_across_a_restart(world: GatewayWorld, node: str) -> None:
    """In each spelling of the header, streaming and not; under another id it knows nothing."""
    async with world.running("gateway") as (_, address):
        await all_ask(world, address, node, ALICE)
    async with world.running("gateway") as (_, address):
        await remember(world, address, node)


async def test_each_client_remembers_across_replicas(world: GatewayWorld, node: str) -> None:
    """What was said to one process is known to the other, while both run."""
    async with world.running("gateway") as (_, here), world.running("gateway") as (_, there):
        await all_ask(world, here, node, ALICE)
        await remember(world, there, node)


def snippets(kind: str, page: str = "http-api", after: str = "clients", before: str = "<!-- end") -> list[str]:
    """The examples of a page of docs/ in this language."""
    section = (DOCS / f"{page}.md").read_text(encoding="utf-8").split(f"<!-- {after}:")[1].split(before)[0]
    return re.findall(rf"^```{kind}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


async def test_the_examples_of_the_http_api_run(world: GatewayWorld, node: str) -> None:
    """As they stand there, but for the address: each asks twice, and is told the name in the second answer."""
    async with world.running("gateway") as (_, address):
        told = [
            await ran(*command, snippet.replace("http://127.0.0.1:8000", address), environ={"ATTENDANT_KEY": world.key})
            for command, kind in (
                ((sys.executable, "-c"), "python"),
                ((node, "--input-type=module", "-e"), "javascript"),
                (("sh", "-ec"), "sh"),
            )
            for snippet in snippets(kind)
        ]

    assert [f"{ALICE} | " in answer for answer in told] == [True] * 5


async def test_the_example_of_the_python_api_runs(world: GatewayWorld) -> None:
    """It needs no server, and its second answer knows the name."""
    (snippet,) = snippets("python", "python-api", "python", "\n| Call")
    environ = {**world.environ, "PYTHONPATH": str(FOLDER.parents[1])}

    assert ALICE in await ran(sys.executable, "-c", snippet, environ=environ, folder=world.folder)
