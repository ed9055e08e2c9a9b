"""The gateway's keys: who is let in, who is refused and how slowly, and how much a key may ask in a minute."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network

import aiohttp
import pytest

from bot.cli import keys
from bot.gateway.auth import HELD_BACK, HELD_BACK_OF_ONE
from bot.prompt.tokens import estimate_tokens
from bot.testing import SettableClock
from tests.support.gateway_stage import CALLS, Gate, opened
from tests.support.openai_server import OpenAIServer

Trying = asyncio.Task[tuple[int, str | None]]

KNOWN = "sk-att-000000000000-" + "0" * 64


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer nonsense", f"Bearer {KNOWN}", "Basic YTpi"])
async def test_without_a_right_key_nothing_is_answered(gate: Gate, method: str, path: str, authorization: str) -> None:
    """401 in OpenAI's shape, whatever is wrong with the key; the model is not asked."""
    got = await gate.calls(method, path, headers={"Authorization": authorization})

    assert (got.status, got.error["code"], got.headers["www-authenticate"]) == (401, "invalid_api_key", "Bearer")
    assert not gate.model.requests


async def test_a_key_of_the_right_id_needs_its_secret(gate: Gate) -> None:
    """The id is no secret: `keys list` shows it."""
    wrong = gate.key[:-1] + ("0" if gate.key[-1] != "0" else "1")

    assert (await gate.asks("hi", headers={"Authorization": f"Bearer {wrong}"})).status == 401


@asynccontextmanager
async def tried(
    database_url: str, model: OpenAIServer, clock: SettableClock
) -> AsyncIterator[tuple[Gate, Callable[[str], Trying]]]:
    """A gateway behind a proxy, and what tries it without a key from an address: its status, and `Connection`."""
    async with (
        opened(database_url, model, clock, gateway_trusted_proxies=(ip_network("127.0.0.1"),)) as gate,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        trying: list[Trying] = []

        async def get(address: str) -> tuple[int, str | None]:
            async with http.get(f"{gate.address}/v1/models", headers={"X-Forwarded-For": address}) as response:
                return response.status, response.headers.get("Connection")

        def tries(address: str) -> Trying:
            trying.append(asyncio.create_task(get(address)))
            return trying[-1]

        yield gate, tries
        for task in trying:
            task.cancel()
        await asyncio.gather(*trying, return_exceptions=True)


async def test_one_address_cannot_have_the_wrong_keys_of_others_refused_in_short(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """It has its share of the refusals that are held back at once, and no more."""
    async with tried(empty_sqlite_url, reciter, clock) as (gate, tries):
        trying = [tries("192.0.2.1") for _ in range(HELD_BACK + 20)]
        await gate.until(lambda: sum(task.done() and task.result()[0] == 429 for task in trying) >= 20)
        statuses = [(await tries("192.0.2.2"))[0], (await tries("192.0.2.2"))[0]]

    assert statuses == [401, 401]


async def test_all_together_are_refused_slowly_up_to_a_limit(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """Then in short, though no address has had its share, and the connection ends; a right key is let in."""
    async with tried(empty_sqlite_url, reciter, clock) as (gate, tries):
        addresses = [f"192.0.2.{number}" for number in range(2 * HELD_BACK // HELD_BACK_OF_ONE)]
        trying = [tries(address) for address in addresses for _ in range(HELD_BACK_OF_ONE - 1)]
        await gate.until(lambda: (429, "close") in [task.result() for task in trying if task.done()])
        right = await gate.calls("GET", "/v1/models")

    assert right.status == 200


async def test_a_key_that_was_revoked_or_has_expired_is_refused(gate: Gate) -> None:
    """403, at once, on every path; other keys go on."""
    revoked, expired = await gate.another_key(), await gate.another_key(days=1)
    await keys.revoke(gate.settings, revoked.split("-")[2])
    gate.clock.advance(timedelta(days=400))

    for key in (revoked, expired):
        got = await gate.calls("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"})
        assert (got.status, got.error["code"]) == (403, "permission_denied")
    assert (await gate.asks("hi")).status == 200


async def test_the_requests_of_a_minute_are_limited(gate: Gate) -> None:
    """The headers count down; then 429 until the minute is over; another key is not touched by it."""
    key = {"Authorization": f"Bearer {await gate.another_key(requests_per_minute=2)}"}
    told = [await gate.asks("hi", headers=key) for _ in range(3)]

    assert [got.status for got in told] == [200, 200, 429]
    assert [got.headers["x-ratelimit-remaining-requests"] for got in told] == ["1", "0", "0"]
    assert (told[-1].error["type"], told[-1].error["code"]) == ("requests", "rate_limit_exceeded")
    assert (await gate.asks("hi")).status == 200
    gate.clock.advance(timedelta(seconds=int(told[-1].headers["retry-after"])))
    assert (await gate.asks("hi", headers=key)).status == 200


@pytest.mark.parametrize(("method", "path"), CALLS[2:])
async def test_what_asks_no_model_is_a_request_of_the_minute_too(gate: Gate, method: str, path: str) -> None:
    """Whether or not the key has tokens left."""
    key = {"Authorization": f"Bearer {await gate.another_key(requests_per_minute=3, tokens_per_minute=1)}"}
    await gate.asks("hi", session="one", headers=key)
    told = [await gate.calls(method, path, headers=key) for _ in range(3)]

    assert [told[0].status, told[2].status] == [200, 429]
    assert told[1].status != 429
    assert (told[2].error["type"], told[2].headers["x-ratelimit-remaining-requests"]) == ("requests", "0")


async def test_the_tokens_of_a_minute_are_limited(gate: Gate) -> None:
    """What answers cost is counted, streamed or not; a request that comes when they are spent is refused."""
    key = {"Authorization": f"Bearer {await gate.another_key(tokens_per_minute=30)}"}
    told = [await gate.asks("hi", headers=key, stream=stream) for stream in (False, True, False)]

    assert [got.status for got in told] == [200, 200, 429]
    assert [got.headers["x-ratelimit-remaining-tokens"] for got in told] == ["30", "15", "0"]
    assert told[-1].error["type"] == "tokens"


@pytest.mark.parametrize("first_words", [(), ("Try ",)])
@pytest.mark.parametrize("session", ["one", None])
async def test_who_goes_away_has_spent_all_that_the_model_was_asked_with(
    gate: Gate, session: str | None, first_words: tuple[str, ...]
) -> None:
    """The persona and the session's history, too, even before the first word."""
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

    shown = sum(estimate_tokens(each["content"]) for each in gate.model.requests[2].body["messages"])
    left = [int(got.headers["x-ratelimit-remaining-tokens"]) for got in (before, after)]
    assert left[0] - left[1] >= shown


async def test_the_settings_limit_is_a_keys_without_its_own(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """For each key apart."""
    async with opened(empty_sqlite_url, reciter, clock, gateway_requests_per_minute=1) as gate:
        another = {"Authorization": f"Bearer {await gate.another_key()}"}
        statuses = [(await gate.asks("hi", headers=headers)).status for headers in ({}, {}, another)]

    assert statuses == [200, 429, 200]


async def test_a_secret_is_neither_stored_nor_listed(gate: Gate) -> None:
    """Neither the database nor `keys list` leads back to it."""
    database = gate.settings.database_url.removeprefix("sqlite:///")
    with open(database, "rb") as file:  # noqa: ASYNC230, PTH123 - a test
        assert gate.key.rpartition("-")[2].encode() not in file.read()
    assert json.dumps(await keys.lines(gate.settings)).count(gate.key.rpartition("-")[2]) == 0
