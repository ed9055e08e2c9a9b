"""Sessions over HTTP: a header names them, each key has its own, and repeated history is stored once."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from datetime import timedelta
from typing import Any

import pytest
import requests
from sqlalchemy import Connection, Table

from bot.cli import admin
from bot.store.tables import SESSIONS, THREADS, TURNS
from bot.testing import SettableClock
from tests.support.gateway_stage import GatewayStage, opened
from tests.support.openai_server import OpenAIServer
from tests.support.room import shown
from tests.support.slack_inbound_stage import json_log

ROWS = (THREADS, SESSIONS, TURNS)
ALICE = "My name is Alice"
WHO = "What's my name?"
SPELLINGS = ["sessionId", "SESSIONID", "session-id", "x-session-id", "session_id", "Session_Id"]
PATHS = ["/v1/chat/completions", "/v1", "/api/publicLLM/chat/completions", "/api/publicLLM"]


def user(text: str) -> dict[str, str]:
    """Return a question."""
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    """Return an answer, as a client sends it back."""
    return {"role": "assistant", "content": text}


def last_shown(gate: GatewayStage) -> list[str]:
    """Return the messages of the model's last request, without the persona."""
    return shown(gate.model.requests[-1])


@pytest.mark.parametrize("header", SPELLINGS)
@pytest.mark.parametrize("path", PATHS)
async def test_a_header_names_the_session(gate: GatewayStage, header: str, path: str) -> None:
    """The header works in each spelling and on each path. Another id is another session."""
    for session, text in (("one", ALICE), ("one", WHO), ("two", WHO)):
        got = await gate.posts({"messages": [user(text)]}, {header: session}, path)

        assert (got.status, got.headers["x-session-id"]) == (200, session)
    assert [ALICE in shown(request) for request in gate.model.requests] == [True, True, False]


async def test_without_a_header_nothing_is_remembered(gate: GatewayStage) -> None:
    """The model sees only the messages of the request, and the response names no session."""
    await gate.asks(ALICE)
    got = await gate.asks(WHO)

    assert not {"x-session-id", "x-session-state"} & set(got.headers)
    assert last_shown(gate) == [WHO]
    assert await admin.open_sessions(gate.settings, 10) == []


async def test_the_response_has_the_state_of_the_session(gate: GatewayStage) -> None:
    """A session is created, continued, created again after a reset, or expired. Its expiry erases its text."""
    states = [(await gate.asks(ALICE, session="one")).state, (await gate.asks(WHO, session="one")).state]
    await gate.calls("DELETE", "/v1/sessions/one")
    states.append((await gate.asks(ALICE, session="one")).state)
    gate.clock.advance(timedelta(hours=25))
    states.append((await gate.asks(WHO, session="one")).state)

    assert [*states, (await gate.asks(WHO, session="one")).state] == [
        *("created", "continued", "created", "expired", "continued")
    ]
    assert last_shown(gate)[0] == WHO


async def test_the_same_id_under_another_key_is_another_session(gate: GatewayStage) -> None:
    """The other key cannot read it, reset it, or find out that it exists."""
    await gate.asks(ALICE, session="one")
    stranger = {"Authorization": f"Bearer {await gate.another_key()}"}

    assert (await gate.calls("GET", "/v1/sessions/one", headers=stranger)).status == 404
    assert (await gate.calls("DELETE", "/v1/sessions/one", headers=stranger)).status == 404
    assert (await gate.asks(WHO, session="one", headers=stranger)).state == "created"
    assert last_shown(gate) == [WHO]
    assert await gate.turns("one") == 1


async def test_a_session_is_described_without_its_text(gate: GatewayStage) -> None:
    """The description has only the times of creation, last activity and expiry, and the number of turns."""
    await gate.asks(ALICE, session="a/b c")
    now = int(gate.clock.now().timestamp())
    gate.clock.advance(timedelta(minutes=1))
    await gate.asks(WHO, session="a/b c")
    got = await gate.calls("GET", "/v1/sessions/a%2Fb%20c")

    active = {"last_active": now + 60, "expires_at": now + 60 + 24 * 3600}
    assert got.body == {"id": "a/b c", "object": "session", "created": now, "turns": 2, **active}


async def test_an_expired_session_is_not_found(gate: GatewayStage) -> None:
    """It cannot be reset either, even before the sweep closes it. The next request reports the expiry."""
    await gate.asks(ALICE, session="one")
    gate.clock.advance(timedelta(hours=25))

    for method in ("GET", "DELETE"):
        assert (await gate.calls(method, "/v1/sessions/one")).error["code"] == "session_not_found"
    assert (await gate.asks(WHO, session="one")).state == "expired"


async def test_an_id_is_the_same_in_latin_1_and_in_utf_8(gate: GatewayStage) -> None:
    """The requests library and fetch send Latin-1, and curl sends UTF-8. A path is in UTF-8."""
    url, auth = f"{gate.address}/v1", {"Authorization": f"Bearer {gate.key}"}
    states = []
    for session in ("José".encode("latin-1"), "José".encode()):
        asking: dict[str, Any] = {
            "headers": {**auth, "sessionId": session},
            "json": {"messages": [user("hi")]},
            "timeout": 20,
        }
        got = await asyncio.to_thread(requests.post, url, **asking)
        states.append((got.status_code, got.headers.get("x-session-state")))

    assert states == [(200, "created"), (200, "continued")]
    assert (await gate.calls("GET", "/v1/sessions/José")).body["turns"] == 2


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"sessionId": "x" * 201}, None),
        ({"sessionId": " "}, None),
        ({"sessionId": "a\tb"}, None),
        ({"sessionId": "one", "x-session-id": "two"}, "conflicting_session_ids"),
    ],
)
async def test_an_invalid_session_id_is_refused(gate: GatewayStage, headers: dict[str, str], code: str | None) -> None:
    """An id that is too long, empty or unprintable is refused, and so are two different ids."""
    got = await gate.asks(ALICE, headers=headers)

    assert (got.status, got.error["param"], got.error["code"]) == (400, "sessionId", code)


@pytest.mark.parametrize("session", ["x" * 200, "Ünïcode, 日本語", "00000000-0000-4000-8000-000000000000", "'; --"])
async def test_any_printable_session_id_is_accepted(gate: GatewayStage, session: str) -> None:
    """An id may have up to 200 characters. Two headers with the same id are accepted."""
    await gate.asks(ALICE, headers={"sessionId": session, "x-session-id": session})
    got = await gate.asks(WHO, session=session)

    assert (got.state, got.headers["x-session-id"]) == ("continued", session)


async def test_a_client_that_resends_the_history_does_not_double_it(gate: GatewayStage) -> None:
    """The client may resend the whole history, only its end, or trimmed answers."""
    first = (await gate.asks(ALICE, session="one")).text
    second = (await gate.asks(user(ALICE), assistant(first), user("And?"), session="one")).text
    await gate.asks(user("And?"), assistant(f" {second[:10]}"), user(WHO), session="one")

    assert last_shown(gate) == [ALICE, first, "And?", second, WHO]
    assert await gate.turns("one") == 3


async def test_messages_that_the_session_lacks_are_added_once(gate: GatewayStage) -> None:
    """A client may send an earlier conversation, even one that begins with a greeting. It is stored once."""
    earlier = [assistant("Hello!"), user(ALICE), assistant("Hi Alice")]
    got = await gate.asks(*earlier, user("one"), session="new")
    last = await gate.asks(*earlier, user("one"), assistant(got.text), user("two"), session="new")

    assert (got.state, last.state) == ("created", "continued")
    assert last_shown(gate)[1:] == ["Hello!", ALICE, "Hi Alice", "one", got.text, "two"]


async def test_a_turn_of_another_client_is_kept(gate: GatewayStage) -> None:
    """A client that resends its own history without that turn does not remove it."""
    first = (await gate.asks(ALICE, session="one")).text
    other = (await gate.asks("elsewhere", session="one")).text
    await gate.asks(user(ALICE), assistant(first), user(WHO), session="one")

    assert last_shown(gate) == [ALICE, first, "elsewhere", other, WHO]


async def test_a_system_message_adds_to_the_persona(gate: GatewayStage) -> None:
    """It follows the persona in the same message and holds for one request, in a session or not."""
    for session in ("one", None):
        await gate.asks({"role": "system", "content": "Answer in French."}, user(ALICE), session=session)
        system, *_ = gate.model.requests[-1].texts

        assert system.endswith("\n\nAnswer in French.")
        assert [message["role"] for message in gate.model.requests[-1].body["messages"]].count("system") == 1
    await gate.asks(WHO, session="one")
    assert "French" not in "".join(gate.model.requests[-1].texts)


async def test_several_new_messages_are_one_turn(gate: GatewayStage) -> None:
    """The model gives one answer to them, and the session stores them in their order."""
    await gate.asks("first", "second", session="one")

    assert last_shown(gate) == ["first\n\nsecond"]
    assert await gate.turns("one") == 1


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "Be kind."}],
        [user("a"), assistant("b")],
        [{"role": "tool", "content": "42", "tool_call_id": "c"}],
        [{"role": "user", "content": "a", "name": "ana"}],
    ],
)
async def test_a_request_without_a_new_question_is_refused(gate: GatewayStage, messages: list[dict[str, str]]) -> None:
    """A user's message must follow the last answer. It has no name, because sessions store none. Nothing is stored."""
    got = await gate.asks(*messages, session="one")

    assert (got.status, got.error["type"]) == (400, "invalid_request_error")
    assert got.error["param"].startswith("messages")
    assert await gate.turns("one") == 0


async def test_two_requests_of_one_session_are_answered_one_after_the_other(gate: GatewayStage) -> None:
    """The second request sees the first answer. A request of another session does not wait."""
    hold = gate.hold_model("Hi")
    first = asyncio.create_task(gate.asks(ALICE, session="one"))
    await hold.reached()
    second = asyncio.create_task(gate.asks(WHO, session="one"))
    assert (await gate.asks(WHO, session="two")).status == 200

    hold.release()
    assert ((await first).state, (await second).state) == ("created", "continued")
    assert last_shown(gate) == [ALICE, "Hia held answer", WHO]


async def test_a_key_with_too_much_stored_text_is_told_how_to_make_room(
    empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock
) -> None:
    """Beyond GATEWAY_STORED_MB_PER_KEY a request is refused and nothing is stored. A reset makes room at once."""
    more = {"gateway_stored_mb_per_key": 1, "model_window_tokens": 1_000_000, "history_tokens": 500_000}
    async with opened(empty_sqlite_url, reciter, clock, **more) as gate:
        large = "x" * 200_000  # the model recites it
        for session in ("one", "two"):
            assert (await gate.asks(large, session=session)).status == 200
        refused = await gate.asks(large, session="three")
        stranger = {"Authorization": f"Bearer {await gate.another_key()}"}

        assert (refused.status, refused.error["code"]) == (403, "storage_limit_reached")
        assert "hold 1 MB of text, which is the limit" in refused.error["message"]
        assert "DELETE …/sessions/{id}" in refused.error["message"]
        assert (await gate.asks("still answered")).status == 200
        assert (await gate.asks(large, session="three", headers=stranger)).state == "created"
        await gate.calls("DELETE", "/v1/sessions/one")
        assert (await gate.asks(large, session="three")).state == "created"


def rows_of(connection: Connection, table: Table) -> list[Any]:
    """Return all rows of a table."""
    return [*connection.execute(table.select())]


async def test_a_sessions_name_cannot_be_guessed_from_the_log_or_the_rows(
    gate: GatewayStage, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither holds the name, or a hash that somebody without the installation's secret can compute."""
    caplog.set_level(logging.DEBUG)
    names = ["customer-4711", "order-1"]
    for _ in range(2):
        await gate.posts({"messages": [user(ALICE)]}, {"sessionId": names[0], "Idempotency-Key": names[1]}, "/v1")
    await gate.posts({"messages": [user(ALICE)]}, {"Idempotency-Key": names[1]}, "/v1")
    tables = [await gate.services.store.run(rows_of, table) for table in ROWS]
    kept = json_log(caplog) + repr(tables)

    assert len(gate.model.requests) == 2  # the repetition was found by its key
    for name in names:
        guesses = [hashlib.new(kind, name.encode()).hexdigest() for kind in ("md5", "sha1", "sha256", "sha512")]
        assert not [guess for guess in [name, *guesses] if guess in kept]
