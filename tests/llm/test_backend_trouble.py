"""Each failure of an answer over HTTP: its Trouble, and whether it is retried."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from bot.errors import ModelError, Trouble
from bot.llm.openai import OpenAI
from bot.testing import PausedStep
from tests.support.openai_client import ASKED, KEY, client, fails, heard
from tests.support.openai_server import Cut, Fails, Forever, OpenAIServer, Says, Waits, delta, event, says
from tests.support.timeouts import GENEROUS_S

LENGTH = "This model's maximum context length is"


async def trouble(llm: OpenAI) -> ModelError:
    """Return the error of an answer. Check that it repeats neither the request nor the key."""
    with pytest.raises(ModelError) as caught:
        await heard(llm)
    assert "SECRET" not in str(caught.value)
    assert KEY not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("failure", "expected", "named"),
    [
        (fails(401, {"code": "invalid_api_key"}), Trouble.REFUSED_KEY, "OPENAI_API_KEY"),
        (fails(403), Trouble.REFUSED_KEY, "OPENAI_API_KEY"),
        (fails(402), Trouble.NO_QUOTA, "billing"),
        (fails(404, {"code": "model_not_found"}), Trouble.NOT_FOUND, "OPENAI_MODEL"),
        (fails(404, "404 page not found"), Trouble.NOT_FOUND, "OPENAI_BASE_URL"),
        (fails(400, {"code": "unknown_role"}), Trouble.BAD_REQUEST, "unknown_role"),
        (fails(400, {"code": "content_filter"}), Trouble.REFUSED, "filter"),
        (fails(400, {"code": "context_length_exceeded"}), Trouble.WINDOW_EXCEEDED, "HISTORY_TOKENS"),
        (fails(400, {"message": f"{LENGTH} 4096 tokens."}), Trouble.WINDOW_EXCEEDED, "HISTORY_TOKENS"),
        (fails(400, {"code": 400, "message": f"{LENGTH} 4096 tokens."}), Trouble.WINDOW_EXCEEDED, "HTTP 400"),
        (fails(400, {"message": "The maximum context length is 9"}), Trouble.BAD_REQUEST, "MODEL_WINDOW_TOKENS"),
        (fails(413), Trouble.WINDOW_EXCEEDED, "HISTORY_TOKENS"),
    ],
)
async def test_a_final_refusal_is_not_retried(
    backend: OpenAIServer, model: OpenAI, failure: Fails, expected: Trouble, named: str
) -> None:
    """A final refusal ends the answer after one request. The error has a remedy for the operator."""
    backend.script(failure)

    found = await trouble(model)

    assert found.trouble is expected
    assert named in found.detail
    backend.assert_done()


async def test_the_error_names_the_requested_model(backend: OpenAIServer, model: OpenAI) -> None:
    """If the model does not exist, the error names the model that the caller chose."""
    backend.script(fails(404))
    with pytest.raises(ModelError, match="no model 'other'"):
        await anext(model.stream(ASKED, {"model": "other"}))


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (fails(429, {"code": "rate_limit_exceeded"}), Trouble.RATE_LIMITED),
        (fails(429, {"code": "insufficient_quota"}), Trouble.NO_QUOTA),
        (fails(500), Trouble.UNAVAILABLE),
        (fails(503, "<html>down</html>"), Trouble.UNAVAILABLE),
    ],
)
async def test_a_temporary_failure_is_not_retried_by_the_client(
    backend: OpenAIServer, model: OpenAI, failure: Fails, expected: Trouble
) -> None:
    """The client itself makes one request, because retries obey one patience. The error has the backend's pause."""
    backend.script(failure)

    found = await trouble(model)

    assert (found.trouble, found.retry_after_s) == (expected, 0.001)
    backend.assert_done()


async def test_a_refused_connection(unused_tcp_port: int) -> None:
    """The error of a refused connection names the setting to check."""
    llm = client(f"http://127.0.0.1:{unused_tcp_port}/v1/")
    found = await trouble(llm)
    await llm.aclose()

    assert found.trouble is Trouble.UNAVAILABLE
    assert "127.0.0.1" in found.detail
    assert "OPENAI_BASE_URL" in found.detail


async def test_silence_before_the_answer(backend: OpenAIServer) -> None:
    """A backend that accepts a request and sends nothing times out."""
    llm = client(backend.base_url, silence_s=0.5)
    backend.script(Waits(PausedStep()))

    assert (await trouble(llm)).trouble is Trouble.TIMEOUT
    await llm.aclose()
    backend.assert_done()


async def test_silence_within_the_answer(backend: OpenAIServer) -> None:
    """A stream that stops after its first words times out and is not retried."""
    llm = client(backend.base_url, silence_s=1.0)
    backend.script(says("Well,", PausedStep()))

    assert (await trouble(llm)).trouble is Trouble.TIMEOUT
    await llm.aclose()
    backend.assert_done()


@pytest.mark.parametrize("reply", [says(Forever(b": wait\n\n")), says("Well,", Forever(event(delta(""))))])
async def test_comments_without_text_time_out(backend: OpenAIServer, reply: Says) -> None:
    """A backend that sends only comments and empty deltas times out."""
    llm = client(backend.base_url, silence_s=1.0)
    backend.script(reply)

    assert (await trouble(llm)).trouble is Trouble.TIMEOUT
    await asyncio.wait_for(backend.disconnected.wait(), GENEROUS_S)
    await llm.aclose()
    backend.assert_done()


@pytest.mark.parametrize(
    "reply",
    [
        says(Forever(event({"choices": [{"delta": {"reasoning": "Hm"}}]}))),
        says("Well,", Forever(event(delta(" well,")))),
        Says((Forever(b"{"),), status=400),
    ],
)
async def test_an_endless_body_is_limited(backend: OpenAIServer, reply: Says) -> None:
    """Reasoning, text and the body of an error are read for the time limit of one answer at most."""
    llm = client(backend.base_url, whole_s=1.0)
    backend.script(reply)

    assert (await trouble(llm)).trouble is Trouble.TIMEOUT
    await asyncio.wait_for(backend.disconnected.wait(), GENEROUS_S)
    await llm.aclose()
    backend.assert_done()


@pytest.mark.parametrize(
    "reply",
    [
        says("half", Cut()),
        says("half", finish=None, done=False),
        says("half", b"data: {oops\n\n"),
    ],
)
async def test_an_answer_cut_off(backend: OpenAIServer, model: OpenAI, reply: Any) -> None:
    """A stream that breaks after its first words yields them and ends as CUT, without a second request."""
    backend.script(reply)

    async with aclosing(model.stream(ASKED)) as stream:
        assert await anext(stream) == "half"
        with pytest.raises(ModelError) as caught:
            await anext(stream)

    assert caught.value.trouble is Trouble.CUT
    backend.assert_done()


@pytest.mark.parametrize(
    ("nothing", "expected"),
    [(says(), Trouble.EMPTY), (says(Cut()), Trouble.CUT), (says(finish=None, done=False), Trouble.CUT)],
)
async def test_an_answer_without_text(backend: OpenAIServer, model: OpenAI, nothing: Any, expected: Trouble) -> None:
    """An answer that is empty or breaks off before any text raises an error."""
    backend.script(nothing)

    assert (await trouble(model)).trouble is expected
    backend.assert_done()


async def test_a_refusal(backend: OpenAIServer, model: OpenAI) -> None:
    """A refusal in the `refusal` field raises an error and is not retried."""
    backend.script(says({"choices": [{"delta": {"refusal": "I will not"}}]}))

    assert (await trouble(model)).trouble is Trouble.REFUSED
    backend.assert_done()


async def test_an_error_inside_the_stream(backend: OpenAIServer, model: OpenAI) -> None:
    """An error object in the stream is treated like an error over HTTP."""
    backend.script(says({"error": {"message": "SECRET", "type": "server_error"}}))

    assert (await trouble(model)).trouble is Trouble.UNAVAILABLE
