"""Requests that end early: disconnected clients, reset sessions, lost processes, and requests that wait for others."""

from __future__ import annotations

import asyncio
import json

import pytest
import sqlalchemy as sa

from bot.store import tables
from bot.testing import SettableClock
from tests.support.gateway_stage import GatewayStage, opened
from tests.support.openai_server import OpenAIServer
from tests.support.room import shown
from tests.support.store_driver import lapse
from tests.support.timeouts import GENEROUS_S

HI = "My VPN is down"


async def disconnect(gate: GatewayStage, *, stream: bool) -> None:
    """Send a request, disconnect in the middle of the answer, and wait until the model's stream is closed."""
    hold = gate.hold_model("Try ")
    asking = asyncio.create_task(gate.asks(HI, session="one", stream=stream))
    await hold.reached()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await asyncio.wait_for(gate.model.disconnected.wait(), GENEROUS_S)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_disconnected_client_leaves_nothing(gate: GatewayStage, *, stream: bool) -> None:
    """The gateway closes the model's stream. The next request does not see the first one."""
    await disconnect(gate, stream=stream)
    got = await gate.asks("hello", session="one")

    assert (got.state, shown(gate.model.requests[-1])) == ("created", ["hello"])
    assert await gate.turns("one") == 1


async def test_the_answer_after_a_disconnect_has_an_id_of_its_own(gate: GatewayStage) -> None:
    """Two answers of a session never have the same id, also when the client did not read the first one whole."""
    await gate.asks("first", session="one")
    ids = set()
    for _ in range(3):
        hold = gate.hold_model("Try ")
        asked = {"messages": [{"role": "user", "content": HI}], "stream": True}
        headers = {"Authorization": f"Bearer {gate.key}", "sessionId": "one"}
        async with gate.http.post(f"{gate.address}/v1/chat/completions", json=asked, headers=headers) as response:
            line = await response.content.readline()
            await hold.reached()
        ids.add(json.loads(line.removeprefix(b"data: "))["id"])
        await asyncio.wait_for(gate.model.disconnected.wait(), GENEROUS_S)
        gate.model.disconnected.clear()
    ids.add((await gate.asks("hello", session="one")).body["id"])

    assert len(ids) == 4


async def test_a_disconnected_client_keeps_its_earlier_turns(gate: GatewayStage) -> None:
    """Only the unfinished turn is removed."""
    await gate.asks("first", session="one")
    await disconnect(gate, stream=True)
    got = await gate.asks("third", session="one")

    assert got.state == "continued"
    assert [said for said in shown(gate.model.requests[-1]) if said in {"first", HI, "third"}] == ["first", "third"]


async def test_a_waiting_request_of_a_disconnected_client_is_dropped(gate: GatewayStage) -> None:
    """Its question never reaches the model, and the requests behind it are answered."""
    hold = gate.hold_model()
    asking = [asyncio.create_task(gate.asks(said, session="one")) for said in ("first", "second", "third")]
    await hold.reached()
    asking[1].cancel()
    await asyncio.gather(asking[1], return_exceptions=True)
    hold.release()

    assert [(await asking[0]).status, (await asking[2]).status] == [200, 200]
    assert [shown(request)[-1] for request in gate.model.requests] == ["first", "third"]


async def test_a_request_that_waits_too_long_gets_a_409(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """The 409 says that the session is busy and has Retry-After. The first request is answered."""
    async with opened(empty_sqlite_url, reciter, clock, gateway_wait_seconds=0.1) as gate:
        hold = gate.hold_model()
        first = asyncio.create_task(gate.asks("first", session="one"))
        await hold.reached()
        got = await gate.asks("second", session="one")
        hold.release()

        assert (got.status, got.error["code"], int(got.headers["retry-after"]) > 0) == (409, "session_busy", True)
        assert (await first).status == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_a_reset_ends_the_answer_that_is_running(gate: GatewayStage, *, stream: bool) -> None:
    """Its client gets an error, and nothing of the answer is stored."""
    hold = gate.hold_model("Try ")
    asking = asyncio.create_task(gate.asks(HI, session="one", stream=stream))
    await hold.reached()
    deleted = await gate.calls("DELETE", "/v1/sessions/one")
    got = await asking

    error = got.events[-1]["error"] if stream else got.error
    assert (deleted.status, deleted.body["deleted"]) == (200, True)
    assert error["code"] == "session_reset"
    assert (await gate.asks("hello", session="one")).state == "created"
    assert shown(gate.model.requests[-1]) == ["hello"]


async def test_a_dead_process_leaves_nothing(gate: GatewayStage) -> None:
    """Its lease expires. The next request removes its turn, and its late answer changes nothing."""
    await gate.asks("first", session="one")
    hold = gate.hold_model()
    dying = asyncio.create_task(gate.asks(HI, session="one"))
    await hold.reached()
    await lapse(gate.services.store)
    async with opened(gate.settings.database_url.get_secret_value(), gate.model, gate.clock) as other:
        got = await other.asks("third", session="one", headers={"Authorization": f"Bearer {gate.key}"})
    hold.release()

    late = await dying
    assert (got.state, late.status, late.error["code"]) == ("continued", 503, "session_lost")
    assert int(late.headers["retry-after"]) > 0
    assert [said for said in shown(gate.model.requests[-1]) if said in {"first", HI, "third"}] == ["first", "third"]
    assert await gate.turns("one") == 2


async def test_the_turn_of_a_dead_process_expires(gate: GatewayStage) -> None:
    """Without another request in the session, the sweep removes the turn and its text."""
    hold = gate.hold_model()
    dying = asyncio.create_task(gate.asks(HI, session="one"))
    await hold.reached()
    await lapse(gate.services.store)
    await gate.services.scheduler.expire()
    rows = await gate.services.store.run(lambda found: found.execute(sa.select(tables.MESSAGES)).all())

    assert rows == []
    hold.release()
    await dying


async def test_two_replicas_answer_one_after_the_other(
    database_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """The second replica waits for the lease of the first. Its request sees the first answer, on both databases."""
    async with opened(database_url, reciter, clock) as here, opened(database_url, reciter, clock) as there:
        hold = here.hold_model()
        first = asyncio.create_task(here.asks(HI, session="one"))
        await hold.reached()
        second = asyncio.create_task(
            there.asks("second", session="one", headers={"Authorization": f"Bearer {here.key}"})
        )
        await there.until(lambda: there.services.chat_service.running == 1)
        hold.release()

        assert ((await first).state, (await second).state) == ("created", "continued")
        assert shown(reciter.requests[-1]) == [HI, "a held answer", "second"]
