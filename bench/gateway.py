"""The gateway's part of `make bench`: the extra time of a request over a direct one, by the session's length.

Rule: the same client sends the same streaming request to both, in turn, with the same instant model.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.support.openai_server import OpenAIServer, instant

ROOT = Path(__file__).parents[1]
LENGTHS = (1, 100, 1_000)  # turns that a session has before it is asked
REQUESTS = 200  # one at a time, and again at once
AT_ONCE = 16  # sessions
DELTAS = 20
QUESTION, ANSWER = (
    "My VPN drops every ten minutes. What can I do about it?",
    "Please restart it and tell me what it says.",
)
UNLIMITED = {
    "GATEWAY_REQUESTS_PER_MINUTE": "100000000",
    "GATEWAY_TOKENS_PER_MINUTE": "999999999",
    "GATEWAY_MAX_MESSAGES": "10000",
}


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two servers, and the headers for it."""

    http: aiohttp.ClientSession
    url: str
    headers: dict[str, str]

    async def ask(self, session: str, earlier: int = 0) -> float:
        """Ask, after so many earlier turns, and read the whole answer. Return the seconds that it took."""
        turn = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
        body = {
            "model": "instant",
            "messages": [*turn * earlier, {"role": "user", "content": QUESTION}],
            "stream": True,
        }
        began = time.perf_counter()
        async with self.http.post(self.url, json=body, headers={**self.headers, "sessionId": session}) as response:
            response.raise_for_status()
            await response.read()
        return time.perf_counter() - began


def report() -> None:
    """Measure, then print the table."""
    asyncio.run(_report())


async def _report() -> None:
    print(
        f"\nThe gateway, {REQUESTS} requests one at a time, then as many, {AT_ONCE} sessions at once; {DELTAS} deltas."
    )
    print(f"{'':28}{'p50 ms over the model':>24}{'p99 ms over the model':>24}{'requests a second':>20}")
    async with _sides() as (direct, gateway):
        plain = await _one_at_a_time(direct, ["none"])
        print(_row("the model alone, ms", (_p50(plain), _p99(plain)), await _rate(direct, ["none"])))
        for length in LENGTHS:
            sessions = [f"{length}-{number}" for number in range(AT_ONCE)]
            for session in sessions:
                await gateway.ask(session, earlier=length - 1)
            plain = await _one_at_a_time(direct, ["none"])
            asked = await _one_at_a_time(gateway, sessions)
            over = (_p50(asked) - _p50(plain), _p99(asked) - _p99(plain))
            print(_row(f"session of {length:,} turns", over, await _rate(gateway, sessions)))


def _row(label: str, milliseconds: tuple[float, float], rate: float) -> str:
    return f"{label:28}" + "".join(f"{value:>24.1f}" for value in milliseconds) + f"{rate:>20.0f}"


async def _one_at_a_time(side: Side, sessions: Sequence[str]) -> list[float]:
    return [await side.ask(sessions[number % len(sessions)]) for number in range(REQUESTS)]


async def _rate(side: Side, sessions: Sequence[str]) -> float:
    async def ask(number: int) -> None:
        for _ in range(REQUESTS // AT_ONCE):
            await side.ask(sessions[number % len(sessions)])

    began = time.perf_counter()
    await asyncio.gather(*(ask(number) for number in range(AT_ONCE)))
    return REQUESTS // AT_ONCE * AT_ONCE / (time.perf_counter() - began)


@asynccontextmanager
async def _sides() -> AsyncIterator[tuple[Side, Side]]:
    """Serve the model, and the gateway in front of it."""
    model = OpenAIServer(lambda _: instant(DELTAS))
    await model.start()
    with tempfile.TemporaryDirectory(prefix="attendant-bench-", dir="/tmp") as folder:
        environ = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
        environ |= {"PYTHONPATH": str(ROOT), "PORT": "0", "OPENAI_BASE_URL": model.base_url, **UNLIMITED}
        key = (await _lines(folder, environ, "keys", "create", "bench"))[0]
        process = await _started(folder, environ, "gateway")
        try:
            address = await _address(process)
            async with aiohttp.ClientSession() as http:
                headers = {"Authorization": f"Bearer {key}"}
                yield Side(http, f"{model.base_url}chat/completions", {}), Side(http, f"{address}/v1", headers)
        finally:
            process.kill()
            await process.wait()
    await model.stop()


async def _address(process: asyncio.subprocess.Process) -> str:
    while process.stdout is not None and (line := (await process.stdout.readline()).decode()):
        if found := re.search(r"http://[^/]+", line):
            return found[0]
    raise SystemExit("the gateway did not start")


async def _lines(folder: str, environ: dict[str, str], *arguments: str) -> list[str]:
    process = await _started(folder, environ, *arguments)
    printed, _ = await process.communicate()
    return printed.decode().splitlines()


async def _started(folder: str, environ: dict[str, str], *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", *arguments),
        cwd=folder,
        env={**environ, "LOG_LEVEL": "warning"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )


def _p50(seconds: Sequence[float]) -> float:
    return statistics.median(seconds) * 1000


def _p99(seconds: Sequence[float]) -> float:
    return statistics.quantiles(seconds, n=100, method="inclusive")[-1] * 1000
