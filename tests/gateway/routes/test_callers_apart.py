"""Callers apart: what one caller's request makes the backend say changes nothing for anybody else."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from sqlalchemy import event

from bot.llm.circuit_breaker import FAILURES
from bot.testing import SettableClock
from tests.support.gateway_stage import GatewayStage, opened
from tests.support.openai_server import Fails, OpenAIServer, says
from tests.support.room import shown

ECHOED = "maximum context 600"
TURNS = 20
LONG = "word " * 100  # so that twenty turns are far above 600 tokens
TOOL = {"type": "function", "function": {"name": "maximum_context_length_600", "description": ECHOED}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": ECHOED}}
OK = {"role": "assistant", "content": "OK"}
PLACES: list[Mapping[str, Any]] = [
    {"reasoning_effort": ECHOED},
    {"verbosity": ECHOED},
    {"stop": ECHOED},
    {"user": ECHOED},
    {"safety_identifier": ECHOED},
    {"prompt_cache_key": ECHOED},
    {"tools": [TOOL]},
    {"response_format": SCHEMA},
]


@pytest.fixture
async def gate(empty_sqlite_url: str, clock: SettableClock) -> AsyncIterator[GatewayStage]:
    """Open a gateway over a model with short answers."""
    model = OpenAIServer(lambda _: says("ok"))
    await model.start()
    async with opened(empty_sqlite_url, model, clock) as gate:
        yield gate
    await model.stop()


async def another(gate: GatewayStage) -> dict[str, str]:
    """Return the headers of another key."""
    return {"Authorization": f"Bearer {await gate.another_key()}"}


async def long_session(gate: GatewayStage, headers: Mapping[str, str]) -> None:
    """Ask so often that the session has TURNS turns."""
    for number in range(TURNS):
        await gate.asks(f"{number} {LONG}", session="one", headers=headers)


@pytest.mark.parametrize("session", ["theirs", None])
async def test_an_echoed_value_narrows_nobodys_window(gate: GatewayStage, session: str | None) -> None:
    """An error that repeats a caller's value is no exceeded window, in a session and without one.

    The caller gets a 400 after one request to the model. Another key's session and Slack's turns keep their history.
    """
    neighbour = await another(gate)
    await long_session(gate, neighbour)
    window, errors = gate.services.assistant.budget.window, []
    for place in PLACES:
        named = {"param": next(iter(place)), "message": f"Invalid value: '{ECHOED}'. Supported: low, high."}
        gate.model.script(Fails(400, named))
        errors.append((await gate.asks(LONG * 20, session=session, **place)).error)
    asked = len(gate.model.requests)
    await gate.asks("last", session="one", headers=neighbour)

    assert [(error["code"], error["param"]) for error in errors] == [
        ("unsupported_value", next(iter(place))) for place in PLACES
    ]
    assert asked == TURNS + len(PLACES)
    assert gate.services.assistant.budget.window == window
    assert [text.split()[0] for text in shown(gate.model.requests[-1])[::2]] == [*map(str, range(TURNS)), "last"]


async def test_an_echoed_value_in_a_stream_is_no_exceeded_window(gate: GatewayStage) -> None:
    """An error inside the stream may repeat a value, too."""
    gate.model.script(says({"error": {"code": 400, "message": f"Invalid value: '{ECHOED}'"}}))
    got = await gate.asks(LONG * 20, verbosity=ECHOED)

    assert got.error["code"] != "context_length_exceeded"
    assert gate.services.assistant.budget.window > 600


async def test_a_message_taken_verbatim_is_no_exceeded_window(gate: GatewayStage) -> None:
    """Without a session, the caller's messages are sent as they are, and an error may repeat them."""
    gate.model.script(Fails(400, {"param": "messages", "message": f"Invalid 'messages[0].content': '{ECHOED}'"}))
    got = await gate.asks(LONG * 20 + ECHOED)

    assert got.error["code"] != "context_length_exceeded"
    assert gate.services.assistant.budget.window > 600


async def test_a_callers_exceeded_window_is_its_own(gate: GatewayStage) -> None:
    """The backend's code counts for the caller: its request is made again with less history.

    Other keys and Slack's turns keep their window.
    """
    mine, neighbour = await another(gate), await another(gate)
    for headers in (mine, neighbour):
        await long_session(gate, headers)
    window = gate.services.assistant.budget.window
    gate.model.script(Fails(400, {"code": "context_length_exceeded", "message": "maximum context length is 2500"}))
    got = await gate.asks("last", session="one", headers=mine)
    await gate.asks("last", session="one", headers=neighbour)

    asked = [request.body["messages"] for request in gate.model.requests]
    refused, again, others = [len(messages) for messages in asked if messages[-1]["content"] == "last"]
    assert got.status == 200
    assert again < refused == others == 2 * TURNS + 2
    assert gate.services.assistant.budget.window == window


async def test_a_callers_usage_teaches_only_its_own_budget(gate: GatewayStage) -> None:
    """A request that is counted far above its estimate leaves the room of others as it is."""
    neighbour = await another(gate)
    await long_session(gate, neighbour)
    ours = gate.services.assistant.budget
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 1}
    gate.model.script(says("ok", {"choices": [], "usage": usage}))
    await gate.asks(LONG * 20, session="theirs")
    await gate.asks("last", session="one", headers=neighbour)

    assert ours.ratio == 1.0
    assert len(gate.model.requests[-1].body["messages"]) == 2 * TURNS + 2


async def test_a_callers_failures_open_no_circuit_of_others(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """Requests that make the backend fail again and again stop only their own key."""
    async with opened(empty_sqlite_url, reciter, clock, model_patience_seconds=0.0) as gate:
        gate.model.script(*[Fails(500, "broken template")] * FAILURES)
        statuses = [(await gate.asks({"role": "assistant", "content": "odd"})).status for _ in range(FAILURES + 1)]
        neighbour = await another(gate)

        assert set(statuses) == {503}
        assert len(gate.model.requests) == FAILURES
        assert (await gate.asks("hi", headers=neighbour)).status == 200


async def test_an_option_that_one_callers_model_refuses_is_sent_to_the_others(gate: GatewayStage) -> None:
    """A backend may refuse `stream_options` in one caller's request. It is left out of that caller's requests alone."""
    gate.model.script(Fails(400, {"param": "stream_options", "message": "not with this value"}), says("ok"))
    await gate.asks("hi", verbosity="low")
    await gate.asks("hi", verbosity="low")
    await gate.asks("hi", headers=await another(gate))

    assert ["stream_options" in request.body for request in gate.model.requests] == [True, False, False, True]


async def test_histories_made_to_be_compared_slowly_hold_no_transaction(gate: GatewayStage) -> None:
    """Many long, similar questions with equal answers take the database's thread some milliseconds of CPU.

    Where each question was searched in each, the second request held it for half a minute.
    """
    spent: list[float] = []
    begun = threading.local()
    engine = gate.services.store.engine
    event.listen(engine, "begin", lambda _: setattr(begun, "at", time.thread_time()))
    event.listen(engine, "commit", lambda _: spent.append(time.thread_time() - begun.at))
    part = "a" * 600
    ours, theirs = [f"{part}Z{part}"] * 400, [f"{part * 4}{number}" for number in range(270)]
    for questions in (ours, theirs):
        earlier = [message for text in questions for message in ({"role": "user", "content": text}, OK)]
        assert (await gate.asks(*earlier, "now", session="one")).status == 200

    assert len(spent) >= 6
    assert max(spent) < 0.5
