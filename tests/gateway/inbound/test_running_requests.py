"""The limit of a key's running requests: whatever a request waits for, it counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.testing import SettableClock
from tests.support.attacks import asking, slow_readers
from tests.support.gateway_stage import GatewayStage, opened
from tests.support.openai_server import Forever, OpenAIServer, Says, delta, event
from tests.support.timeouts import GENEROUS_S

ENDLESS = Says((Forever(event(delta("word ") | {"padding": "x" * 1_000})),))


@pytest.fixture
async def narrow(empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock) -> AsyncIterator[GatewayStage]:
    """A gateway whose keys may run two requests at once."""
    async with opened(empty_sqlite_url, reciter, clock, gateway_max_running_per_key=2) as gate:
        yield gate


def port(gate: GatewayStage) -> int:
    """Return the gateway's port."""
    return int(gate.address.rpartition(":")[2])


async def test_a_key_runs_a_few_requests_at_once(narrow: GatewayStage) -> None:
    """One more gets a 429 with Retry-After, which names the limit. A request that waits for its session counts."""
    hold = narrow.hold_model()
    first = asyncio.create_task(narrow.asks("first", session="one"))
    await hold.reached()
    second = asyncio.create_task(narrow.asks("second", session="one"))
    await narrow.until(lambda: narrow.services.chat_service.running == 2)
    refused = await narrow.asks("third")
    of_another = await narrow.asks("fourth", headers={"Authorization": f"Bearer {await narrow.another_key()}"})
    hold.release()

    assert [(await asked).status for asked in (first, second)] == [200, 200]
    assert (refused.status, refused.error["code"]) == (429, "too_many_running_requests")
    assert ("2 requests" in refused.error["message"], int(refused.headers["retry-after"]) > 0) == (True, True)
    assert of_another.status == 200
    assert (await narrow.asks("fifth")).status == 200


async def test_a_request_counts_while_its_body_arrives(narrow: GatewayStage) -> None:
    """A client that sends half a body holds its own key's room, not the server's memory."""
    body = asking("late")
    head = (
        f"POST /v1 HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {narrow.key}\r\nContent-Type: application/json\r\n"
    )
    started = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:10]
    connections = [await asyncio.open_connection("127.0.0.1", port(narrow)) for _ in range(3)]
    for _, writer in connections:
        writer.write(started)
    refused = await _first_to_answer([reader for reader, _ in connections])
    for _, writer in connections:
        writer.write(body[10:])
    others = [
        await asyncio.wait_for(reader.readline(), GENEROUS_S) for reader, _ in connections if reader is not refused
    ]
    for _, writer in connections:
        writer.close()

    assert (await refused.readline()).split()[1] == b"429"
    assert [line.split()[1] for line in others] == [b"200", b"200"]


async def test_a_client_that_reads_slowly_holds_its_own_keys_room(narrow: GatewayStage) -> None:
    """Its streams count until they end. Another key is answered meanwhile, and so is this one afterwards."""
    narrow.model.script(ENDLESS, ENDLESS)
    async with slow_readers(port(narrow), [narrow.key], readers=2) as statuses:
        await narrow.until(lambda: statuses[200] == 2)
        refused = await narrow.asks("third")
        of_another = await narrow.asks("fourth", headers={"Authorization": f"Bearer {await narrow.another_key()}"})
    await narrow.until(lambda: narrow.services.chat_service.running == 0)

    assert (refused.status, of_another.status, (await narrow.asks("fifth")).status) == (429, 200, 200)


async def _first_to_answer(readers: list[asyncio.StreamReader]) -> asyncio.StreamReader:
    """Return the reader that has data first."""
    async with asyncio.timeout(GENEROUS_S):
        while True:
            for reader in readers:
                if reader._buffer:  # type: ignore[attr-defined]  # noqa: SLF001 - it is read later
                    return reader
            await asyncio.sleep(0)
