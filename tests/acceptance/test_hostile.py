"""Attacks over HTTP beside people who mention the bot in Slack: no caller harms another.

Every mention has one whole answer, and Slack has its first acknowledgement in time. `make bench` prints how long they
took.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from bot.playground.delivery.deliveries import ACK_WITHIN_S
from tests.support import attacks
from tests.support.hostile_world import HostileWorld, Mentions, hostile_world
from tests.support.openai_server import Fails, Forever, Reply, Request, Says, delta, event, says

pytestmark = [pytest.mark.long, pytest.mark.alone]

ENOUGH_MENTIONS = 20  # beside each attack
UNLIMITED = {"GATEWAY_REQUESTS_PER_MINUTE": "100000000", "GATEWAY_TOKENS_PER_MINUTE": "999999999"}


@asynccontextmanager
async def mentioned_beside(world: HostileWorld) -> AsyncIterator[Mentions]:
    """Have people mention the bot during the block, and for a while after it. Check that all are acknowledged."""
    async with world.mentions() as mentions:
        yield mentions
        await mentions.more(ENOUGH_MENTIONS)
    assert max(mentions.waits().acks) < ACK_WITHIN_S


async def post(world: HostileWorld, body: bytes, *, key: int = 0, session: str = "") -> tuple[int, str]:
    """Send a request with a key. Return the status and the response's text."""
    headers = {"Authorization": f"Bearer {world.keys[key]}", "Content-Type": "application/json"}
    headers |= {"sessionId": session} if session else {}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{world.address}/v1/chat/completions", data=body, headers=headers) as response,
    ):
        return response.status, await response.text()


def echoes(request: Request) -> Reply:
    """Refuse a request and quote its values, as backends do."""
    message = f"Invalid value: {json.dumps(request.body.get('stop'))}"
    return Fails(400, {"message": message, "type": "invalid_request_error", "param": "stop", "code": "invalid_value"})


async def test_a_quoted_value_narrows_nobodys_window(tmp_path: Path) -> None:
    """A caller's own words in an error do not shorten what other people's requests show."""
    async with hostile_world(tmp_path) as world:
        thread = await world.talk(ENOUGH_MENTIONS)
        world.answer = echoes
        async with mentioned_beside(world):
            for words in ("maximum context 600", "context length is 600 tokens", "input tokens exceed 600"):
                status, _ = await post(world, attacks.asking("x " * 2_000, stop=[words]))
                assert status == 400

        world.answer = None
        await world.say(thread, "the last question")
        shown = "\n".join(world.model.requests[-1].texts)
    assert all(f"question {number}" in shown for number in range(ENOUGH_MENTIONS))


async def test_a_resent_history_costs_the_others_nothing(tmp_path: Path) -> None:
    """Two clients resend a megabyte of turns that differ a little from those that the session stores."""
    async with hostile_world(tmp_path, environ=UNLIMITED) as world:
        histories = [attacks.resent_history(salt) for salt in ("a", "b")]
        async with mentioned_beside(world):
            await asyncio.gather(*(post(world, body, session=f"s{n}") for n, body in enumerate(histories * 2)))


async def test_slow_readers_leave_slack_alone(tmp_path: Path) -> None:
    """Many clients open streams and read nothing. Then all of them go away at once."""
    words = Says((Forever(event(delta("word ")) * 50),))
    async with hostile_world(tmp_path, keys=50, environ=UNLIMITED) as world:
        world.answer = lambda _: words  # endless
        async with (
            mentioned_beside(world) as mentions,
            attacks.slow_readers(world.port, world.keys, readers=1_000) as statuses,
        ):
            await mentions.more(ENOUGH_MENTIONS)
    assert set(statuses) <= {200, 429, 503}


async def test_requests_at_once_cannot_pass_the_limit_of_tokens(tmp_path: Path) -> None:
    """Sixty requests at once, with a limit of tokens for one of them."""
    async with hostile_world(tmp_path, environ={"GATEWAY_TOKENS_PER_MINUTE": "1000"}) as world:
        usage = {"prompt_tokens": 300, "completion_tokens": 100}
        world.answer = lambda _: Says(says("Hello.").steps, usage=usage)
        async with mentioned_beside(world):
            asked = [post(world, attacks.asking("hello", max_tokens=100)) for _ in range(60)]
            statuses = Counter(status for status, _ in await asyncio.gather(*asked))
    assert set(statuses) == {200, 429}
    assert statuses[200] * sum(usage.values()) <= 1_000


async def test_a_key_cannot_fill_the_disk(tmp_path: Path) -> None:
    """At its limit a key is refused, with the limit's name. Another key goes on."""
    settings = {
        **UNLIMITED,
        "MODEL_WINDOW_TOKENS": "1000000",
        "HISTORY_TOKENS": "500000",
        "GATEWAY_STORED_MB_PER_KEY": "1",
    }
    async with hostile_world(tmp_path, keys=2, environ=settings) as world, mentioned_beside(world):
        answers = [await post(world, attacks.asking("x" * 100_000), session=f"s{number}") for number in range(15)]
        other, _ = await post(world, attacks.asking("hello"), key=1, session="mine")
    statuses = [status for status, _ in answers]
    refused = [text for status, text in answers if status != 200]
    assert 5 <= statuses.count(200) <= 10
    assert refused
    assert all("storage_limit_reached" in text and "1 MB" in text for text in refused)
    assert other == 200


@pytest.mark.parametrize("body", attacks.HEAVY)
async def test_a_flood_of_heavy_requests_leaves_slack_alone(tmp_path: Path, body: Callable[[], bytes]) -> None:
    """Eight connections send the heaviest requests, one after the other."""
    async with hostile_world(tmp_path, environ=UNLIMITED) as world, mentioned_beside(world) as mentions:
        flooding = asyncio.create_task(attacks.flood(world.port, world.keys, [body()]))
        await mentions.more(ENOUGH_MENTIONS)
        flooding.cancel()
        statuses = await flooding
    assert statuses.total() > 0
    assert not [status for status in statuses if status >= 500 and status != 503]
