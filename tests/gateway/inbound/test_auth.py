"""Authentication: accepted keys, delayed error responses for wrong keys, and rate limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network

import aiohttp
import pytest
from sqlalchemy import event

from bot.cli import keys
from bot.gateway.inbound.auth import MAX_DELAYED, MAX_DELAYED_BY_NAME
from bot.prompt.tokens import estimate_tokens
from bot.testing import SettableClock
from tests.support.gateway_stage import CALLS, GatewayStage, opened
from tests.support.openai_server import OpenAIServer, Says

Failing = asyncio.Task[tuple[int, str | None]]

UNKNOWN_KEY = "sk-att-000000000000-" + "0" * 64


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer nonsense", f"Bearer {UNKNOWN_KEY}", "Basic YTpi"])
async def test_a_request_needs_a_valid_key(gate: GatewayStage, method: str, path: str, authorization: str) -> None:
    """A request without a valid key gets a 401 in OpenAI's shape, and the gateway does not call the model."""
    got = await gate.calls(method, path, headers={"Authorization": authorization})

    assert (got.status, got.error["code"], got.headers["www-authenticate"]) == (401, "invalid_api_key", "Bearer")
    assert not gate.model.requests


async def test_a_key_of_the_right_id_needs_its_secret(gate: GatewayStage) -> None:
    """A key with a known id and a wrong secret is refused. The id is not secret, because `keys list` shows it."""
    wrong = gate.key[:-1] + ("0" if gate.key[-1] != "0" else "1")

    assert (await gate.asks("hi", headers={"Authorization": f"Bearer {wrong}"})).status == 401


@asynccontextmanager
async def opened_behind_proxy(
    database_url: str, model: OpenAIServer, clock: SettableClock
) -> AsyncIterator[tuple[GatewayStage, Callable[[str], Failing]]]:
    """Open a gateway behind a proxy, with a function that sends a request without a key from an address.

    The request returns the status and the `Connection` header of the response.
    """
    async with (
        opened(database_url, model, clock, gateway_trusted_proxies=(ip_network("127.0.0.1"),)) as gate,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        failing: list[Failing] = []

        async def get(address: str) -> tuple[int, str | None]:
            async with http.get(f"{gate.address}/v1/models", headers={"X-Forwarded-For": address}) as response:
                return response.status, response.headers.get("Connection")

        def fails(address: str) -> Failing:
            failing.append(asyncio.create_task(get(address)))
            return failing[-1]

        yield gate, fails
        for task in failing:
            task.cancel()
        await asyncio.gather(*failing, return_exceptions=True)


async def test_one_address_cannot_use_up_the_delays_of_others(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """The number of delayed error responses is limited for each address."""
    async with opened_behind_proxy(empty_sqlite_url, reciter, clock) as (gate, fails):
        failing = [fails("192.0.2.1") for _ in range(MAX_DELAYED + 20)]
        await gate.until(lambda: sum(task.done() and task.result()[0] == 429 for task in failing) >= 20)
        statuses = [(await fails("192.0.2.2"))[0], (await fails("192.0.2.2"))[0]]

    assert statuses == [401, 401]


async def test_the_number_of_delayed_error_responses_is_limited(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """Above the limit the gateway answers 429 at once and closes the connection. A valid key is accepted."""
    async with opened_behind_proxy(empty_sqlite_url, reciter, clock) as (gate, fails):
        addresses = [f"192.0.2.{number}" for number in range(2 * MAX_DELAYED // MAX_DELAYED_BY_NAME)]
        failing = [fails(address) for address in addresses for _ in range(MAX_DELAYED_BY_NAME - 1)]
        await gate.until(lambda: (429, "close") in [task.result() for task in failing if task.done()])
        right = await gate.calls("GET", "/v1/models")

    assert right.status == 200


async def test_a_key_that_was_revoked_or_has_expired_is_refused(gate: GatewayStage) -> None:
    """A revoked or expired key gets a 403. Other keys are not affected."""
    revoked, expired = await gate.another_key(), await gate.another_key(days=1)
    await keys.revoke(gate.settings, revoked.split("-")[2])
    gate.clock.advance(timedelta(days=400))

    for key in (revoked, expired):
        got = await gate.calls("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"})
        assert (got.status, got.error["code"]) == (403, "permission_denied")
    assert (await gate.asks("hi")).status == 200


@pytest.mark.parametrize(("revoked", "status"), [(True, 403), (False, 429)], ids=["revoked", "over its limit"])
async def test_a_refused_key_is_slowed_down(gate: GatewayStage, *, revoked: bool, status: int) -> None:
    """Each refusal delays the next one. Another key at the same address is answered at once."""
    key = await gate.another_key(requests_per_minute=1)
    headers = {"Authorization": f"Bearer {key}"}
    if revoked:
        await keys.revoke(gate.settings, key.split("-")[2])
    else:
        await gate.calls("GET", "/v1/models", headers=headers)
    began = asyncio.get_running_loop().time()
    refused = [await gate.calls("GET", "/v1/models", headers=headers) for _ in range(3)]
    assert asyncio.get_running_loop().time() - began >= 0.1 + 0.2 + 0.4
    asking = asyncio.create_task(gate.calls("GET", "/v1/models", headers=headers))
    accepted = await gate.calls("GET", "/v1/models")

    assert [got.status for got in refused] == [status] * 3
    assert (accepted.status, asking.done()) == (200, False)  # 0.8 s later than the first
    assert (await asking).status == status


async def test_a_flood_of_requests_with_a_revoked_key_leaves_the_database_alone(gate: GatewayStage) -> None:
    """Once a key was refused, further requests with it cost no query. Most get a 429 at once."""
    key = await gate.another_key()
    await keys.revoke(gate.settings, key.split("-")[2])
    queries: list[str] = []
    event.listen(gate.services.store.engine, "before_cursor_execute", lambda *each: queries.append(each[2]))
    asked = [
        asyncio.create_task(gate.calls("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"}))
        for _ in range(400)  # a hundred at once, by aiohttp's limit
    ]
    await gate.until(lambda: sum(task.done() and task.result().status == 429 for task in asked) >= 350)
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)

    assert not [query for query in queries if query.startswith(("UPDATE", "INSERT"))]
    assert len([query for query in queries if query.startswith("SELECT")]) < 200


async def test_the_requests_of_a_minute_are_limited(gate: GatewayStage) -> None:
    """The headers count down. Then the key gets a 429 until the minute is over. Another key is not affected."""
    key = {"Authorization": f"Bearer {await gate.another_key(requests_per_minute=2)}"}
    answers = [await gate.asks("hi", headers=key) for _ in range(3)]

    assert [got.status for got in answers] == [200, 200, 429]
    assert [got.headers["x-ratelimit-remaining-requests"] for got in answers] == ["1", "0", "0"]
    assert (answers[-1].error["type"], answers[-1].error["code"]) == ("requests", "rate_limit_exceeded")
    assert (await gate.asks("hi")).status == 200
    gate.clock.advance(timedelta(seconds=int(answers[-1].headers["retry-after"])))
    assert (await gate.asks("hi", headers=key)).status == 200


@pytest.mark.parametrize(("method", "path"), CALLS[2:])
async def test_a_request_that_calls_no_model_counts_as_a_request(gate: GatewayStage, method: str, path: str) -> None:
    """Such a request is accepted even if the key has used up its tokens of the minute."""
    key = {"Authorization": f"Bearer {await gate.another_key(requests_per_minute=3, tokens_per_minute=5_000)}"}
    gate.model.script(Says(("hi",), usage={"prompt_tokens": 4_000, "completion_tokens": 1_000}))
    await gate.asks("hi", session="one", headers=key)
    answers = [await gate.calls(method, path, headers=key) for _ in range(3)]

    assert [answers[0].status, answers[2].status] == [200, 429]
    assert answers[1].status != 429
    assert (answers[2].error["type"], answers[2].headers["x-ratelimit-remaining-requests"]) == ("requests", "0")


async def test_the_tokens_of_a_minute_are_limited(gate: GatewayStage) -> None:
    """The tokens of whole and of streamed answers count. After the last token the key gets a 429."""
    key = {"Authorization": f"Bearer {await gate.another_key(tokens_per_minute=10_000)}"}
    for _ in range(2):
        gate.model.script(Says(("hi",), usage={"prompt_tokens": 4_000, "completion_tokens": 1_000}))
    answers = [await gate.asks("hi", headers=key, stream=stream) for stream in (False, True, False)]

    assert [got.status for got in answers] == [200, 200, 429]
    assert [got.headers["x-ratelimit-remaining-tokens"] for got in answers] == ["10000", "5000", "0"]
    assert answers[-1].error["type"] == "tokens"


@pytest.mark.parametrize("first_words", [(), ("Try ",)])
@pytest.mark.parametrize("session", ["one", None])
async def test_a_client_that_disconnects_has_spent_the_tokens_of_the_prompt(
    gate: GatewayStage, session: str | None, first_words: tuple[str, ...]
) -> None:
    """The persona and the history count too, even before the first word of the answer."""
    key = {"Authorization": f"Bearer {await gate.another_key(tokens_per_minute=1_000_000)}"}
    await gate.asks("word " * 1_000, session="one", headers=key)
    before = await gate.asks("hi", headers=key)
    hold = gate.hold_model(*first_words)
    asking = asyncio.create_task(gate.asks("hi", session=session, headers=key))
    await hold.reached()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await gate.until(lambda: not gate.services.chat_service.running)
    after = await gate.asks("hi", headers=key)

    prompt_tokens = sum(estimate_tokens(each["content"]) for each in gate.model.requests[2].body["messages"])
    remaining = [int(got.headers["x-ratelimit-remaining-tokens"]) for got in (before, after)]
    assert remaining[0] - remaining[1] >= prompt_tokens


async def test_a_key_without_a_limit_has_the_limit_of_the_settings(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """The gateway counts for each key separately."""
    async with opened(empty_sqlite_url, reciter, clock, gateway_requests_per_minute=1) as gate:
        another = {"Authorization": f"Bearer {await gate.another_key()}"}
        statuses = [(await gate.asks("hi", headers=headers)).status for headers in ({}, {}, another)]

    assert statuses == [200, 429, 200]


async def test_a_secret_is_neither_stored_nor_listed(gate: GatewayStage) -> None:
    """Neither the database nor `keys list` contains it."""
    database = gate.settings.database_url.get_secret_value().removeprefix("sqlite:///")
    with open(database, "rb") as file:  # noqa: ASYNC230, PTH123 - a test
        assert gate.key.rpartition("-")[2].encode() not in file.read()
    assert repr(await keys.every(gate.settings)).count(gate.key.rpartition("-")[2]) == 0
