"""The tokens of a key: reserved before the model is asked, settled by the real usage, charged for summaries too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from bot.api import Attendant
from bot.errors import OutOfTokens
from bot.store import api_keys
from bot.testing import SettableClock
from bot.turns.summariser import RETRY
from tests.support.gateway_stage import GatewayResponse, GatewayStage, opened
from tests.support.narrow_model import asks_for_summary
from tests.support.openai_server import Cut, Fails, OpenAIServer, Reply, Request, Says, says
from tests.support.store_driver import lapse

AT_ONCE = 60
LIMIT = 1_000
SHORT = 50  # the limit of an answer
USAGE = {"prompt_tokens": 10, "completion_tokens": SHORT}
LONG_MESSAGE = "please tell me " * 60  # about 250 tokens


async def key_of(gate: GatewayStage, tokens_per_minute: int) -> Mapping[str, str]:
    """Create a key with this limit; return the header with it."""
    return {"Authorization": f"Bearer {await gate.another_key(tokens_per_minute=tokens_per_minute)}"}


@asynccontextmanager
async def served(answer: Callable[[Request], Reply]) -> AsyncIterator[OpenAIServer]:
    """Serve a model."""
    model = OpenAIServer(answer)
    await model.start()
    try:
        yield model
    finally:
        await model.stop()


async def remaining(gate: GatewayStage, key: Mapping[str, str]) -> int:
    """Return the tokens that the key has left in this minute."""
    found = await gate.services.store.run(api_keys.every)
    [limit] = [each.tokens_per_minute for each in found if each.id == id_of(key)]
    spent = await gate.services.store.run(api_keys.spend, id_of(key), now=gate.clock.now())
    assert limit is not None
    return limit - spent.tokens


def id_of(key: Mapping[str, str]) -> str:
    """Return the id of the key in a header."""
    return key["Authorization"].split("-")[2]


def finish_of(response: GatewayResponse) -> Any:
    """Return the reason why an answer ended."""
    bodies = [each for each in response.events if each != "[DONE]" and each.get("choices")] or [response.body]
    return bodies[-1]["choices"][0]["finish_reason"]


def outcome(response: GatewayResponse) -> tuple[int, Any]:
    """Return the status and the code of a refusal."""
    return response.status, response.error["code"]


@pytest.mark.parametrize("more", [{}, {"stream": True}, {"max_tokens": SHORT}])
@pytest.mark.parametrize("session", [True, False])
async def test_requests_at_once_cannot_pass_a_limit(
    database_url: str, clock: SettableClock, tmp_path: Any, *, session: bool, more: Mapping[str, Any]
) -> None:
    """Of many requests that two replicas get at once, only so many reach the model as the key's limit allows."""
    (persona := tmp_path / "persona.md").write_text("You are helpful.")
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(served(lambda _: Says(("fine",), usage=USAGE)))
        many = {"max_running_turns_per_workspace": AT_ONCE, "gateway_max_running_per_key": AT_ONCE}
        gates = [
            await stack.enter_async_context(opened(database_url, model, clock, persona_file=persona, **many))
            for _ in range(2)
        ]
        key = await key_of(gates[0], LIMIT)
        asking = [
            gates[number % 2].asks("hi", session=f"s{number}" if session else None, headers=key, **more)
            for number in range(AT_ONCE)
        ]
        answers = await asyncio.gather(*asking)
        left = await remaining(gates[0], key)

    spent = len(model.requests) * sum(USAGE.values())
    assert 0 < spent <= LIMIT
    assert left == LIMIT - spent
    # Two processes on one SQLite file may keep each other waiting for too long. Then a request is refused with a 503.
    assert {200, 429} <= {got.status for got in answers} <= {200, 429, 503}
    refused = [got for got in answers if got.status == 429]
    assert {(got.error["type"], got.error["code"]) for got in refused} == {("tokens", "rate_limit_exceeded")}
    assert all(0 < int(got.headers["retry-after"]) <= 60 for got in refused)
    assert all(int(got.headers["x-ratelimit-remaining-tokens"]) < LIMIT for got in refused)


@pytest.mark.parametrize("session", ["one", None])
async def test_a_request_that_can_never_fit_is_refused_at_once(gate: GatewayStage, session: str | None) -> None:
    """A request above the limit of a whole minute is refused as invalid, and nothing of it is left."""
    key = await key_of(gate, 3_000)
    too_long = [
        await gate.asks("hi", session=session, headers=key, max_tokens=3_000),
        await gate.asks("word " * 4_000, session=session, headers=key),
    ]

    assert [outcome(got) for got in too_long] == [(400, "token_limit_exceeded")] * 2
    assert all("3000 tokens per minute" in got.error["message"] for got in too_long)
    assert not gate.model.requests
    assert await remaining(gate, key) == 3_000
    assert (await gate.calls("GET", "/v1/sessions/one", headers=key)).status == 404


@pytest.mark.parametrize("named", [{}, {"Idempotency-Key": "one"}])
@pytest.mark.parametrize(("max_tokens", "status"), [(500, 429), (5_000, 400)])
async def test_a_key_without_enough_tokens_is_slowed_down(
    gate: GatewayStage, named: Mapping[str, str], *, max_tokens: int, status: int
) -> None:
    """A refused request stores nothing but its count in the key's row. Each refusal delays the next one."""
    key = await key_of(gate, 3_000)
    await gate.services.store.run(api_keys.spend, id_of(key), tokens=2_950, now=gate.clock.now())
    written: list[str] = []
    event.listen(gate.services.store.engine, "before_cursor_execute", lambda *each: written.append(each[2]))
    headers = {**key, **named}
    refused = [await gate.asks("hi", session=f"s{each}", headers=headers, max_tokens=max_tokens) for each in range(3)]
    asking = asyncio.create_task(gate.asks("hi", session="other", headers=headers, max_tokens=max_tokens))
    accepted = await gate.calls("GET", "/v1/models")

    assert [got.status for got in refused] == [status] * 3
    assert (accepted.status, asking.done()) == (200, False)  # 0.8 s later than the first
    assert (await asking).status == status
    rows = [each for each in written if each.startswith(("INSERT", "UPDATE", "DELETE"))]
    assert [each for each in rows if not each.startswith("UPDATE keys ")] == []
    assert await remaining(gate, key) == 50


async def test_an_answer_without_a_limit_may_take_the_whole_minute(gate: GatewayStage) -> None:
    """A key whose limit is below ANSWER_TOKENS can ask, one request at a time."""
    key = await key_of(gate, 1_500)

    assert [(await gate.asks("hi", headers=key)).status for _ in range(3)] == [200] * 3


@pytest.mark.parametrize("stream", [True, False])
async def test_tokens_are_reserved_while_an_answer_runs(gate: GatewayStage, *, stream: bool) -> None:
    """A second request has to wait for the reserved tokens. When the first one ends, the unused tokens are free."""
    key = await key_of(gate, 3_000)
    hold = gate.hold_model()
    asking = asyncio.create_task(gate.asks("hi", headers=key, max_tokens=2_000, stream=stream))
    await hold.reached()
    during = await gate.asks("hi", headers=key, max_tokens=2_000)
    hold.release()
    assert (await asking).status == 200

    assert outcome(during) == (429, "rate_limit_exceeded")
    assert (await gate.asks("hi", headers=key, max_tokens=2_000)).status == 200


@pytest.mark.parametrize("failure", [Fails(401, {"message": "no"}), Fails(400, {"message": "no"})])
async def test_a_request_that_the_model_refuses_costs_nothing(gate: GatewayStage, failure: Reply) -> None:
    """The whole reservation is released."""
    key = await key_of(gate, 3_000)
    gate.model.script(failure)
    refused = await gate.asks("hi", session="one", headers=key)

    assert refused.status >= 400
    assert await remaining(gate, key) == 3_000


async def test_a_broken_answer_costs_its_prompt_and_its_words(gate: GatewayStage) -> None:
    """Without a usage from the backend the cost is estimated. The rest of the reservation is released."""
    key = await key_of(gate, 10_000)
    gate.model.script(says("Try ", Cut()))
    broken = await gate.asks("word " * 500, session="one", headers=key, stream=True, max_tokens=5_000)

    assert broken.text == "Try "
    assert 10_000 - 2_000 < await remaining(gate, key) <= 10_000 - 500


async def test_an_answer_that_is_asked_for_again_costs_both_requests(gate: GatewayStage) -> None:
    """The backend counts the prompt of each request."""
    key = await key_of(gate, 10_000)
    gate.model.script(says("Try ", Cut()), Says(("fine",), usage=USAGE))
    whole = await gate.asks("word " * 500, session="one", headers=key, max_tokens=5_000)

    assert whole.status == 200
    assert 10_000 - 2_000 < await remaining(gate, key) <= 10_000 - 500 - sum(USAGE.values())


@pytest.mark.parametrize("failure", [says("Try ", Cut()), Says(())], ids=["cut", "empty"])
@pytest.mark.parametrize("session", ["one", None])
async def test_an_answer_is_asked_for_again_only_with_tokens(
    gate: GatewayStage, failure: Reply, session: str | None
) -> None:
    """A key without the tokens of a further request gets the failure of the first one."""
    key = await key_of(gate, 4_500)
    gate.model.script(failure)
    broken = await gate.asks("word " * 1_000, session=session, headers=key)
    left = await remaining(gate, key)
    assert await gate.turns("one", **key) == 0

    assert broken.status >= 500
    assert len(gate.model.requests) == 1
    assert 4_500 - 2_000 < left <= 4_500 - 1_000


class Talkative:
    """A model that writes as much as a request allows, and 20,000 tokens without a limit."""

    def __init__(self, finish: str = "length", *, writes: str = "word") -> None:
        self.finish = finish
        self.writes = writes

    def __call__(self, request: Request) -> Reply:
        """Return the reply to a request."""
        allowed = request.body.get("max_completion_tokens", 20_000)
        steps = (self.writes,) if self.writes else ()
        return Says(steps, self.finish, usage={"prompt_tokens": 10, "completion_tokens": allowed})


@pytest.mark.parametrize("writes", ["word", ""])
@pytest.mark.parametrize("session", ["one", None])
@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_without_a_limit_ends_where_its_keys_tokens_end(
    database_url: str, clock: SettableClock, *, session: str | None, stream: bool, writes: str
) -> None:
    """The answer ends with `length`, also before its first word, and the key's limit is not passed."""
    async with served(Talkative(writes=writes)) as model, opened(database_url, model, clock) as gate:
        key = await key_of(gate, 4_000)
        got = await gate.asks("hi", session=session, headers=key, stream=stream)
        left = await remaining(gate, key)

    assert got.status == 200
    assert finish_of(got) == "length"
    assert len(model.requests) == 1
    assert 0 <= left < 4_000


async def test_only_a_key_with_few_tokens_shortens_an_answer(gate: GatewayStage) -> None:
    """A client's own limit is passed on unchanged, and a key with plenty of tokens sets none."""
    rich, poor = await key_of(gate, 1_000_000), await key_of(gate, 4_000)
    await gate.asks("hi", headers=rich)
    await gate.asks("hi", headers=poor, max_tokens=7)
    await gate.asks("hi", headers=poor)

    limits = [{name: each.body[name] for name in LIMITS if name in each.body} for each in gate.model.requests]
    assert limits[:2] == [{}, {"max_tokens": 7}]
    assert 0 < limits[2]["max_completion_tokens"] < 4_000


LIMITS = ("max_tokens", "max_completion_tokens")


@pytest.mark.parametrize("blamed", LIMITS)
async def test_a_backend_that_refuses_our_limit_is_asked_without_it(gate: GatewayStage, blamed: str) -> None:
    """The caller gets an answer, and later requests leave the limit out."""
    key = await key_of(gate, 4_000)
    gate.model.script(Fails(400, {"message": f"Unsupported parameter: '{blamed}'", "param": blamed}))
    answers = [await gate.asks("hi", headers=key) for _ in range(2)]

    assert [got.status for got in answers] == [200] * 2
    assert ["max_completion_tokens" in each.body for each in gate.model.requests] == [True, False, False]


async def test_a_backend_that_ignores_our_limit_is_cut_off(database_url: str, clock: SettableClock) -> None:
    """A text that is surely longer than its reservation ends with `length`."""
    async with served(lambda _: says(*["word " * 2_000] * 100)) as model, opened(database_url, model, clock) as gate:
        got = await gate.asks("hi", headers=await key_of(gate, 4_000), session="one")

    assert finish_of(got) == "length"
    assert len(got.text) < 4_000 * 8 + 10_000


async def test_a_repeated_request_costs_nothing(gate: GatewayStage) -> None:
    """The stored answer needs no reservation."""
    key = {**await key_of(gate, 2_800), "Idempotency-Key": "one"}
    first = await gate.asks("hi", session="one", headers=key)
    left = await remaining(gate, key)
    await gate.services.store.run(api_keys.spend, id_of(key), tokens=left - 1, now=gate.clock.now())

    assert (await gate.asks("hi", session="one", headers=key)).text == first.text
    assert await remaining(gate, key) == 1


async def test_the_reservation_of_a_dead_process_ends_with_its_minute(gate: GatewayStage) -> None:
    """Nothing settles it. In the next minute the key has all its tokens."""
    key = await key_of(gate, 3_000)
    need = api_keys.TokenNeed(3_000, 3_000)
    await gate.services.store.run(api_keys.reserve, id_of(key), need, default_limit=1, now=gate.clock.now())
    assert (await gate.asks("hi", headers=key)).status == 429
    gate.clock.advance(timedelta(minutes=1))

    assert (await gate.asks("hi", headers=key)).status == 200


async def test_chats_in_python_share_the_keys_tokens(gate: GatewayStage) -> None:
    """A message beyond the key's limit raises OutOfTokens, and is not remembered. Chats without a key have no limit."""
    key = await key_of(gate, 3_000)
    text = key["Authorization"].removeprefix("Bearer ")
    async with Attendant.open(gate.settings, key=text) as attendant, Attendant.open(gate.settings) as free:
        chat, other = await attendant.create_chat(), await free.create_chat()
        with pytest.raises(OutOfTokens) as refused:
            await attendant.send_message(chat, "word " * 4_000)
        await attendant.send_message(chat, "hi")
        await free.send_message(other, "word " * 4_000)

        memory = await attendant.memory(chat)
    assert refused.value.limit == 3_000
    assert memory is not None
    assert memory.turns == 1


class Summarising:
    """A model that answers and sums up, each time with a usage of its own."""

    def __init__(self) -> None:
        self.summaries = 0
        self.usage: Mapping[str, Any] = USAGE  # of an answer

    def __call__(self, request: Request) -> Reply:
        """Return the reply to a request."""
        if not asks_for_summary(request.body["messages"]):
            return Says(("fine",), usage=self.usage)
        self.summaries += 1
        return Says(("They talked.",), usage={"prompt_tokens": 1_000, "completion_tokens": 7})


async def test_summaries_are_charged_to_the_key(database_url: str, clock: SettableClock) -> None:
    """Each token that a session's answers and summaries use counts in its key's minute."""
    summarising = Summarising()
    async with served(summarising) as model, opened(database_url, model, clock, history_tokens=2_000) as gate:
        key = await key_of(gate, 1_000_000)
        for _ in range(20):
            assert (await gate.asks(LONG_MESSAGE, session="one", headers=key)).status == 200
            await gate.services.summariser.idle()
        left = await remaining(gate, key)

    assert summarising.summaries > 2
    assert 1_000_000 - left == 20 * sum(USAGE.values()) + summarising.summaries * 1_007


async def asks_in_a_new_minute(gate: GatewayStage, key: Mapping[str, str]) -> None:
    """Ask when the pause after a postponed summary is over; wait for the next one."""
    gate.clock.advance(2 * RETRY)
    await lapse(gate.services.store)
    assert (await gate.asks(LONG_MESSAGE, session="one", headers=key, max_tokens=6_800)).status == 200
    await gate.services.summariser.idle()


async def test_a_summary_is_asked_for_again_only_with_tokens(database_url: str, clock: SettableClock) -> None:
    """A key without the tokens of a further request gets no second attempt at a summary."""
    limit, left, summaries = 9_500, 300, 0

    def answer(request: Request) -> Reply:
        nonlocal summaries
        if not asks_for_summary(request.body["messages"]):
            return Says(("fine",), usage={"prompt_tokens": 10, "completion_tokens": limit - left - 10})
        summaries += 1
        return Says(())

    async with served(answer) as model, opened(database_url, model, clock, history_tokens=2_000) as gate:
        key = await key_of(gate, limit)
        while not summaries:  # until the tokens that are left suffice for one request
            await asks_in_a_new_minute(gate, key)
            left += 100

    assert summaries == 1


async def test_a_summary_waits_for_its_keys_tokens(
    database_url: str, clock: SettableClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Without tokens no summary is written. It is written after a turn of a later minute."""
    caplog.set_level("INFO")
    summarising = Summarising()
    async with served(summarising) as model, opened(database_url, model, clock, history_tokens=2_000) as gate:
        key = await key_of(gate, 9_500)
        summarising.usage = {"prompt_tokens": 500, "completion_tokens": 8_400}
        for _ in range(8):
            await asks_in_a_new_minute(gate, key)
        assert summarising.summaries == 0
        summarising.usage = USAGE
        await asks_in_a_new_minute(gate, key)

    assert summarising.summaries > 0
    assert "summary_postponed" in [record.message for record in caplog.records]
