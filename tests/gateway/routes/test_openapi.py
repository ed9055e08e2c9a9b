"""The OpenAPI document, beside the fuzz test that compares it with the server."""

from __future__ import annotations

from tests.support.gateway_stage import GatewayStage, limit_headers


async def test_the_document_lists_the_headers(gate: GatewayStage) -> None:
    """The document lists the headers of rate limits and sessions, and Retry-After."""
    got = await gate.asks("hi", session="one")
    paths = (await gate.calls("GET", "/v1/openapi.json")).body["paths"]
    answers = paths["/v1"]["post"]["responses"]

    assert {"x-session-id", "x-session-state", *limit_headers(got)} == set(answers["200"]["headers"])
    assert {"Retry-After", *limit_headers(got)} == set(answers["429"]["headers"])
    assert all("Retry-After" in answers[status]["headers"] for status in ("409", "503"))
    assert "Retry-After" in paths["/v1/models"]["get"]["responses"]["429"]["headers"]
