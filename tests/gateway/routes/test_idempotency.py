"""Idempotency keys: a request that is repeated with its key gets the same answer."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.gateway_stage import GatewayStage
from tests.support.openai_server import Says, says

HI = "My VPN is down"


@pytest.mark.parametrize("session", ["one", None])
@pytest.mark.parametrize("streams", [(False, False), (False, True), (True, False)])
async def test_a_repeated_request_gets_the_same_answer(
    gate: GatewayStage, session: str | None, streams: tuple[bool, bool]
) -> None:
    """The gateway calls the model once, in a session or not, for a streamed answer or a whole one."""
    gate.model.script(says("Try ", "again."))
    first, again = [await gate.asks(HI, session=session, headers=with_key("a"), stream=stream) for stream in streams]
    ids = [got.events[0]["id"] if got.events else got.body["id"] for got in (first, again)]

    assert (again.text, ids[0], again.state) == ("Try again.", ids[1], first.state)
    assert len(gate.model.requests) == 1
    assert await gate.turns("one") == (1 if session else 0)


@pytest.mark.parametrize("session", ["one", None])
async def test_a_repeated_request_costs_the_same(gate: GatewayStage, session: str | None) -> None:
    """If the backend reports no usage, the estimate is stored with the answer and returned again."""
    gate.model.script(Says(says("Try ", "again.").steps, usage=None))
    first, again = [(await gate.asks(HI, session=session, headers=with_key("a"))).body["usage"] for _ in range(2)]

    assert first == again
    assert first["completion_tokens"] > 0


async def test_a_null_field_equals_an_absent_one(gate: GatewayStage) -> None:
    """A request with additional nulls counts as the same request."""
    first = await gate.asks(HI, session="one", headers=with_key("a"))
    again = await gate.asks(HI, session="one", headers=with_key("a"), temperature=None, metadata=None)

    assert (again.status, again.text) == (200, first.text)
    assert len(gate.model.requests) == 1


async def test_a_request_with_tools_cannot_have_an_idempotency_key(gate: GatewayStage) -> None:
    """The gateway does not store answers with tool calls. It refuses the request, and the error names the field."""
    tools = [{"type": "function", "function": {"name": "look_up"}}]
    got = await gate.asks(HI, session="one", headers=with_key("a"), tools=tools)

    assert (got.status, got.error["param"], got.error["code"]) == (400, "tools", "unsupported_parameter")
    assert "Idempotency-Key" in got.error["message"]
    assert not gate.model.requests


async def test_a_repeated_request_waits_for_the_first(gate: GatewayStage) -> None:
    """A client may retry while the first request is being answered. Both get the same answer."""
    hold = gate.hold_model()
    asking = [asyncio.create_task(gate.asks(HI, headers=with_key("a"))) for _ in range(2)]
    await hold.reached()
    hold.release()

    assert [(await each).text for each in asking] == ["a held answer"] * 2
    assert len(gate.model.requests) == 1


async def test_a_key_of_another_request_is_refused(gate: GatewayStage) -> None:
    """An idempotency key belongs to one API key and one session."""
    await gate.asks(HI, session="one", headers=with_key("a"))
    got = await gate.asks("other", session="one", headers=with_key("a"))
    key = {"Authorization": f"Bearer {await gate.another_key()}"}

    assert (got.status, got.error["param"], got.error["code"]) == (400, "Idempotency-Key", "idempotency_key_reused")
    for headers, session in ((with_key("a") | key, "one"), (with_key("a"), "two"), ({}, "one"), (with_key("b"), "one")):
        assert (await gate.asks("other", session=session, headers=headers)).status == 200
    assert len(gate.model.requests) == 5


async def test_a_failed_request_is_answered_anew(gate: GatewayStage) -> None:
    """A request that is repeated after a reset is answered anew as well."""
    gate.model.script(*[says()] * 3, says("first"), says("second"))
    failed = await gate.asks(HI, session="one", headers=with_key("a"))
    first = await gate.asks(HI, session="one", headers=with_key("a"))
    await gate.calls("DELETE", "/v1/sessions/one")
    second = await gate.asks(HI, session="one", headers=with_key("a"))

    assert (failed.status, first.text, second.text) == (502, "first", "second")


def with_key(name: str) -> dict[str, str]:
    """Return the idempotency header."""
    return {"Idempotency-Key": name}
