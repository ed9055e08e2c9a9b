"""Requests for completions: the bodies that the gateway accepts, and the fields that it refuses by name."""

from __future__ import annotations

from typing import Any

import pytest

from bot.gateway.inbound.request_models import PassedOn, Unsupported
from bot.testing import SettableClock
from tests.support.gateway_stage import GatewayStage, opened
from tests.support.openai_server import OpenAIServer

TOOL = (
    b'{"messages": [{"role": "user", "content": "x"}],'
    b' "tools": [{"type": "function", "function": {"name": "look_up", "parameters": %s}}]}'
)
ASKED: Any = [{"role": "user", "content": "My VPN is down"}]


async def test_a_body_has_limits(empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock) -> None:
    """The number of bytes and the number of messages are limited. The content type must be JSON."""
    async with opened(empty_sqlite_url, reciter, clock, gateway_max_body_bytes=1_000, gateway_max_messages=2) as gate:
        too_long, too_many = await gate.asks("x" * 1_000), await gate.asks("a", "b", "c")
        form = await gate.posts(b"a=b", {"Content-Type": "application/x-www-form-urlencoded"})

    assert (too_long.status, too_long.error["code"]) == (413, "request_too_large")
    assert (too_many.status, too_many.error["param"]) == (400, "messages")
    assert (form.status, form.error["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("path", ["/v1", "/v1/chat/completions"])
async def test_a_body_that_does_not_match_its_encoding(gate: GatewayStage, path: str, encoding: str) -> None:
    """The gateway answers 400 to a body that does not match its declared encoding."""
    got = await gate.posts(b'{"messages": []}', {"Content-Encoding": encoding}, path)

    assert (got.status, got.error["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"n": 2}, "n", "unsupported_parameter"),
        ({"logprobs": True}, "logprobs", "unsupported_parameter"),
        ({"audio": {}}, "audio", "unsupported_parameter"),
        ({"functions": []}, "functions", "unsupported_parameter"),
        ({"metadata": {"for": "me"}}, "metadata", "unsupported_parameter"),
        ({"top_logprobs": 2}, "top_logprobs", "unsupported_parameter"),
        ({"web_search_options": {}}, "web_search_options", "unsupported_parameter"),
        ({"no_such_thing": 1}, "no_such_thing", "unsupported_parameter"),
        ({"temperature": 3}, "temperature", None),
        ({"temperature": "hot"}, "temperature", None),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", None),
        ({"seed": True}, "seed", None),
        ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0].type", None),
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
        ({"messages": []}, "messages", None),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].role", None),
        ({"messages": [{"role": "user"}]}, "messages[0].content", None),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].type", None),
    ],
)
async def test_an_unsupported_or_invalid_field_is_refused_by_name(
    gate: GatewayStage, fields: dict[str, Any], param: str, code: str | None
) -> None:
    """The error names the field, and the gateway does not call the model."""
    got = await gate.posts({"model": "any", "messages": ASKED, **fields})

    assert (got.status, got.error["param"], got.error["code"]) == (400, param, code)
    assert (got.error["type"], param in got.error["message"]) == ("invalid_request_error", True)
    assert not gate.model.requests


@pytest.mark.parametrize(
    "fields",
    [
        *({name: None} for name in [*PassedOn.model_fields, *Unsupported.model_fields]),
        {"metadata": {}},
        {"top_logprobs": 0},
    ],
)
async def test_null_and_default_values_are_accepted(gate: GatewayStage, fields: dict[str, Any]) -> None:
    """Some clients send null for every field that they do not use. The model gets none of these fields."""
    got = await gate.posts({"messages": ASKED, **fields})

    assert got.status == 200
    assert not set(fields) & set(gate.model.requests[-1].body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"messages": ' + b"[" * 100 + b"]" * 100 + b"}", "nested deeper than 64 levels"),
        (b'{"messages": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", "nested deeper than 64 levels"),
        (b'{"messages": NaN}', "NaN"),
        (TOOL % b'{"minimum": 1e999}', "a number that is too large"),
        (TOOL % b'{"title": "\\ud800"}', "surrogate"),
        (b"{", "not valid JSON"),
    ],
)
async def test_a_bad_body_is_described(
    gate: GatewayStage, caplog: pytest.LogCaptureFixture, body: bytes, words: str
) -> None:
    """The message says what is wrong with the body. The access log has the error."""
    caplog.set_level("INFO", "bot")
    got = await gate.posts(body)

    assert words in got.error["message"]
    logged = [vars(record)["error"] for record in caplog.records if record.getMessage() == "http_request"]
    assert logged == ["invalid_request_error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b'{"messages": NaN}',
        b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"messages": [{"role": "user", "content": "x"}], "logit_bias": {"1": 1e999}}',
        b'{"messages": ' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"\xff\xfe",
    ],
)
async def test_a_body_that_is_not_json_is_refused(gate: GatewayStage, body: bytes) -> None:
    """Unpaired surrogates, infinite numbers and deep nesting are refused too."""
    got = await gate.posts(body)

    assert (got.status, got.error["type"]) == (400, "invalid_request_error")
    assert not gate.model.requests
