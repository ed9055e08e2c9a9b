"""Answers over HTTP: OpenAI's shapes, read by OpenAI's own library; what is passed on, and what is refused by name."""

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
from tests.support.gateway_stage import Gate, Message, opened
from tests.support.openai_server import USAGE, Cut, Fails, OpenAIServer, Says, says

ASKED: Any = [{"role": "user", "content": "My VPN is down"}]
TOOL: Any = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"q": "VPN"}'}}
CALLS = says({"model": "test-model", "choices": [{"index": 0, "delta": {"tool_calls": [CALL]}}]}, finish="tool_calls")


@pytest.fixture
async def sdk(gate: Gate) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's own library, in a session; it tries nothing again, so that each error is seen."""
    async with openai.AsyncOpenAI(
        api_key=gate.key, base_url=f"{gate.address}/v1", default_headers={"sessionId": "one"}, max_retries=0
    ) as client:
        yield client


async def streamed(sdk: openai.AsyncOpenAI, **fields: Any) -> list[ChatCompletionChunk]:
    """The chunks of an answer."""
    stream: Any = await sdk.chat.completions.create(model="any", messages=ASKED, stream=True, **fields)
    return [chunk async for chunk in stream]


async def test_a_whole_answer_has_the_shape(sdk: openai.AsyncOpenAI, gate: Gate) -> None:
    """Its id, model, finish_reason and usage are there, and nothing that the library does not know."""
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


async def test_a_stream_has_the_shape(sdk: openai.AsyncOpenAI, gate: Gate) -> None:
    """Who speaks, the pieces as they come, why it ended; one id in all of them; the usage only when it is asked for."""
    gate.model.script(says("Try ", "again."), says("Try ", "again."))
    chunks, with_usage = await streamed(sdk), await streamed(sdk, stream_options={"include_usage": True})

    contents = [chunk.choices[0].delta.content for chunk in chunks]
    assert (contents[0], "".join(filter(None, contents)), contents[-1]) == ("", "Try again.", None)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [*[None] * (len(chunks) - 1), "stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.usage for chunk in chunks} == {None}
    assert (with_usage[-1].choices, with_usage[-1].usage and with_usage[-1].usage.total_tokens) == ([], 15)


async def test_pieces_come_as_the_model_says_them(sdk: openai.AsyncOpenAI, gate: Gate) -> None:
    """The first is there while the model still speaks."""
    hold = gate.hold_model("Try ")
    stream = await sdk.chat.completions.create(model="any", messages=ASKED, stream=True)
    said = [(await anext(stream)).choices[0].delta.content for _ in range(2)]
    hold.release()

    assert said == ["", "Try "]
    assert [chunk.choices[0].delta.content async for chunk in stream] == ["a held answer", None]


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_was_cut_short_says_so(sdk: openai.AsyncOpenAI, gate: Gate, *, stream: bool) -> None:
    """By its finish_reason; no sentence of ours is added to it."""
    gate.model.script(says("Try", finish="length"))
    if stream:
        assert (await streamed(sdk))[-1].choices[0].finish_reason == "length"
        return
    choice = (await sdk.chat.completions.create(model="any", messages=ASKED)).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Try", "length")


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_may_begin_with_blank_space(gate: Gate, *, stream: bool) -> None:
    """Of code, for one, it is a part."""
    gate.model.script(says("  \n", "    return 42"))

    assert (await gate.asks("hi", stream=stream)).text == "  \n    return 42"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_was_cut_short_says_so(gate: Gate, *, stream: bool) -> None:
    """Its arguments may be half of what the model meant: a client that knows does not carry it out."""
    gate.model.script(Says(CALLS.steps, finish="length"))
    got = await gate.asks("My VPN is down", tools=[TOOL], stream=stream)
    choices = [event["choices"][0] for event in got.events[:-1]] if stream else got.body["choices"]

    assert choices[-1]["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("fields", "finish"),
    [({"max_tokens": 1}, "length"), ({"max_completion_tokens": 1}, "length"), ({"stop": "x"}, "stop")],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_its_caller_ended_before_its_first_word_is_whole(
    gate: Gate, fields: dict[str, Any], finish: str, *, stream: bool
) -> None:
    """It has no text, and the model is not asked again. Later the session knows the question, and no answer."""
    gate.model.script(says(finish=finish))
    got = await gate.asks("hi", session="one", stream=stream, **fields)
    choices = [event["choices"][0] for event in got.events[:-1]] if stream else got.body["choices"]

    assert (got.status, got.text, choices[-1]["finish_reason"]) == (200, "", finish)
    assert len(gate.model.requests) == 1
    assert (await gate.asks("hello?", session="one")).text == "I was shown: hi\n\nhello?"
    assert [message["role"] for message in gate.model.requests[-1].body["messages"]] == ["system", "user"]


async def test_parameters_are_passed_on(sdk: openai.AsyncOpenAI, gate: Gate) -> None:
    """As they are, to the model; those that are null are not there."""
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


async def test_the_model_is_one_of_those_allowed(gate: Gate) -> None:
    """Any other name means the default, which the answer tells."""
    asked = [(await gate.asks("hi", model=name)).body["model"] for name in ("gpt-4o", "test-model")]

    assert asked == ["test-model", "test-model"]
    assert [request.body["model"] for request in gate.model.requests] == asked
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
async def test_a_model_in_trouble_is_an_error(
    gate: Gate, reply: Fails | Says, status: int, code: str, *, stream: bool
) -> None:
    """With the status that lets a client know whether to try again, in our words, and nothing is remembered."""
    gate.model.script(*[reply] * 6)
    got = await gate.asks("hi", session="one", stream=stream)
    gate.model.unscript()

    assert (got.status, got.error["code"]) == (status, code)
    assert ("retry-after" in got.headers) is (status in {429, 503})
    assert await gate.turns("one") == 0


@pytest.mark.parametrize("param", ["temperature", "response_format.json_schema", "tools[0].function.name"])
async def test_a_value_that_the_model_does_not_accept_is_named(gate: Gate, param: str) -> None:
    """The caller can do something about it, whose field it is; what the backend said of it is not repeated."""
    fields: Any = {"temperature": 2, "response_format": {"type": "json_object"}, "tools": [TOOL]}
    gate.model.script(Fails(400, {"param": param, "message": "SECRET"}))
    got = await gate.asks("hi", **fields)

    assert (got.status, got.error["type"], got.error["param"]) == (400, "invalid_request_error", param)
    assert got.error["code"] == "unsupported_value"
    assert got.error["message"] == f"The model does not accept this value of '{param}'."


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_falls_silent_is_an_error(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock, *, stream: bool
) -> None:
    """504 to who waits for a whole answer, its code as the last event of a stream; nothing is remembered."""
    async with opened(empty_sqlite_url, reciter, clock, model_timeout_seconds=0.3) as gate:
        gate.hold_model("Try ")
        got = await gate.asks("hi", session="one", stream=stream)
        turns = await gate.turns("one")

    error = got.events[-1]["error"] if stream else got.error
    assert (got.status, error["code"], turns) == (200 if stream else 504, "model_timeout", 0)


@pytest.mark.parametrize("session", ["one", None])
async def test_too_many_at_once_are_told_to_come_again(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock, session: str | None
) -> None:
    """503 with Retry-After, and the model is not asked; one key cannot take the place of another."""
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


async def test_a_database_that_is_away_is_an_error(gate: Gate) -> None:
    """503 with Retry-After, without its reason; answers again when it is back."""
    with outage.away(gate.settings.database_url):
        got = await gate.asks("hi", session="one")

    assert (got.status, got.error["code"], "retry-after" in got.headers) == (503, "service_unavailable", True)
    assert got.error["message"] == texts.SOMETHING_BROKE
    assert (await gate.asks("hi", session="one")).state == "created"


async def test_what_is_too_long_is_told_in_the_words_of_http(gate: Gate) -> None:
    """It names the part of the request, and how to start over by HTTP, where `!reset` is only a message."""
    got = await gate.asks("word " * 150_000, session="one")

    assert (got.status, got.error["code"], got.error["param"]) == (400, "context_length_exceeded", "messages")
    assert "DELETE …/sessions/{id}" in got.error["message"]
    assert "!reset" not in got.error["message"]


async def test_trouble_in_the_middle_of_a_stream_is_told_in_it(sdk: openai.AsyncOpenAI, gate: Gate) -> None:
    """OpenAI's library raises it; what was said is forgotten, so that the question can be asked again."""
    gate.model.script(says("Try ", Cut()))
    with pytest.raises(openai.APIError) as raised:
        await streamed(sdk)

    assert raised.value.message == texts.trouble(Trouble.CUT)
    assert await gate.turns("one") == 0


@pytest.mark.parametrize("session", ["one", None])
@pytest.mark.parametrize("stream", [False, True])
async def test_tools_are_called_by_the_client(gate: Gate, session: str | None, *, stream: bool) -> None:
    """The model's calls come out, the results go in, and the session remembers question and answer."""
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


async def test_a_tools_result_needs_its_question(gate: Gate) -> None:
    """A session does not keep the calls of tools: the client sends them again, and is told so."""
    call = {name: value for name, value in CALL.items() if name != "index"}
    loop: list[Message] = [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
    ]
    got = await gate.asks(*loop, session="one")

    assert (got.status, got.error["param"]) == (400, "messages")
    assert "user's message again" in got.error["message"]


async def test_content_may_come_in_parts(gate: Gate) -> None:
    """Parts of text are one text."""
    parts = [{"type": "text", "text": "My VPN"}, {"type": "text", "text": "is down"}]
    await gate.asks({"role": "user", "content": parts}, session="one")

    assert gate.model.requests[-1].texts[-1] == "My VPN\nis down"


async def test_usage_is_estimated_where_the_model_does_not_tell(gate: Gate) -> None:
    """A client that reads it finds a number."""
    gate.model.script(Says(("Try again.",), usage=None))
    usage = (await gate.asks("My VPN is down")).body["usage"]

    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert min(usage["prompt_tokens"], usage["completion_tokens"]) > 3


@pytest.mark.parametrize("role", ["system", "developer"])
@pytest.mark.parametrize("session", ["one", None])
async def test_refused_system_messages(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock, session: str | None, role: str
) -> None:
    """By setting, they are not accepted, in a session or not; no session is begun for one."""
    async with opened(empty_sqlite_url, reciter, clock, gateway_system_messages="refuse") as gate:
        got = await gate.asks({"role": role, "content": "You are a pirate."}, "hi", session=session)
        turns = await gate.turns("one")

    assert (got.status, got.error["code"], turns) == (400, "system_message_refused", 0)
