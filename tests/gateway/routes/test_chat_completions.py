"""Completions: OpenAI's own library reads them, the model gets the parameters, and failures become errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from bot.domain import texts
from bot.errors import Trouble
from bot.testing import SettableClock
from tests.support import outage
from tests.support.gateway_stage import GatewayStage, Message, opened
from tests.support.openai_server import USAGE, Cut, Fails, OpenAIServer, Says, says

ASKED: Any = [{"role": "user", "content": "My VPN is down"}]
TOOL: Any = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"q": "VPN"}'}}
CALLS = says({"model": "test-model", "choices": [{"index": 0, "delta": {"tool_calls": [CALL]}}]}, finish="tool_calls")


@pytest.fixture
async def sdk(gate: GatewayStage) -> AsyncIterator[openai.AsyncOpenAI]:
    """Open OpenAI's own library with a session. It does not retry, so that each test sees the error."""
    async with openai.AsyncOpenAI(
        api_key=gate.key, base_url=f"{gate.address}/v1", default_headers={"sessionId": "one"}, max_retries=0
    ) as client:
        yield client


async def streamed(sdk: openai.AsyncOpenAI, **fields: Any) -> list[ChatCompletionChunk]:
    """Return the chunks of a streamed answer."""
    stream: Any = await sdk.chat.completions.create(model="any", messages=ASKED, stream=True, **fields)
    return [chunk async for chunk in stream]


async def test_a_whole_answer_has_the_shape(sdk: openai.AsyncOpenAI, gate: GatewayStage) -> None:
    """The answer has an id, the model, finish_reason and usage, and no fields that the library does not know."""
    gate.model.script(says("Try ", "again."))
    answer = await sdk.chat.completions.create(model="any", messages=ASKED)

    assert answer.id.startswith("chatcmpl-")
    assert (answer.object, answer.model, answer.created > 0) == ("chat.completion", "test-model", True)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Try again.", "stop")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (12, 3, 15)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == USAGE["prompt_tokens_details"]["cached_tokens"]  # type: ignore[index]
    ChatCompletion.model_validate(answer.model_dump(), strict=True)
    assert answer.model_extra == {}


async def test_a_stream_has_the_shape(sdk: openai.AsyncOpenAI, gate: GatewayStage) -> None:
    """The chunks have the role, the text and the finish_reason under one id. Usage is sent only on request."""
    gate.model.script(says("Try ", "again."), says("Try ", "again."))
    chunks, with_usage = await streamed(sdk), await streamed(sdk, stream_options={"include_usage": True})

    contents = [chunk.choices[0].delta.content for chunk in chunks]
    assert (contents[0], "".join(filter(None, contents)), contents[-1]) == ("", "Try again.", None)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [*[None] * (len(chunks) - 1), "stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.usage for chunk in chunks} == {None}
    assert (with_usage[-1].choices, with_usage[-1].usage and with_usage[-1].usage.total_tokens) == ([], 15)


async def test_chunks_are_sent_as_the_model_generates_them(sdk: openai.AsyncOpenAI, gate: GatewayStage) -> None:
    """The first chunks arrive before the model's answer ends."""
    hold = gate.hold_model("Try ")
    stream = await sdk.chat.completions.create(model="any", messages=ASKED, stream=True)
    contents = [(await anext(stream)).choices[0].delta.content for _ in range(2)]
    hold.release()

    assert contents == ["", "Try "]
    assert [chunk.choices[0].delta.content async for chunk in stream] == ["a held answer", None]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_truncated_answer_has_the_finish_reason_length(
    sdk: openai.AsyncOpenAI, gate: GatewayStage, *, stream: bool
) -> None:
    """The gateway does not append the sentence that Slack users get."""
    gate.model.script(says("Try", finish="length"))
    if stream:
        assert (await streamed(sdk))[-1].choices[0].finish_reason == "length"
        return
    choice = (await sdk.chat.completions.create(model="any", messages=ASKED)).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Try", "length")


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_may_begin_with_whitespace(gate: GatewayStage, *, stream: bool) -> None:
    """Leading white space is kept, because it can have a meaning, as in code."""
    gate.model.script(says("  \n", "    return 42"))

    assert (await gate.asks("hi", stream=stream)).text == "  \n    return 42"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_truncated_tool_call_has_the_finish_reason_length(gate: GatewayStage, *, stream: bool) -> None:
    """The finish_reason tells the client not to execute the call, because its arguments may be incomplete."""
    gate.model.script(Says(CALLS.steps, finish="length"))
    got = await gate.asks("My VPN is down", tools=[TOOL], stream=stream)
    choices = [event["choices"][0] for event in got.events[:-1]] if stream else got.body["choices"]

    assert choices[-1]["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("fields", "finish"),
    [({"max_tokens": 1}, "length"), ({"max_completion_tokens": 1}, "length"), ({"stop": "x"}, "stop")],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_a_parameter_ended_may_be_empty(
    gate: GatewayStage, fields: dict[str, Any], finish: str, *, stream: bool
) -> None:
    """The gateway does not call the model again. The session stores only the question."""
    gate.model.script(says(finish=finish))
    got = await gate.asks("hi", session="one", stream=stream, **fields)
    choices = [event["choices"][0] for event in got.events[:-1]] if stream else got.body["choices"]

    assert (got.status, got.text, choices[-1]["finish_reason"]) == (200, "", finish)
    assert len(gate.model.requests) == 1
    assert (await gate.asks("hello?", session="one")).text == "I was shown: hi\n\nhello?"
    assert [message["role"] for message in gate.model.requests[-1].body["messages"]] == ["system", "user"]


async def test_the_model_gets_the_parameters(sdk: openai.AsyncOpenAI, gate: GatewayStage) -> None:
    """The model gets the parameters as the client wrote them, without null values."""
    passed: Any = {
        "temperature": 0.2,
        "max_tokens": 10,
        "max_completion_tokens": 11,
        "stop": ["\n"],
        "seed": 7,
        "response_format": {"type": "json_object"},
        "tools": [TOOL],
        "tool_choice": "auto",
        "logit_bias": {"50256": -100},
    }
    await sdk.chat.completions.create(model="any", messages=ASKED, n=1, top_p=None, **passed)

    body = dict(gate.model.requests[-1].body)
    assert {name: body[name] for name in passed} == passed
    assert set(body) - set(passed) == {"model", "messages", "stream", "stream_options"}


async def test_only_allowed_models_are_used(gate: GatewayStage) -> None:
    """For any other name the gateway uses the default model. The answer names it."""
    models = [(await gate.asks("hi", model=name)).body["model"] for name in ("gpt-4o", "test-model")]

    assert models == ["test-model", "test-model"]
    assert [request.body["model"] for request in gate.model.requests] == models
    listed = (await gate.calls("GET", "/v1/models")).body
    assert [model["id"] for model in listed["data"]] == ["test-model"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (Fails(401, {"code": "invalid_api_key"}), 503, "model_refused_key"),
        (Fails(429, {"code": "insufficient_quota"}), 503, "model_no_quota"),
        (Fails(429, {}, {"retry-after-ms": "1"}), 429, "rate_limit_exceeded"),
        (Fails(500, {}, {"retry-after-ms": "1"}), 503, "model_unavailable"),
        (Fails(400, {"code": "context_length_exceeded"}), 400, "context_length_exceeded"),
        (Fails(400, {"code": "content_filter"}), 400, "content_filter"),
        (Fails(400, {"param": "temperature"}), 400, "model_bad_request"),
        (Fails(404, {"code": "model_not_found"}), 503, "model_not_found"),
        (Fails(404, "404 page not found"), 503, "model_not_found"),
        (Says((Cut(),)), 502, "model_cut"),
        (says(), 502, "model_empty"),
    ],
)
async def test_a_failed_model_call_is_an_error(
    gate: GatewayStage, reply: Fails | Says, status: int, code: str, *, stream: bool
) -> None:
    """Its status shows the client whether to retry. The session stores nothing."""
    gate.model.script(*[reply] * 6)
    got = await gate.asks("hi", session="one", stream=stream)
    gate.model.unscript()

    assert (got.status, got.error["code"]) == (status, code)
    assert ("retry-after" in got.headers) is (status in {429, 503})
    assert await gate.turns("one") == 0


@pytest.mark.parametrize("param", ["temperature", "response_format.json_schema", "tools[0].function.name"])
async def test_a_value_that_the_model_does_not_accept_is_named(gate: GatewayStage, param: str) -> None:
    """The client can change the field. The backend's message is not repeated."""
    fields: Any = {"temperature": 2, "response_format": {"type": "json_object"}, "tools": [TOOL]}
    gate.model.script(Fails(400, {"param": param, "message": "SECRET"}))
    got = await gate.asks("hi", **fields)

    assert (got.status, got.error["type"], got.error["param"]) == (400, "invalid_request_error", param)
    assert got.error["code"] == "unsupported_value"
    assert got.error["message"] == f"The model does not accept this value of '{param}'."


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_timeout_is_an_error(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock, *, stream: bool
) -> None:
    """A whole answer becomes a 504, after two retries, and a stream ends with an error event. Nothing is stored."""
    async with opened(empty_sqlite_url, reciter, clock, model_timeout_seconds=1.0) as gate:
        for _ in range(3):
            gate.hold_model("Try ")
        got = await gate.asks("hi", session="one", stream=stream)
        turns = await gate.turns("one")

    error = got.events[-1]["error"] if stream else got.error
    assert (got.status, error["code"], turns) == (200 if stream else 504, "model_timeout", 0)


@pytest.mark.parametrize("session", ["one", None])
async def test_too_many_concurrent_requests_get_a_503(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock, session: str | None
) -> None:
    """The 503 has Retry-After, and the gateway does not call the model. Each key has its own limit."""
    async with opened(empty_sqlite_url, reciter, clock, max_running_turns_per_workspace=1) as gate:
        another = {"Authorization": f"Bearer {await gate.another_key()}"}
        hold = gate.hold_model()
        first = asyncio.create_task(gate.asks("first"))
        await hold.reached()
        refused = await gate.asks("second", session=session)
        of_another = await gate.asks("third", session=session, headers=another)
        hold.release()

        assert [(await first).status, of_another.status] == [200, 200]
    assert (refused.status, refused.error["code"], "retry-after" in refused.headers) == (
        503,
        "service_unavailable",
        True,
    )
    assert refused.error["message"] == texts.BUSY
    assert len(reciter.requests) == 2


async def test_an_unavailable_database_is_an_error(gate: GatewayStage) -> None:
    """The client gets a 503 with Retry-After. The gateway answers again when the database is back."""
    with outage.away(gate.settings.database_url.get_secret_value()):
        got = await gate.asks("hi", session="one")

    assert (got.status, got.error["code"], "retry-after" in got.headers) == (503, "service_unavailable", True)
    assert got.error["message"] == texts.SOMETHING_BROKE
    assert (await gate.asks("hi", session="one")).state == "created"


async def test_too_long_messages_are_an_error_that_names_the_http_remedy(gate: GatewayStage) -> None:
    """The error names DELETE sessions/{id}. Slack's `!reset` would be an ordinary message here."""
    got = await gate.asks("word " * 150_000, session="one")

    assert (got.status, got.error["code"], got.error["param"]) == (400, "context_length_exceeded", "messages")
    assert "DELETE …/sessions/{id}" in got.error["message"]
    assert "!reset" not in got.error["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "pause", "passed_on", "words"),
    [(429, "3600", "3600", "in 1 hour."), (503, "90.5", "91", "in 2 minutes."), (503, "1e30", "604800", "in 7 days.")],
)
async def test_the_backends_pause_is_passed_on(
    gate: GatewayStage, status: int, pause: str, passed_on: str, words: str, *, stream: bool
) -> None:
    """A Retry-After beyond the patience goes to the client. The sentence names it, too."""
    gate.model.script(Fails(status, "", {"retry-after": pause}))
    got = await gate.asks("hi", session="one", stream=stream)

    assert (got.status, got.headers["retry-after"]) == (status, passed_on)
    assert got.error["message"].endswith(words)


async def test_a_failure_in_a_stream_is_its_last_event(sdk: openai.AsyncOpenAI, gate: GatewayStage) -> None:
    """OpenAI's library raises it as an exception. The session stores nothing, so that the client can retry."""
    gate.model.script(says("Try ", Cut()))
    with pytest.raises(openai.APIError) as raised:
        await streamed(sdk)

    assert raised.value.message == texts.trouble(Trouble.CUT)
    assert await gate.turns("one") == 0


@pytest.mark.parametrize("session", ["one", None])
async def test_a_whole_answer_that_breaks_off_is_asked_for_again(gate: GatewayStage, session: str | None) -> None:
    """A client that reads no stream gets one whole answer, although the model's stream broke off after some words."""
    gate.model.script(says("Try ", Cut()), says("Turn it ", "off"))
    got = await gate.asks("hi", session=session)

    assert (got.status, got.text) == (200, "Turn it off")
    assert len(gate.model.requests) == 2


@pytest.mark.parametrize("session", ["one", None])
@pytest.mark.parametrize("broken", [says(Cut()), says(), says({"error": {"type": "server_error"}})])
async def test_a_stream_is_asked_for_again_before_its_first_word(
    gate: GatewayStage, session: str | None, broken: Says
) -> None:
    """Before the first word a stream of the model that breaks is replaced by another one. Later it cannot be unsent."""
    gate.model.script(broken, says("Turn it ", "off"))
    got = await gate.asks("hi", session=session, stream=True)

    assert (got.status, got.text) == (200, "Turn it off")
    assert len(gate.model.requests) == 2


@pytest.mark.parametrize("session", ["one", None])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_client_executes_tool_calls(gate: GatewayStage, session: str | None, *, stream: bool) -> None:
    """The client sends the results in its next request. The session stores the question and the answer."""
    gate.model.script(CALLS)
    got = await gate.asks("My VPN is down", session=session, tools=[TOOL], stream=stream)
    choice = got.events[1]["choices"][0]["delta"] if stream else got.body["choices"][0]["message"]
    calls = [{name: value for name, value in call.items() if name != "index"} for call in choice["tool_calls"]]
    call: Message = {"role": "assistant", "content": None, "tool_calls": calls}
    result: Message = {"role": "tool", "tool_call_id": "call_1", "content": "It is being mended."}
    await gate.asks("My VPN is down", call, result, session=session, tools=[TOOL])

    assert calls == [{name: value for name, value in CALL.items() if name != "index"}]
    sent = gate.model.requests[-1].body["messages"][1:]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool"]
    assert (sent[1]["tool_calls"], sent[2]["tool_call_id"]) == (calls, "call_1")
    assert await gate.turns("one") == (1 if session else 0)


async def test_a_tool_result_needs_its_question(gate: GatewayStage) -> None:
    """A session stores no tool calls, so the client has to send the question again. The error says so."""
    call = {name: value for name, value in CALL.items() if name != "index"}
    loop: list[Message] = [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
    ]
    got = await gate.asks(*loop, session="one")

    assert (got.status, got.error["param"]) == (400, "messages")
    assert "user's message again" in got.error["message"]


async def test_content_may_come_in_parts(gate: GatewayStage) -> None:
    """The gateway joins the parts with line breaks."""
    parts = [{"type": "text", "text": "My VPN"}, {"type": "text", "text": "is down"}]
    await gate.asks({"role": "user", "content": parts}, session="one")

    assert gate.model.requests[-1].texts[-1] == "My VPN\nis down"


async def test_usage_is_estimated_if_the_backend_does_not_report_it(gate: GatewayStage) -> None:
    """A client that reads the usage always finds numbers."""
    gate.model.script(Says(("Try again.",), usage=None))
    usage = (await gate.asks("My VPN is down")).body["usage"]

    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert min(usage["prompt_tokens"], usage["completion_tokens"]) > 3


@pytest.mark.parametrize("role", ["system", "developer"])
@pytest.mark.parametrize("session", ["one", None])
async def test_system_messages_may_be_refused(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock, session: str | None, role: str
) -> None:
    """With the setting `refuse`, a system message is an error, and the request creates no session."""
    async with opened(empty_sqlite_url, reciter, clock, gateway_system_messages="refuse") as gate:
        got = await gate.asks({"role": role, "content": "You are a pirate."}, "hi", session=session)
        turns = await gate.turns("one")

    assert (got.status, got.error["code"], turns) == (400, "system_message_refused", 0)
