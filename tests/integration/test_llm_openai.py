"""The OpenAI client against a server of its kind: every trouble, the retries, early ends, and the check at start."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web

from bot.errors import ModelError, StartupError, Trouble
from bot.history import ChatMessage
from bot.llm import Done, Usage
from bot.llm.openai import OpenAI
from bot.testing import Hold
from tests.openai_server import Cut, Fails, OpenAIServer, Says, Waits, delta, event, instant, says

ASKED: list[ChatMessage] = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "SECRET printer"}]
KEY = "sk-made-up-1234"
SOON = {"retry-after-ms": "1"}


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    """A server that does what the test scripts, and nothing else."""
    server = OpenAIServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def llm(server: OpenAIServer) -> AsyncIterator[OpenAI]:
    """A client of that server."""
    llm = client(server.base_url)
    yield llm
    await llm.aclose()


def client(base_url: str, *, api_key: str | None = KEY, silence_s: float = 5.0) -> OpenAI:
    return OpenAI(model="asked-model", api_key=api_key, base_url=base_url, silence_s=silence_s, max_streams=10)


async def heard(llm: OpenAI) -> tuple[str, Done]:
    """A whole answer."""
    *pieces, done = [piece async for piece in llm.stream(ASKED)]
    assert isinstance(done, Done)
    return "".join(map(str, pieces)), done


async def trouble(llm: OpenAI) -> ModelError:
    """What went wrong; nothing of the request or the key is told with it."""
    with pytest.raises(ModelError) as caught:
        await heard(llm)
    assert "SECRET" not in str(caught.value)
    assert KEY not in str(caught.value)
    return caught.value


def fails(status: int, error: Mapping[str, Any] | str = "", **headers: str) -> Fails:
    """A failure that quotes the request, as backends do, and may be retried at once."""
    if not isinstance(error, str):
        error = {"message": f"SECRET {KEY}", **error}
    return Fails(status, error, {**SOON, **headers})


async def test_an_answer_streams_in(server: OpenAIServer, llm: OpenAI) -> None:
    """The answer arrives while the backend is still writing, then the Done with the usage it tells."""
    hold = Hold()
    server.script(says("Have you ", hold, "tried?"))

    async with aclosing(llm.stream(ASKED)) as stream:
        assert await anext(stream) == "Have you "
        hold.release()
        assert [piece async for piece in stream] == [
            "tried?",
            Done("test-model", Usage(prompt=12, cached=8, completion=3)),
        ]
    server.assert_done()


async def test_the_request_says_what_it_must(server: OpenAIServer, llm: OpenAI) -> None:
    """Model, messages, streaming with usage and the key are sent, and no option that only some backends know."""
    server.script(says("ok"))
    await heard(llm)

    request = server.requests[0]
    assert request.body == {
        "model": "asked-model",
        "messages": ASKED,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert request.headers["Authorization"] == f"Bearer {KEY}"


async def test_a_backend_without_a_key(server: OpenAIServer) -> None:
    """Without a key the environment's own is not taken; a placeholder is sent, for the backend to ignore."""
    llm = client(server.base_url, api_key=None)
    server.script(says("ok"))
    await heard(llm)
    await llm.aclose()

    assert server.requests[0].headers["Authorization"] == "Bearer unused"


@pytest.mark.parametrize(
    ("failure", "expected", "named"),
    [
        (fails(401, {"code": "invalid_api_key"}), Trouble.REFUSED_KEY, "OPENAI_API_KEY"),
        (fails(403), Trouble.REFUSED_KEY, "OPENAI_API_KEY"),
        (fails(402), Trouble.NO_QUOTA, "billing"),
        (fails(404, {"code": "model_not_found"}), Trouble.BAD_REQUEST, "OPENAI_MODEL"),
        (fails(404, "404 page not found"), Trouble.BAD_REQUEST, "OPENAI_BASE_URL"),
        (fails(400, {"code": "unknown_role"}), Trouble.BAD_REQUEST, "unknown_role"),
        (fails(400, {"code": "content_filter"}), Trouble.REFUSED, "filter"),
        (fails(400, {"code": "context_length_exceeded"}), Trouble.WINDOW_EXCEEDED, "HISTORY_TOKENS"),
        (fails(400, {"message": "The maximum context length is 9"}), Trouble.WINDOW_EXCEEDED, "HISTORY_TOKENS"),
        (fails(400, {"code": 400, "message": "Input tokens exceed the limit"}), Trouble.WINDOW_EXCEEDED, "HTTP 400"),
        (fails(413), Trouble.WINDOW_EXCEEDED, "HISTORY_TOKENS"),
    ],
)
async def test_what_a_second_try_cannot_mend(
    server: OpenAIServer, llm: OpenAI, failure: Fails, expected: Trouble, named: str
) -> None:
    """A refusal for good ends the answer after one request, with a remedy for the operator."""
    server.script(failure)

    found = await trouble(llm)

    assert found.trouble is expected
    assert named in found.detail
    server.assert_done()


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (fails(429, {"code": "rate_limit_exceeded"}), Trouble.RATE_LIMITED),
        (fails(429, {"code": "insufficient_quota"}), Trouble.NO_QUOTA),
        (fails(500), Trouble.UNAVAILABLE),
        (fails(503, "<html>down</html>"), Trouble.UNAVAILABLE),
    ],
)
async def test_what_may_pass_is_tried_three_times(
    server: OpenAIServer, llm: OpenAI, failure: Fails, expected: Trouble
) -> None:
    """The client's own two retries are used before the trouble is told."""
    server.script(failure, failure, failure)

    assert (await trouble(llm)).trouble is expected
    server.assert_done()


async def test_a_trouble_that_passes_is_not_noticed(server: OpenAIServer, llm: OpenAI) -> None:
    """After a 429 and a 500 the third request's answer is the answer."""
    server.script(fails(429), fails(500), says("at last"))

    assert (await heard(llm))[0] == "at last"
    server.assert_done()


async def test_a_backend_that_is_not_there(unused_tcp_port: int) -> None:
    """A refused connection is told as such, with the setting to look at."""
    llm = client(f"http://127.0.0.1:{unused_tcp_port}/v1/")
    found = await trouble(llm)
    await llm.aclose()

    assert found.trouble is Trouble.UNAVAILABLE
    assert "127.0.0.1" in found.detail
    assert "OPENAI_BASE_URL" in found.detail


async def test_silence_before_the_answer(server: OpenAIServer) -> None:
    """A backend that accepts and says nothing is given up after the silence allowed, retries included."""
    llm = client(server.base_url, silence_s=0.05)
    server.script(*[Waits(Hold())] * 3)

    assert (await trouble(llm)).trouble is Trouble.TIMEOUT
    await llm.aclose()
    server.assert_done()


async def test_silence_within_the_answer(server: OpenAIServer) -> None:
    """A stream that falls silent is given up, and not begun again after its first words."""
    llm = client(server.base_url, silence_s=0.5)
    server.script(says("Well,", Hold()))

    assert (await trouble(llm)).trouble is Trouble.TIMEOUT
    await llm.aclose()
    server.assert_done()


@pytest.mark.parametrize(
    "reply",
    [
        says("half", Cut()),
        says("half", finish=None, done=False),
        says("half", b"data: {oops\n\n"),
    ],
)
async def test_an_answer_cut_off(server: OpenAIServer, llm: OpenAI, reply: Any) -> None:
    """A stream that breaks after its first words hands them on and ends as cut, without a second request."""
    server.script(reply)

    async with aclosing(llm.stream(ASKED)) as stream:
        assert await anext(stream) == "half"
        with pytest.raises(ModelError) as caught:
            await anext(stream)

    assert caught.value.trouble is Trouble.CUT
    server.assert_done()


@pytest.mark.parametrize("nothing", [says(), says(Cut()), says(finish=None, done=False)])
async def test_an_answer_that_never_began_is_asked_for_again(server: OpenAIServer, llm: OpenAI, nothing: Any) -> None:
    """An empty or broken answer without a word is asked for once more."""
    server.script(nothing, says("Now then"))

    assert (await heard(llm))[0] == "Now then"
    server.assert_done()


async def test_an_answer_empty_twice(server: OpenAIServer, llm: OpenAI) -> None:
    """A second empty answer is told as such."""
    server.script(says(), says())

    assert (await trouble(llm)).trouble is Trouble.EMPTY
    server.assert_done()


async def test_a_refusal(server: OpenAIServer, llm: OpenAI) -> None:
    """A refusal on its own channel is no answer, and is not asked for again."""
    server.script(says({"choices": [{"delta": {"refusal": "I will not"}}]}))

    assert (await trouble(llm)).trouble is Trouble.REFUSED
    server.assert_done()


async def test_an_error_inside_the_stream(server: OpenAIServer, llm: OpenAI) -> None:
    """An error object in place of a chunk is read like one over HTTP."""
    server.script(says({"error": {"message": "SECRET", "type": "server_error"}}))

    assert (await trouble(llm)).trouble is Trouble.UNAVAILABLE


async def test_a_truncated_answer(server: OpenAIServer, llm: OpenAI) -> None:
    """An answer that ran into the backend's length limit is whole, and marked."""
    server.script(says("and so on", finish="length"))

    assert (await heard(llm))[1].truncated


@pytest.mark.parametrize(
    "objection",
    [
        fails(400, {"code": "unsupported_parameter", "param": "stream_options"}),
        fails(400, {"code": "unsupported_value", "param": "stream_options.include_usage"}),
        fails(422, "extra_forbidden: body.stream_options"),
    ],
)
async def test_an_option_the_backend_does_not_know(server: OpenAIServer, llm: OpenAI, objection: Fails) -> None:
    """The option is left out of a second request, and of all that follow."""
    server.script(objection, says("ok"), says("ok again"))

    await heard(llm)
    await heard(llm)

    assert ["stream_options" in request.body for request in server.requests] == [True, False, False]
    server.assert_done()


async def test_closing_early_disconnects(server: OpenAIServer, llm: OpenAI) -> None:
    """Closing the iterator ends the request at the backend, while it is still writing."""
    server.script(says("One", Hold()))

    async with aclosing(llm.stream(ASKED)) as stream:
        assert await anext(stream) == "One"
        assert not server.disconnected.is_set()

    await asyncio.wait_for(server.disconnected.wait(), 5)


async def test_cancelling_disconnects(server: OpenAIServer, llm: OpenAI) -> None:
    """A task cancelled while it waits for the first word ends the request too."""
    hold = Hold()
    server.script(Waits(hold))
    asking = asyncio.create_task(heard(llm))
    await hold.reached()

    asking.cancel()

    await asyncio.wait_for(server.disconnected.wait(), 5)
    assert (await asyncio.gather(asking, return_exceptions=True))[0].__class__ is asyncio.CancelledError


@pytest.fixture
def many_files() -> Iterator[None]:
    """Leave to open both ends of more than 1,000 connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4_096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
async def test_more_streams_at_once_than_the_library_allows_by_itself(server: OpenAIServer) -> None:
    """1,100 streams are open together, all begun before the first ends."""
    many, hold = 1_100, Hold()
    llm = OpenAI(model="m", base_url=server.base_url, silence_s=60, max_streams=many)
    server.script(*[says("a", hold, "b")] * many)
    streams = [llm.stream(ASKED) for _ in range(many)]

    assert await asyncio.gather(*map(anext, streams)) == ["a"] * many
    hold.release()
    assert await asyncio.gather(*map(anext, streams)) == ["b"] * many

    await asyncio.gather(*(stream.aclose() for stream in streams))
    await llm.aclose()


async def test_a_connection_serves_several_turns(server: OpenAIServer, llm: OpenAI) -> None:
    """The connection is left to the next turn, which spares a handshake, although its end comes after [DONE]."""
    hold = Hold()
    whole = event(delta("ok")) + b"data: [DONE]\n\n"
    server.script(Says((whole, hold), finish=None, usage=None, done=False), says("ok"))

    async with aclosing(llm.stream(ASKED)) as stream:
        assert await anext(stream) == "ok"
        hold.release()
        assert isinstance(await anext(stream), Done)
    await heard(llm)

    assert len({request.peer for request in server.requests}) == 1


async def test_nothing_written_is_logged(server: OpenAIServer, llm: OpenAI, caplog: pytest.LogCaptureFixture) -> None:
    """Even with every library at debug, neither the messages nor the key nor the answer come into the log."""
    caplog.set_level(logging.DEBUG)
    server.script(fails(500), says("SECRET answer"))

    await heard(llm)

    assert "Retrying" in caplog.text
    assert "SECRET" not in caplog.text
    assert KEY not in caplog.text


async def test_a_model_on_this_machine_needs_no_proxy(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is not asked for an address on this machine."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    llm = client(server.base_url)
    server.script(instant(3))

    assert (await heard(llm))[0] == "word " * 3
    await llm.aclose()


async def test_the_check_passes_by_the_card_alone(server: OpenAIServer, llm: OpenAI) -> None:
    """A model whose card the backend shows is not asked anything."""
    await llm.check()

    assert not server.requests


@pytest.mark.parametrize("status", [401, 404, 405])
async def test_the_check_asks_the_model_where_there_is_no_card(server: OpenAIServer, llm: OpenAI, status: int) -> None:
    """A backend without cards, or a key that may not see them, passes when the model itself answers."""
    server.card = lambda _: web.Response(status=status)
    server.script(says("Hello!"))

    await llm.check()

    server.assert_done()


@pytest.mark.parametrize("passing", [fails(429), says()])
async def test_the_check_forgives_what_will_pass(server: OpenAIServer, llm: OpenAI, passing: Any) -> None:
    """A rate limit or an empty answer shows that key, address and model are right."""
    server.card = lambda _: web.Response(status=404)
    server.script(passing, passing, passing)

    await llm.check()


@pytest.mark.parametrize(
    ("card", "failure", "named"),
    [
        (web.Response(status=401), fails(401), "OPENAI_API_KEY"),
        (web.Response(status=404), fails(404), "OPENAI_MODEL"),
        (web.Response(status=404), fails(429, {"code": "insufficient_quota"}), "billing"),
        (web.Response(text="<html>Welcome</html>"), fails(404, "<html>"), "OPENAI_BASE_URL"),
    ],
)
async def test_the_check_names_the_remedy(
    server: OpenAIServer, llm: OpenAI, card: web.Response, failure: Fails, named: str
) -> None:
    """A refused key, an unknown model, an empty account and a wrong address are one line each, with what to set."""
    server.card = lambda _: card
    server.script(failure, failure, failure)

    with pytest.raises(StartupError, match=named) as caught:
        await llm.check()

    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)


async def test_the_check_finds_nobody_there(unused_tcp_port: int) -> None:
    """An address where nobody listens is named with its setting."""
    llm = client(f"http://127.0.0.1:{unused_tcp_port}/v1/")

    with pytest.raises(StartupError, match="OPENAI_BASE_URL"):
        await llm.check()
    await llm.aclose()


async def test_the_check_sees_a_key_that_was_copied_badly(server: OpenAIServer) -> None:
    """A key with characters that cannot be sent is refused before any request."""
    llm = client(server.base_url, api_key="“sk-quoted”")

    with pytest.raises(StartupError, match="OPENAI_API_KEY"):
        await llm.check()
    await llm.aclose()


def test_the_server_encodes_an_instant_answer_once() -> None:
    """The bench's model costs no encoding: its chunks are the same bytes."""
    steps = instant(40).steps

    assert set(steps) == {event(delta("word "))}
    assert len(steps) == 40
