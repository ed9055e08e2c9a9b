"""The access log: one event for each request when it ends, and no text that a person wrote."""

from __future__ import annotations

import asyncio
import logging
from ipaddress import ip_network

import pytest

from bot.testing import SettableClock
from tests.support.gateway_stage import GatewayStage, opened
from tests.support.openai_server import OpenAIServer, says


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Capture log events from INFO on."""
    caplog.set_level(logging.INFO, "bot")
    return caplog


def events(log: pytest.LogCaptureFixture, name: str) -> list[dict[str, object]]:
    """Return the fields of the events with this name."""
    return [record.__dict__ for record in log.records if record.getMessage() == name]


async def test_each_request_is_an_event(gate: GatewayStage, log: pytest.LogCaptureFixture) -> None:
    """The event has both request ids, the method, path, status, seconds, tokens and key id, but no session id."""
    got = await gate.asks("a question", session="one", headers={"x-request-id": "theirs-1"})
    await gate.calls("GET", "/v1/sessions/secret-session")

    first, second = events(log, "http_request")
    assert [first[name] for name in ("request", "client_request")] == [got.headers["x-request-id"], "theirs-1"]
    assert [first[name] for name in ("method", "path", "status")] == ["POST", "/v1/chat/completions", 200]
    assert (first["key"], type(first["seconds"])) == (gate.key.split("-")[2], float)
    assert [first["tokens"], second["tokens"]] == [got.body["usage"]["total_tokens"], None]
    assert [second[name] for name in ("path", "status", "error")] == ["/v1/sessions/{id}", 404, "session_not_found"]


@pytest.mark.parametrize(
    ("method", "path", "known"),
    [
        ("OPTIONS", "/v1", "/v1"),
        ("OPTIONS", "/v1/sessions/secret", "/v1/sessions/{id}"),
        ("GET", "/v1/chat/completions", "/v1/chat/completions"),
        ("OPTIONS", "/v1/secret", None),
    ],
)
async def test_a_method_that_a_path_does_not_support(
    gate: GatewayStage, log: pytest.LogCaptureFixture, method: str, path: str, known: str | None
) -> None:
    """The event has the path if the path is one of the API's."""
    await gate.calls(method, path)

    (event,) = events(log, "http_request")
    assert event["path"] == known


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"temperature": 3}, "invalid temperature"),
        ({"logit_bias": {"secret": "x"}}, "invalid logit_bias"),
        ({"messages": []}, "invalid messages"),
        ({"secret": 1}, "unsupported_parameter"),
    ],
)
async def test_the_event_of_an_invalid_request_names_the_parameter(
    gate: GatewayStage, log: pytest.LogCaptureFixture, fields: dict[str, object], error: str
) -> None:
    """The event contains only names of the API, and no text of the client."""
    await gate.posts({"messages": [{"role": "user", "content": "hi"}], **fields})

    (event,) = events(log, "http_request")
    assert event["error"] == error


async def test_a_wrong_key_is_logged_with_the_address(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock, log: pytest.LogCaptureFixture
) -> None:
    """The address is the one that a trusted proxy reports. A request with a valid key is logged without an address."""
    proxies = (ip_network("127.0.0.1"),)
    async with opened(empty_sqlite_url, reciter, clock, gateway_trusted_proxies=proxies) as gate:
        for authorization in ("Bearer nonsense", f"Bearer {gate.key}"):
            headers = {"Authorization": authorization, "X-Forwarded-For": "192.0.2.1"}
            await gate.calls("GET", "/v1/models", headers=headers)

    assert [event["client"] for event in events(log, "http_request")] == ["192.0.2.1", None]


async def test_invalid_http_is_an_event(gate: GatewayStage, log: pytest.LogCaptureFixture) -> None:
    """The event has the status, and no bytes of the request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gate.address.rpartition(":")[2]))
    writer.write(b"SECRET\r\n\r\n")
    await reader.read()
    writer.close()

    (event,) = events(log, "invalid_http")
    assert (event["status"], event["levelname"], "SECRET" in str(event)) == (400, "INFO", False)


async def test_no_text_of_a_client_is_logged(gate: GatewayStage, log: pytest.LogCaptureFixture) -> None:
    """The log contains no unknown path, no invalid request id, no key and no session id."""
    await gate.asks("a secret question", session="secret-session", headers={"x-request-id": "a secret id"})
    await gate.calls("GET", "/v1/secret")

    written = "".join(str(record.__dict__) for record in log.records if record.name.startswith("bot"))
    assert ("secret" in written, gate.key.rpartition("-")[2] in written) == (False, False)


async def test_error_responses_are_logged(gate: GatewayStage, log: pytest.LogCaptureFixture) -> None:
    """The event is at INFO. It has the error code and the id of a known key."""
    poor = await gate.another_key(requests_per_minute=1)
    await gate.calls("GET", "/v1/models", headers={"Authorization": "Bearer nonsense"})
    for _ in range(2):
        await gate.asks("hi", headers={"Authorization": f"Bearer {poor}"})

    logged = [
        [event[name] for name in ("levelname", "status", "key", "error")] for event in events(log, "http_request")
    ]
    poor_id = poor.split("-")[2]
    assert logged == [
        ["INFO", 401, None, "invalid_api_key"],
        ["INFO", 200, poor_id, None],
        ["INFO", 429, poor_id, "rate_limit_exceeded"],
    ]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_disconnects_is_logged(
    gate: GatewayStage, log: pytest.LogCaptureFixture, *, stream: bool
) -> None:
    """The event has no status."""
    hold = gate.hold_model("Try ")
    asking = asyncio.create_task(gate.asks("hi", session="one", stream=stream))
    await hold.reached()
    asking.cancel()
    await gate.until(lambda: bool(events(log, "http_request")))

    assert [(event["status"], event["error"]) for event in events(log, "http_request")] == [
        (None, "client_disconnected")
    ]


async def test_each_turn_is_an_event_with_its_tokens(gate: GatewayStage, log: pytest.LogCaptureFixture) -> None:
    """The event has the model and the tokens, as in Slack."""
    await gate.asks("hi", session="one")

    await gate.until(lambda: bool(events(log, "http_request")))
    (event,) = events(log, "turn_settled")
    names = ("model", "prompt_tokens", "cached_tokens", "completion_tokens")
    assert all(event[name] is not None for name in (*names, "session", "turn"))
    assert event["request"] == events(log, "http_request")[0]["request"]


@pytest.mark.parametrize("session", ["one", None])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_failed_model_call_is_logged_once(
    gate: GatewayStage, log: pytest.LogCaptureFixture, session: str | None, *, stream: bool
) -> None:
    """The event has the trouble, the turn and the request. The request's own event has the error code."""
    gate.model.script(*[says()] * 3)
    await gate.asks("hi", session=session, stream=stream)

    (event,) = [record.__dict__ for record in log.records if record.levelno > logging.INFO]
    (ended,) = events(log, "http_request")
    assert (event["trouble"], "turn" in event, ended["error"]) == ("empty", session is not None, "model_empty")
    assert event["request"] == ended["request"]
