"""Heavy requests: no request holds the event loop, and what would take long to read is refused first."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import attacks
from tests.support.gateway_stage import GatewayStage
from tests.support.loop_probe import LoopProbe, loop_probe
from tests.support.openai_server import says

LONGEST_MS = 20  # of CPU time of the event loop's thread
ASKED = [{"role": "user", "content": "My VPN is down"}]
BOMB = gzip.compress(b" " * 200_000_000)  # 200 kB


def asking(**fields: Any) -> Callable[[], bytes]:
    """Return a function that makes the body of a request with these fields."""
    return lambda: json.dumps({"messages": ASKED, **fields}, ensure_ascii=False, separators=(",", ":")).encode()


def parts(count: int, text: str) -> list[dict[str, Any]]:
    """Return messages with one that has so many parts."""
    return [{"role": "user", "content": [{"type": "text", "text": text}] * count}]


def tools(count: int, properties: int) -> list[dict[str, Any]]:
    """Return so many tools, each with so many parameters."""
    parameters = {f"parameter {number}": {"type": "string"} for number in range(properties)}
    return [{"type": "function", "function": {"name": f"f{n}", "parameters": parameters}} for n in range(count)]


ALLOWED = {
    "many messages": asking(messages=ASKED * 1_000),
    "many parts": asking(messages=parts(6_000, "x" * 100)),
    "long instructions": asking(messages=[{"role": "system", "content": "漢" * 300_000}, *ASKED]),
    "many tools": asking(tools=tools(128, 48)),
    "a long description": asking(tools=[{"type": "function", "function": {"name": "f", "description": "x" * 900_000}}]),
    "many biases": asking(logit_bias={f"{number}": 1 for number in range(19_000)}),
    "a large schema": asking(
        response_format={"type": "json_schema", "json_schema": {f"{'k' * 30}{n}": "" for n in range(19_000)}}
    ),
    "long stop sequences": asking(stop=["x" * 200_000] * 4),
    "a long name": asking(user="x" * 900_000),
    "unknown fields": asking(**{f"field {number}": 1 for number in range(19_000)}),
}
REFUSED: dict[str, Callable[[], bytes]] = {shape.__name__: shape for shape in attacks.HEAVY}


async def probed(gate: GatewayStage, body: bytes, **headers: str) -> tuple[int, Any, LoopProbe]:
    """Send a body. Return the status, the response's body and the probe of the loop meanwhile."""
    assert (await gate.asks("hi")).status == 200  # what the first request prepares is not measured
    with loop_probe() as probe:
        got = await gate.posts(body, headers)
    return got.status, got.body, probe


@pytest.mark.parametrize("body", ALLOWED.values(), ids=ALLOWED)
@pytest.mark.parametrize("session", [{"sessionId": "one"}, {}], ids=["session", "alone"])
async def test_a_large_request_does_not_hold_the_loop(
    gate: GatewayStage, body: Callable[[], bytes], session: dict[str, str]
) -> None:
    """Whether it is answered or refused, the loop's thread works on nothing for long."""
    status, _, probe = await probed(gate, body(), **session)

    assert status in {200, 400}
    assert probe.longest_ms < LONGEST_MS


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
async def test_a_heavy_request_is_refused_at_once(gate: GatewayStage, body: Callable[[], bytes]) -> None:
    """Its values are counted before they are read, and the error names the limit."""
    status, got, probe = await probed(gate, body())

    assert status == 400
    assert "20000 values" in got["error"]["message"] or got["error"]["code"] == "context_length_exceeded"
    assert probe.longest_ms < LONGEST_MS


async def test_text_may_hold_any_number_of_brackets_and_commas(gate: GatewayStage) -> None:
    """Only values count, not the characters within texts, also behind escaped quotes."""
    got = await gate.asks('"\\' + "[" * 21_000)

    assert got.status == 200


@pytest.mark.parametrize(("key", "status"), [({}, 413), ({"Authorization": "Bearer wrong"}, 401)])
async def test_a_compressed_body_is_read_up_to_its_limit(gate: GatewayStage, key: dict[str, str], status: int) -> None:
    """200 kB that would become 200 MB are refused, for an invalid key before they are read."""
    got, _, probe = await probed(gate, BOMB, **{"Content-Encoding": "gzip"}, **key)

    assert got == status
    assert probe.longest_ms < LONGEST_MS


async def test_a_compressed_body_takes_little_memory(gate: GatewayStage) -> None:
    """Of the 200 MB, not much more than the longest body is ever in memory."""
    tracemalloc.start()
    try:
        got = await gate.posts(BOMB, {"Content-Encoding": "gzip"})
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert got.status == 413
    assert most < 20 * gate.settings.gateway_max_body_bytes


async def test_a_compressed_body_is_accepted(gate: GatewayStage) -> None:
    """Both gzip and deflate are decompressed. Other encodings are refused."""
    got = [
        await gate.posts(data, {"Content-Encoding": encoding})
        for encoding, data in (("gzip", gzip.compress(asking()())), ("br", b"x"))
    ]

    assert [each.status for each in got] == [200, 415]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_long_answer_does_not_hold_the_loop(gate: GatewayStage, *, stream: bool) -> None:
    """The tokens of an answer without a usage are estimated beside the loop."""
    gate.model.script(says("hi"), says(*["word " * 10_000] * 15))
    status, _, probe = await probed(gate, attacks.asking(stream=stream))

    assert status == 200
    assert probe.longest_ms < LONGEST_MS
