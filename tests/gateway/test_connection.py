"""How requests end before their time: clients that go away, sessions that are reset, repeated names, lost processes."""

from __future__ import annotations

import asyncio
import socket

import pytest
import sqlalchemy as sa

from bot.store import tables
from bot.testing import SettableClock
from tests.support.gateway_stage import Gate, opened
from tests.support.openai_server import Forever, OpenAIServer, Says, delta, event, says
from tests.support.room import shown
from tests.support.store_driver import lapse

HI = "My VPN is down"


async def left(gate: Gate, *, stream: bool) -> None:
    """Ask, and go away in the middle of the answer; return when nothing runs any more."""
    hold = gate.hold_model("Try ")
    asking = asyncio.create_task(gate.asks(HI, session="one", stream=stream))
    await hold.reached()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await asyncio.wait_for(gate.model.disconnected.wait(), 20)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_leaves_nothing(gate: Gate, *, stream: bool) -> None:
    """The model's stream ends, and the next request is as if there had been none before."""
    await left(gate, stream=stream)
    got = await gate.asks("hello", session="one")

    assert (got.state, shown(gate.model.requests[-1])) == ("created", ["hello"])
    assert await gate.turns("one") == 1


async def test_a_client_that_goes_away_leaves_what_was_there_before(gate: Gate) -> None:
    """Only the turn that was not finished is withdrawn; what it waited for goes on."""
    await gate.asks("first", session="one")
    await left(gate, stream=True)
    got = await gate.asks("third", session="one")

    assert got.state == "continued"
    assert [said for said in shown(gate.model.requests[-1]) if said in {"first", HI, "third"}] == ["first", "third"]


async def test_one_that_waits_and_goes_away_is_not_asked_for(gate: Gate) -> None:
    """Its question never reaches the model, and those behind it are answered."""
    hold = gate.hold_model()
    asking = [asyncio.create_task(gate.asks(said, session="one")) for said in ("first", "second", "third")]
    await hold.reached()
    asking[1].cancel()
    await asyncio.gather(asking[1], return_exceptions=True)
    hold.release()

    assert [(await asking[0]).status, (await asking[2]).status] == [200, 200]
    assert [shown(request)[-1] for request in gate.model.requests] == ["first", "third"]


async def test_a_client_that_reads_nothing_is_gone(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """Its answer ends, and its session is free."""
    async with opened(empty_sqlite_url, reciter, clock, gateway_client_timeout_seconds=0.2) as gate:
        reciter.script(Says((Forever(event(delta("w"))),)))
        with deaf(gate) as client:
            await asyncio.get_running_loop().sock_sendall(client, _request(gate))
            await asyncio.wait_for(reciter.disconnected.wait(), 20)
        assert (await gate.asks("hello", session="one")).state == "created"


async def test_a_client_that_only_asks_is_left(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """Who reads no answer is not waited for, whatever was asked: it needs no key for the document."""
    async with opened(empty_sqlite_url, reciter, clock, gateway_client_timeout_seconds=0.2) as gate:
        with deaf(gate) as client, pytest.raises(ConnectionError):
            await asyncio.wait_for(_ask_on(client), 20)


async def test_who_waits_for_too_long_is_told(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """409 with Retry-After, for the session is busy; the one before is answered."""
    async with opened(empty_sqlite_url, reciter, clock, gateway_wait_seconds=0.1) as gate:
        hold = gate.hold_model()
        first = asyncio.create_task(gate.asks("first", session="one"))
        await hold.reached()
        got = await gate.asks("second", session="one")
        hold.release()

        assert (got.status, got.error["code"], int(got.headers["retry-after"]) > 0) == (409, "session_busy", True)
        assert (await first).status == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_a_reset_ends_the_answer_that_is_running(gate: Gate, *, stream: bool) -> None:
    """Whoever waits for it is told; nothing of it is left."""
    hold = gate.hold_model("Try ")
    asking = asyncio.create_task(gate.asks(HI, session="one", stream=stream))
    await hold.reached()
    deleted = await gate.calls("DELETE", "/v1/sessions/one")
    got = await asking

    told = got.events[-1]["error"] if stream else got.error
    assert (deleted.status, deleted.body["deleted"]) == (200, True)
    assert told["code"] == "session_reset"
    assert (await gate.asks("hello", session="one")).state == "created"
    assert shown(gate.model.requests[-1]) == ["hello"]


@pytest.mark.parametrize("session", ["one", None])
@pytest.mark.parametrize("streams", [(False, False), (False, True), (True, False)])
async def test_a_repeated_request_has_the_same_answer(
    gate: Gate, session: str | None, streams: tuple[bool, bool]
) -> None:
    """Of the same name, in a session or not, streamed or not: the model is asked once."""
    gate.model.script(says("Try ", "again."))
    first, again = [await gate.asks(HI, session=session, headers=named("a"), stream=stream) for stream in streams]
    ids = [got.events[0]["id"] if got.events else got.body["id"] for got in (first, again)]

    assert (again.text, ids[0], again.state) == ("Try again.", ids[1], first.state)
    assert len(gate.model.requests) == 1
    assert await gate.turns("one") == (1 if session else 0)


@pytest.mark.parametrize("session", ["one", None])
async def test_a_repeated_request_costs_the_same(gate: Gate, session: str | None) -> None:
    """Also where the backend tells no usage: the estimate is kept, and it is no other the next time."""
    gate.model.script(Says(says("Try ", "again.").steps, usage=None))
    first, again = [(await gate.asks(HI, session=session, headers=named("a"))).body["usage"] for _ in range(2)]

    assert first == again
    assert first["completion_tokens"] > 0


async def test_a_null_is_as_if_it_had_not_been_sent(gate: Gate) -> None:
    """A request is repeated by one that says the same at greater length."""
    first = await gate.asks(HI, session="one", headers=named("a"))
    again = await gate.asks(HI, session="one", headers=named("a"), temperature=None, metadata=None)

    assert (again.status, again.text) == (200, first.text)
    assert len(gate.model.requests) == 1


async def test_what_may_call_tools_cannot_be_named(gate: Gate) -> None:
    """An answer that calls tools is not kept: the pair is refused, by name, and the model is not asked."""
    tools = [{"type": "function", "function": {"name": "look_up"}}]
    got = await gate.asks(HI, session="one", headers=named("a"), tools=tools)

    assert (got.status, got.error["param"], got.error["code"]) == (400, "tools", "unsupported_parameter")
    assert "Idempotency-Key" in got.error["message"]
    assert not gate.model.requests


async def test_a_repeated_request_that_still_runs_is_waited_for(gate: Gate) -> None:
    """A client that lost patience asks again while the first is being answered: one answer for both."""
    hold = gate.hold_model()
    asking = [asyncio.create_task(gate.asks(HI, headers=named("a"))) for _ in range(2)]
    await hold.reached()
    hold.release()

    assert [(await each).text for each in asking] == ["a held answer"] * 2
    assert len(gate.model.requests) == 1


async def test_a_repeated_name_for_something_else_is_refused(gate: Gate) -> None:
    """It is a mistake of the client's; under another key, in another session, or with no name it is another request."""
    await gate.asks(HI, session="one", headers=named("a"))
    got = await gate.asks("other", session="one", headers=named("a"))
    key = {"Authorization": f"Bearer {await gate.another_key()}"}

    assert (got.status, got.error["param"], got.error["code"]) == (400, "Idempotency-Key", "idempotency_key_reused")
    for headers, session in ((named("a") | key, "one"), (named("a"), "two"), ({}, "one"), (named("b"), "one")):
        assert (await gate.asks("other", session=session, headers=headers)).status == 200
    assert len(gate.model.requests) == 5


async def test_what_failed_is_not_repeated(gate: Gate) -> None:
    """A request of the same name is asked anew; so it is after a reset."""
    gate.model.script(*[says()] * 2, says("first"), says("second"))
    failed = await gate.asks(HI, session="one", headers=named("a"))
    first = await gate.asks(HI, session="one", headers=named("a"))
    await gate.calls("DELETE", "/v1/sessions/one")
    second = await gate.asks(HI, session="one", headers=named("a"))

    assert (failed.status, first.text, second.text) == (502, "first", "second")


async def test_a_process_that_died_leaves_nothing(gate: Gate) -> None:
    """Its lease runs out; the next request withdraws what it left, and its late answer changes nothing."""
    await gate.asks("first", session="one")
    hold = gate.hold_model()
    dying = asyncio.create_task(gate.asks(HI, session="one"))
    await hold.reached()
    await lapse(gate.services.store)
    async with opened(gate.settings.database_url, gate.model, gate.clock) as other:
        got = await other.asks("third", session="one", headers={"Authorization": f"Bearer {gate.key}"})
    hold.release()

    late = await dying
    assert (got.state, late.status, late.error["code"]) == ("continued", 503, "session_lost")
    assert int(late.headers["retry-after"]) > 0
    assert [said for said in shown(gate.model.requests[-1]) if said in {"first", HI, "third"}] == ["first", "third"]
    assert await gate.turns("one") == 2


async def test_what_a_dead_process_left_expires(gate: Gate) -> None:
    """Also when nobody ever asks again in that session: the sweep withdraws the turn, and no words stay."""
    hold = gate.hold_model()
    dying = asyncio.create_task(gate.asks(HI, session="one"))
    await hold.reached()
    await lapse(gate.services.store)
    await gate.services.scheduler.expire()
    rows = await gate.services.store.run(lambda found: found.execute(sa.select(tables.messages)).all())

    assert rows == []
    hold.release()
    await dying


async def test_two_replicas_answer_one_after_the_other(
    database_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """The second waits for the first one's lease, and sees its answer. On both databases."""
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


def named(name: str) -> dict[str, str]:
    """The header that names a request."""
    return {"Idempotency-Key": name}


class deaf:  # noqa: N801 - reads as a statement
    """A client that reads nothing, inside the block."""

    def __init__(self, gate: Gate) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self._socket.connect(("127.0.0.1", int(gate.address.rpartition(":")[2])))
        self._socket.setblocking(False)

    def __enter__(self) -> socket.socket:
        return self._socket

    def __exit__(self, *_: object) -> None:
        self._socket.close()


async def _ask_on(client: socket.socket) -> None:
    while True:
        asked = b"GET /v1/openapi.json HTTP/1.1\r\nHost: here\r\n\r\n"
        await asyncio.get_running_loop().sock_sendall(client, asked)


def _request(gate: Gate) -> bytes:
    body = b'{"stream": true, "messages": [{"role": "user", "content": "hi"}]}'
    head = f"Authorization: Bearer {gate.key}\r\nsessionId: one\r\nContent-Type: application/json\r\n"
    return f"POST /v1 HTTP/1.1\r\nHost: here\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
