"""Retries of a request to the model, over HTTP and in virtual time: what is asked again, how often, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from bot.errors import ModelError, Trouble
from bot.llm import NO_PARAMETERS, Done, Parameters, Piece, Retry, Thinking
from bot.llm.circuit_breaker import COOL_DOWN, FAILURES, CircuitBreaker
from bot.llm.patience import RESTARTS, PatientModel
from bot.testing import PausedStep, ScriptedLLM
from tests.support.openai_client import ASKED, client, fails
from tests.support.openai_server import Cut, Fails, OpenAIServer, Reply, Says, Waits, event, says
from tests.support.virtual_time import in_virtual_time, now

SILENCE_S = PATIENCE_S = 60.0
DEAD = ModelError(Trouble.UNAVAILABLE, "no route")
THOUGHT = event({"choices": [{"delta": {"reasoning_content": "Hm"}}]})


def loop_clock() -> datetime:
    """Return the loop's time as a date, for the circuit breaker."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=now())


def patient(llm: ScriptedLLM) -> PatientModel:
    """Return a patient model over a scripted one."""
    breaker = CircuitBreaker(llm, clock=loop_clock)
    return PatientModel(breaker, patience_s=PATIENCE_S, silence_s=SILENCE_S, chance=lambda: 0.0)


@asynccontextmanager
async def asked(
    *replies: Reply, silence_s: float = SILENCE_S, patience_s: float = PATIENCE_S
) -> AsyncIterator[tuple[PatientModel, OpenAIServer]]:
    """Serve these replies and nothing else, and yield a patient client of the server."""
    server = OpenAIServer()
    llm = client(await server.start(), silence_s=silence_s)
    server.script(*replies)
    breaker = CircuitBreaker(llm, clock=loop_clock)
    try:
        yield PatientModel(breaker, patience_s=patience_s, silence_s=silence_s, chance=lambda: 0.0), server
    finally:
        await llm.aclose()
        await server.stop()


async def heard(llm: PatientModel, parameters: Parameters = NO_PARAMETERS) -> list[Piece | Trouble]:
    """Return the pieces of an answer, and the trouble that ended it."""
    pieces: list[Piece | Trouble] = []
    try:
        async with aclosing(llm.stream(ASKED, parameters)) as stream:
            async for piece in stream:
                pieces.append(piece)  # noqa: PERF401 - the error must not take them away
    except ModelError as error:
        pieces.append(error.trouble)
    return pieces


def read(pieces: list[Piece | Trouble]) -> str | Trouble:
    """Return what a reader has who drops the text at each Retry: the whole answer, or the trouble."""
    text = ""
    for piece in pieces:
        match piece:
            case str():
                text += piece
            case Retry():
                text = ""
            case Trouble():
                return piece
    return text if isinstance(pieces[-1], Done) else Trouble.CUT


@pytest.mark.parametrize(
    ("replies", "after_s"),
    [
        ([Fails(429, {"message": "slow"}, {"retry-after": "20"})], 20.0),
        ([Fails(503, "", {"retry-after": "45"})], 45.0),
        ([Fails(503, "", {"retry-after": "25"})] * 2, 50.0),
        (
            [Fails(429, "", {"date": "Wed, 21 Oct 2026 07:28:00 GMT", "retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"})],
            30,
        ),
        ([Fails(500)] * 3, 1.75),
        ([Fails(429, "", {"retry-after": "0"})] * 4, 0.875),
    ],
)
def test_a_busy_backend_is_asked_again(replies: list[Fails], after_s: float) -> None:
    """A 429 or 5xx is retried after the pause that the backend names, or after a growing one."""

    @in_virtual_time
    async def play() -> None:
        async with asked(*replies, says("at last")) as (llm, server):
            began = now()
            assert read(await heard(llm)) == "at last"
            assert now() - began == pytest.approx(after_s, abs=1.0)
            server.assert_done()

    play()


@in_virtual_time
async def test_patience_ends() -> None:
    """A backend that stays busy is asked some ten times within the patience. Then the failure is reported."""
    async with asked(*[Fails(503)] * 100) as (llm, server):
        began = now()
        assert (await heard(llm))[-1] is Trouble.UNAVAILABLE
        assert PATIENCE_S - 10 < now() - began <= PATIENCE_S
        assert 5 < len(server.requests) < 15


@pytest.mark.parametrize(("patience_s", "was_retried"), [(PATIENCE_S, True), (0.0, False)])
def test_the_operator_reads_whether_there_were_retries(*, patience_s: float, was_retried: bool) -> None:
    """The failure says that retries did not help, unless the patience allowed none."""

    @in_virtual_time
    async def play() -> None:
        async with asked(*[Fails(503)] * 100, patience_s=patience_s) as (llm, server):
            with pytest.raises(ModelError) as caught:
                [piece async for piece in llm.stream(ASKED)]
            assert (len(server.requests) > 1) is was_retried
            assert ("retries" in caught.value.detail) is was_retried

    play()


@pytest.mark.parametrize(
    "failure",
    [
        Fails(429, {"code": "insufficient_quota"}),
        Fails(401, {"code": "invalid_api_key"}),
        Fails(400, {"code": "unknown_role"}),
        Fails(404, {"code": "model_not_found"}),
        Fails(400, {"code": "content_filter"}),
        Fails(429, "", {"retry-after": "300"}),
    ],
)
def test_a_failure_that_no_patience_heals_is_reported_at_once(failure: Fails) -> None:
    """Used-up credit, a refused key or request, and a pause beyond the patience are told after one request."""

    @in_virtual_time
    async def play() -> None:
        async with asked(failure) as (llm, server):
            began = now()
            assert isinstance((await heard(llm))[-1], Trouble)
            assert now() - began < 1
            server.assert_done()

    play()


@in_virtual_time
async def test_no_patience_means_no_retry_of_a_busy_backend() -> None:
    """With a patience of 0 a 503 is reported at once."""
    async with asked(Fails(503), patience_s=0) as (llm, server):
        assert await heard(llm) == [Trouble.UNAVAILABLE]
        server.assert_done()


@pytest.mark.parametrize("headers_first", [False, True])
@pytest.mark.parametrize("silence_s", [60.0, 300.0])
def test_a_silent_model_is_asked_once_more_with_a_short_wait(*, headers_first: bool, silence_s: float) -> None:
    """A model that sends nothing is asked twice. The second wait is under 15 s, whether or not headers come."""

    @in_virtual_time
    async def play() -> None:
        silent: list[Reply] = [says(PausedStep()) if headers_first else Waits(PausedStep()) for _ in range(2)]
        async with asked(*silent, silence_s=silence_s) as (llm, server):
            began = now()
            retry, trouble = await heard(llm)
            assert isinstance(retry, Retry)
            assert trouble is Trouble.TIMEOUT
            assert silence_s < now() - began < silence_s + 15
            server.assert_done()

    play()


@in_virtual_time
async def test_the_second_request_of_a_silent_model_may_be_answered() -> None:
    """The answer to the second request counts, and may be as slow as any other after its first sign of life."""
    slow = says(THOUGHT, PausedStep(), "never")
    async with asked(Waits(PausedStep()), says("Here I am")) as (llm, _):
        assert read(await heard(llm)) == "Here I am"
    async with asked(Waits(PausedStep()), slow) as (llm, _):
        began = now()
        _, thinking, trouble = await heard(llm)
        assert (thinking, trouble) == (Thinking(), Trouble.TIMEOUT)
        assert now() - began > 2 * SILENCE_S - 1


BROKEN = [
    says("half ", Cut()),
    says("half ", finish=None, done=False),
    says("half ", b"data: {nonsense\n\n"),
    says("half ", {"error": {"type": "server_error"}}),
    says("half ", PausedStep()),
    says(Cut()),
    says(),
    says({"error": {"code": "rate_limit_exceeded"}}),
]
BREAKS = pytest.mark.parametrize(
    "broken", BROKEN, ids=["cut", "ended", "nonsense", "error", "stalled", "cut early", "empty", "busy"]
)


@BREAKS
def test_a_broken_answer_is_asked_for_again(broken: Says) -> None:
    """A stream that breaks off, stalls or has an error, and an empty answer, are asked for again, twice at most."""

    @in_virtual_time
    async def play() -> None:
        async with asked(broken, broken, says("a whole ", "answer")) as (llm, server):
            assert read(await heard(llm)) == "a whole answer"
            server.assert_done()

    play()


@pytest.mark.parametrize("broken", BROKEN[:-1])  # a busy backend is asked again for as long as the patience lasts
def test_an_answer_that_breaks_again_and_again_is_reported(broken: Says) -> None:
    """After two more requests the trouble is reported, within three minutes."""

    @in_virtual_time
    async def play() -> None:
        async with asked(*[broken] * (1 + RESTARTS)) as (llm, server):
            began = now()
            assert isinstance((await heard(llm))[-1], Trouble)
            assert now() - began <= 180 + SILENCE_S
            server.assert_done()

    play()


@in_virtual_time
async def test_an_answer_that_takes_long_is_not_begun_anew() -> None:
    """An answer that breaks off after more than three minutes is not asked for again."""
    steps: list[str | PausedStep] = []
    holds = [PausedStep() for _ in range(4)]
    for hold in holds:
        steps += ["word ", hold]
    async with asked(says(*steps, Cut())) as (llm, server):

        async def release() -> None:
            for hold in holds:
                await hold.reached()
                await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=50)
                hold.release()

        releasing = asyncio.create_task(release())
        assert (await heard(llm))[-1] is Trouble.CUT
        await releasing
        server.assert_done()


@in_virtual_time
async def test_a_callers_parameters_are_tried_three_times() -> None:
    """A caller's own parameters may be the cause of a 5xx, so that its request is repeated twice only."""
    async with asked(*[fails(500)] * 3) as (llm, server):
        assert (await heard(llm, {"temperature": 2}))[-1] is Trouble.UNAVAILABLE
        server.assert_done()


@in_virtual_time
async def test_closing_ends_a_pause_at_once() -> None:
    """Who closes the stream during a pause waits for nothing, and no further request is made."""
    async with asked(Fails(429, "", {"retry-after": "50"})) as (llm, server):
        stream = llm.stream(ASKED)
        assert isinstance(await anext(stream), Retry)
        waiting = asyncio.create_task(anext(stream))
        await asyncio.wait([waiting], timeout=10)
        began = now()
        waiting.cancel()
        await asyncio.wait([waiting])
        await stream.aclose()
        assert now() == began
        server.assert_done()


@in_virtual_time
async def test_many_turns_do_not_hammer_a_dead_backend() -> None:
    """Of 1,000 turns that come within a minute, the backend sees the first few, and then one every cool-down."""
    llm = ScriptedLLM()
    for _ in range(1_000):
        llm.script(DEAD)
    model = patient(llm)

    async def come(after_s: float) -> Piece | Trouble:
        await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=after_s)
        return (await heard(model))[-1]

    ends = await asyncio.gather(*(come(0.06 * number) for number in range(1_000)))
    assert set(ends) == {Trouble.UNAVAILABLE}
    assert len(llm.calls) <= 2 * FAILURES + 120 / COOL_DOWN.total_seconds() + 1


@in_virtual_time
async def test_nobody_reads_of_a_failure_that_ten_seconds_heal() -> None:
    """Turns that come while the circuit is open wait for the trial, and get their answers."""
    llm = ScriptedLLM()
    model = patient(llm)
    turns = FAILURES + 3
    for _ in range(FAILURES):
        llm.script(DEAD)
    for _ in range(turns):
        llm.script("Back")
    ends = await asyncio.gather(*(heard(model) for _ in range(turns)))

    assert [read(pieces) for pieces in ends] == ["Back"] * turns
    assert now() < 2 * COOL_DOWN.total_seconds()


@in_virtual_time
async def test_one_answer_alone_opens_no_circuit() -> None:
    """A question at which the backend breaks is retried for a minute. Meanwhile others are answered."""
    llm = ScriptedLLM()
    model = patient(llm)
    for _ in range(9):
        llm.script(DEAD)
    poisonous = asyncio.create_task(heard(model))
    await llm.called(9)
    llm.script("Hello")
    assert read(await heard(model)) == "Hello"
    poisonous.cancel()
    await asyncio.wait([poisonous])
