"""The gateway's log: a line for each request when it ends, one for each turn, and nobody's words in any of them."""

from __future__ import annotations

import asyncio
import logging
from ipaddress import ip_network

import pytest

from bot.testing import SettableClock
from tests.support.gateway_stage import Gate, opened
from tests.support.openai_server import OpenAIServer, says


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is logged, from INFO on."""
    caplog.set_level(logging.INFO, "bot")
    return caplog


def lines(log: pytest.LogCaptureFixture, message: str) -> list[dict[str, object]]:
    """The fields of the lines that begin so."""
    return [record.__dict__ for record in log.records if record.getMessage().startswith(message)]


async def test_each_request_is_a_line(gate: Gate, log: pytest.LogCaptureFixture) -> None:
    """With both ids, method, path, status, seconds, tokens and the key's id; without the session's id."""
    got = await gate.asks("a question", session="one", headers={"x-request-id": "theirs-1"})
    await gate.calls("GET", "/v1/sessions/secret-session")

    first, second = lines(log, "request ended")
    assert [first[name] for name in ("request", "client_request")] == [got.headers["x-request-id"], "theirs-1"]
    assert [first[name] for name in ("method", "path", "status")] == ["POST", "/v1/chat/completions", 200]
    assert (first["key"], type(first["seconds"])) == (gate.key.split("-")[2], float)
    assert [first["tokens"], second["tokens"]] == [got.body["usage"]["total_tokens"], None]
    assert [second[name] for name in ("path", "status", "why")] == ["/v1/sessions/{id}", 404, "session_not_found"]


@pytest.mark.parametrize(
    ("method", "path", "known"),
    [
        ("OPTIONS", "/v1", "/v1"),
        ("OPTIONS", "/v1/sessions/secret", "/v1/sessions/{id}"),
        ("GET", "/v1/chat/completions", "/v1/chat/completions"),
        ("OPTIONS", "/v1/secret", None),
    ],
)
async def test_a_method_that_a_path_does_not_take(
    gate: Gate, log: pytest.LogCaptureFixture, method: str, path: str, known: str | None
) -> None:
    """Its line has the path where it is one of ours."""
    await gate.calls(method, path)

    (line,) = lines(log, "request ended")
    assert line["path"] == known


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"temperature": 3}, "invalid temperature"),
        ({"logit_bias": {"secret": "x"}}, "invalid logit_bias"),
        ({"messages": []}, "invalid messages"),
        ({"secret": 1}, "unsupported_parameter"),
    ],
)
async def test_the_line_of_an_invalid_request_names_the_parameter(
    gate: Gate, log: pytest.LogCaptureFixture, fields: dict[str, object], why: str
) -> None:
    """By its name in the API, which is never what the client wrote."""
    await gate.posts({"messages": [{"role": "user", "content": "hi"}], **fields})

    (line,) = lines(log, "request ended")
    assert line["why"] == why


async def test_whoever_tries_keys_is_told_of_by_address(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock, log: pytest.LogCaptureFixture
) -> None:
    """As a trusted proxy tells it; whoever has a key is known by it, not by where they are."""
    proxies = (ip_network("127.0.0.1"),)
    async with opened(empty_sqlite_url, reciter, clock, gateway_trusted_proxies=proxies) as gate:
        for authorization in ("Bearer nonsense", f"Bearer {gate.key}"):
            headers = {"Authorization": authorization, "X-Forwarded-For": "192.0.2.1"}
            await gate.calls("GET", "/v1/models", headers=headers)

    assert [line["client"] for line in lines(log, "request ended")] == ["192.0.2.1", None]


async def test_what_is_no_http_is_a_line(gate: Gate, log: pytest.LogCaptureFixture) -> None:
    """With its status, and nothing of what came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gate.address.rpartition(":")[2]))
    writer.write(b"SECRET\r\n\r\n")
    await reader.read()
    writer.close()

    (line,) = lines(log, "a client sent what is no HTTP")
    assert (line["status"], line["levelname"], "SECRET" in str(line)) == (400, "INFO", False)


async def test_nothing_that_was_written_is_logged(gate: Gate, log: pytest.LogCaptureFixture) -> None:
    """Neither in a path that is none, nor as a request's id; neither keys nor sessions' ids."""
    await gate.asks("a secret question", session="secret-session", headers={"x-request-id": "a secret id"})
    await gate.calls("GET", "/v1/secret")

    written = "".join(str(record.__dict__) for record in log.records if record.name.startswith("bot"))
    assert ("secret" in written, gate.key.rpartition("-")[2] in written) == (False, False)


async def test_refusals_are_lines(gate: Gate, log: pytest.LogCaptureFixture) -> None:
    """At INFO, with their code; the key's id where it is known."""
    poor = await gate.another_key(requests_per_minute=1)
    await gate.calls("GET", "/v1/models", headers={"Authorization": "Bearer nonsense"})
    for _ in range(2):
        await gate.asks("hi", headers={"Authorization": f"Bearer {poor}"})

    told = [[line[name] for name in ("levelname", "status", "key", "why")] for line in lines(log, "request ended")]
    poor_id = poor.split("-")[2]
    assert told == [
        ["INFO", 401, None, "invalid_api_key"],
        ["INFO", 200, poor_id, None],
        ["INFO", 429, poor_id, "rate_limit_exceeded"],
    ]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_is_told_of(gate: Gate, log: pytest.LogCaptureFixture, *, stream: bool) -> None:
    """Its line has no status."""
    hold = gate.hold_model("Try ")
    asking = asyncio.create_task(gate.asks("hi", session="one", stream=stream))
    await hold.reached()
    asking.cancel()
    await gate.until(lambda: bool(lines(log, "request ended: client went away")))

    assert [line["status"] for line in lines(log, "request ended")] == [None]


async def test_each_turn_is_a_line_with_its_figures(gate: Gate, log: pytest.LogCaptureFixture) -> None:
    """As in Slack: the model and the tokens."""
    await gate.asks("hi", session="one")

    (line,) = lines(log, "turn_settled")
    names = ("model", "prompt_tokens", "cached_tokens", "completion_tokens")
    assert all(line[name] is not None for name in (*names, "session", "turn"))
    assert line["request"] == lines(log, "request ended")[0]["request"]


@pytest.mark.parametrize("session", ["one", None])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_failed_model_call_is_logged_once(
    gate: Gate, log: pytest.LogCaptureFixture, session: str | None, *, stream: bool
) -> None:
    """With its trouble, its turn and its request, whose own line has the code that the client was told."""
    gate.model.script(*[says()] * 2)
    await gate.asks("hi", session=session, stream=stream)

    (line,) = [record.__dict__ for record in log.records if record.levelno > logging.INFO]
    (ended,) = lines(log, "request ended")
    assert (line["trouble"], "turn" in line, ended["why"]) == ("empty", session is not None, "model_empty")
    assert line["request"] == ended["request"]
