"""The OpenAI client against a stub backend: requests, answers, early ends and connections."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from typing import Any

import pytest

from bot.errors import ModelError, Trouble
from bot.llm import Done, Offer, Parameters, Thinking, Usage
from bot.llm.openai import OpenAI
from bot.testing import PausedStep
from tests.support.openai_client import ASKED, KEY, client, fails, heard
from tests.support.openai_server import Fails, OpenAIServer, Says, Waits, delta, event, instant, says
from tests.support.timeouts import GENEROUS_S

TOOLS = [{"type": "function", "function": {"name": "note", "parameters": {"type": "object"}}}]
OFFER: Parameters = {"tools": Offer(TOOLS)}


async def test_an_answer_streams_in(backend: OpenAIServer, model: OpenAI) -> None:
    """The text arrives while the backend still writes. The Done has the backend's usage."""
    hold = PausedStep()
    backend.script(says("Have you ", hold, "tried?"))

    async with aclosing(model.stream(ASKED)) as stream:
        assert await anext(stream) == "Have you "
        hold.release()
        assert [piece async for piece in stream] == [
            "tried?",
            Done("test-model", Usage(prompt=12, cached=8, completion=3)),
        ]
    backend.assert_done()


async def test_the_request_has_only_common_fields(backend: OpenAIServer, model: OpenAI) -> None:
    """The request has the model, the messages, streaming with usage, and the key. It has no other field."""
    backend.script(says("ok"))
    await heard(model)

    request = backend.requests[0]
    assert request.body == {
        "model": "asked-model",
        "messages": ASKED,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert request.headers["Authorization"] == f"Bearer {KEY}"


async def test_parameters_are_passed_on(backend: OpenAIServer, model: OpenAI) -> None:
    """Parameters reach the backend unchanged. They cannot replace the messages."""
    backend.script(says("ok"))
    async with aclosing(model.stream(ASKED, {"temperature": 0.5, "messages": []})) as stream:
        assert [piece async for piece in stream]

    assert backend.requests[0].body["temperature"] == 0.5
    assert backend.requests[0].body["messages"] == ASKED


async def test_a_backend_without_a_key(backend: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key the client ignores the environment's and sends a placeholder."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    llm = client(backend.base_url, api_key=None)
    backend.script(says("ok"))
    await heard(llm)
    await llm.aclose()

    assert backend.requests[0].headers["Authorization"] == "Bearer unused"


@pytest.mark.parametrize(
    "thought",
    [
        {"reasoning_content": "Hm"},
        {"reasoning": "Hm"},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]},
    ],
)
async def test_streamed_reasoning_is_a_sign_of_life(
    backend: OpenAIServer, model: OpenAI, thought: Mapping[str, Any]
) -> None:
    """Before the text there is one sign that the model thinks, however long its reasoning is. The reasoning is not."""
    hold = PausedStep()
    backend.script(says(*[{"choices": [{"delta": thought}]}] * 5, hold, "The answer"))

    async with aclosing(model.stream(ASKED)) as stream:
        assert await anext(stream) == Thinking()
        hold.release()
        assert await anext(stream) == "The answer"


async def test_a_truncated_answer(backend: OpenAIServer, model: OpenAI) -> None:
    """An answer that reached the backend's length limit is complete and marked as truncated."""
    backend.script(says("and so on", finish="length"))

    assert (await heard(model))[1].truncated


@pytest.mark.parametrize(
    "objection",
    [
        fails(400, {"code": "unsupported_parameter", "param": "stream_options"}),
        fails(400, {"code": "unsupported_value", "param": "stream_options.include_usage"}),
        fails(422, "extra_forbidden: body.stream_options"),
    ],
)
async def test_an_option_the_backend_does_not_know(backend: OpenAIServer, model: OpenAI, objection: Fails) -> None:
    """A second request omits the option, and so do all later requests."""
    backend.script(objection, says("ok"), says("ok again"))

    await heard(model)
    await heard(model)

    assert ["stream_options" in request.body for request in backend.requests] == [True, False, False]
    backend.assert_done()


@pytest.mark.parametrize(
    ("objections", "parameters"),
    [
        ([fails(400, {"param": "messages", "message": "no tools, no stream_options"})], OFFER),
        ([fails(400, {"param": "logit_bias", "message": "stream_options"})], {"logit_bias": {"stream_options": 1}}),
        ([fails(422, "logit_bias: stream_options")] * 2, {"logit_bias": {"stream_options": 1}}),
        ([fails(422, "no tools, but {'tool_choice': 'auto', 'stream_options': {}}")] * 2, {"tool_choice": "auto"}),
    ],
)
async def test_only_the_refused_field_is_omitted(
    backend: OpenAIServer, model: OpenAI, objections: list[Fails], parameters: Parameters
) -> None:
    """Only the field that the backend names is omitted. If that does not help, the error is raised."""
    backend.script(*objections, says("ok"))
    with pytest.raises(ModelError):
        await anext(model.stream(ASKED, parameters))
    await anext(model.stream(ASKED, OFFER))

    assert {"stream_options", "tools"} <= backend.requests[-1].body.keys()
    backend.assert_done()


async def test_a_refusal_that_quotes_the_tools_does_not_omit_them(backend: OpenAIServer, model: OpenAI) -> None:
    """An error message may repeat the request with its tools. The next request still has the tools."""
    backend.script(fails(422, "extra_forbidden: stream_options in {'tools': [], 'stream_options': {}}"), says("ok"))
    await anext(model.stream(ASKED, OFFER))

    assert "tools" in backend.requests[-1].body
    assert "stream_options" not in backend.requests[-1].body


async def test_two_refused_options_are_both_omitted(backend: OpenAIServer, model: OpenAI) -> None:
    """A backend that refuses both options still gives an answer. No later request has either option."""
    backend.script(fails(422, "body.tools: extra fields"), fails(422, "body.stream_options: extra fields"))
    backend.script(says("ok"), says("ok again"))
    for _ in range(2):
        assert [piece async for piece in model.stream(ASKED, OFFER)]

    asked = [("tools" in request.body, "stream_options" in request.body) for request in backend.requests]
    assert asked == [(True, True), (False, True), (False, False), (False, False)]
    backend.assert_done()


async def test_refusals_lead_to_three_requests_at_most(backend: OpenAIServer, model: OpenAI) -> None:
    """A backend that refuses an option which is already omitted gets three requests at most."""
    backend.script(*[fails(400, "no tools here, please")] * 3)

    with pytest.raises(ModelError):
        await anext(model.stream(ASKED, OFFER))
    backend.assert_done()


@pytest.mark.parametrize(
    ("objection", "offered"),
    [
        (fails(500, {"message": "tools param requires --jinja flag"}), False),
        (fails(400, {"message": "tool_choice is not supported", "param": "tool_choice"}), False),
        (fails(404, {"message": "No endpoints found that support tool use."}), False),
        (fails(400, {"message": "deepseek-reasoner does not support Function Calling"}), False),
        (fails(400, {"message": "the toolshed is closed"}), True),
        (fails(500, {"message": "error parsing tool call"}), True),
        (fails(400, {"message": "attempted to call tool 'x'", "code": "tool_use_failed"}), True),
        (fails(401, {"message": "no tools for this key"}), True),
        (fails(429, {"message": "too many tools today"}), True),
    ],
)
async def test_refusals_of_tools(backend: OpenAIServer, model: OpenAI, objection: Fails, *, offered: bool) -> None:
    """Each backend words the refusal differently. A refused key or a rate limit is no such refusal."""
    backend.script(*[objection] * 3)
    with contextlib.suppress(ModelError):
        await anext(model.stream(ASKED, OFFER))
    backend.unscript()
    backend.script(says("ok"))
    await anext(model.stream(ASKED, OFFER))

    assert ("tools" in backend.requests[-1].body) is offered


async def test_a_client_that_offers_no_tools(backend: OpenAIServer) -> None:
    """If tools are switched off, no request has tools or a tool choice."""
    llm = client(backend.base_url, tools=False)
    backend.script(says("ok"))
    await anext(llm.stream(ASKED, {**OFFER, "tool_choice": "none", "temperature": 0}))
    await llm.aclose()

    assert not {"tools", "tool_choice"} & backend.requests[0].body.keys()
    assert backend.requests[0].body["temperature"] == 0


@pytest.mark.parametrize("tools", [True, False])
async def test_a_callers_own_tools_are_not_left_out(backend: OpenAIServer, *, tools: bool) -> None:
    """If the backend refuses tools that the caller set, the caller gets an error."""
    llm = client(backend.base_url, tools=tools)
    backend.script(fails(400, "no tools here, please"))
    with pytest.raises(ModelError) as failure:
        await anext(llm.stream(ASKED, {"tools": TOOLS}))
    await llm.aclose()

    assert failure.value.trouble is Trouble.BAD_REQUEST
    assert [request.body["tools"] for request in backend.requests] == [TOOLS]


async def test_closing_early_disconnects(backend: OpenAIServer, model: OpenAI) -> None:
    """Closing the iterator ends the request at the backend while it still writes."""
    backend.script(says("One", PausedStep()))

    async with aclosing(model.stream(ASKED)) as stream:
        assert await anext(stream) == "One"
        assert not backend.disconnected.is_set()

    await asyncio.wait_for(backend.disconnected.wait(), GENEROUS_S)


async def test_cancelling_disconnects(backend: OpenAIServer, model: OpenAI) -> None:
    """Cancelling the task before the first text ends the request too."""
    hold = PausedStep()
    backend.script(Waits(hold))
    asking = asyncio.create_task(heard(model))
    await hold.reached()

    asking.cancel()

    await asyncio.wait_for(backend.disconnected.wait(), GENEROUS_S)
    with pytest.raises(asyncio.CancelledError):
        await asking


@pytest.fixture
def many_files() -> Iterator[None]:
    """Raise the limit of open files, so that both ends of more than 1,000 connections can be open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4_096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
async def test_more_streams_at_once_than_the_library_allows_by_itself(backend: OpenAIServer) -> None:
    """1,100 streams are open at the same time."""
    many, hold = 1_100, PausedStep()
    llm = client(backend.base_url, silence_s=60, max_streams=many)
    backend.script(*[says("a", hold, "b")] * many)
    streams = [llm.stream(ASKED) for _ in range(many)]

    for start in range(0, many, 50):  # at once, a busy machine would exceed the time to connect
        assert set(await asyncio.gather(*map(anext, streams[start : start + 50]))) == {"a"}
    hold.release()
    assert await asyncio.gather(*map(anext, streams)) == ["b"] * many

    await asyncio.gather(*(stream.aclose() for stream in streams))
    await llm.aclose()


async def test_a_connection_serves_several_turns(backend: OpenAIServer, model: OpenAI) -> None:
    """The next turn reuses the connection, although the connection's last bytes come after [DONE]."""
    hold = PausedStep()
    whole = event(delta("ok")) + b"data: [DONE]\n\n"
    backend.script(Says((whole, hold), finish=None, usage=None, done=False), says("ok"))

    async with aclosing(model.stream(ASKED)) as stream:
        assert await anext(stream) == "ok"
        hold.release()
        assert isinstance(await anext(stream), Done)
    await heard(model)

    assert len({request.peer for request in backend.requests}) == 1


async def test_no_text_of_a_request_is_logged(
    backend: OpenAIServer, model: OpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    """With every library at DEBUG, the log contains neither the messages, nor the key, nor the answer."""
    caplog.set_level(logging.DEBUG)
    backend.script(fails(500), says("SECRET answer"))

    with pytest.raises(ModelError):
        await heard(model)
    await heard(model)

    assert "500 Internal Server Error" in caplog.text
    assert "SECRET" not in caplog.text
    assert KEY not in caplog.text


async def test_a_model_on_this_machine_needs_no_proxy(backend: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is not used for an address on this machine."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    llm = client(backend.base_url)
    backend.script(instant(3))

    assert (await heard(llm))[0] == "word " * 3
    await llm.aclose()
