"""Socket Mode in the playground, by Slack's own client."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.request import SocketModeRequest

from bot.playground.delivery.delivery import Delivery
from bot.playground.server import PlaygroundServer
from tests.support.playground_stage import Clock, client_of, connected, make_workspace, served

QUICK = {"ack_within_s": 0.05, "retry_after_s": (0.0, 0.01, 0.01)}


def say(server: PlaygroundServer, text: str = "hi") -> None:
    workspace = server.workspace
    workspace.post(workspace.person("ana"), workspace.channel("help-desk"), text)


def all_done(server: PlaygroundServer) -> bool:
    return all(delivery.done for delivery in server.deliveries.all())


def tries(delivery: Delivery) -> list[tuple[int, str | None, str | None]]:
    return [(attempt.number, attempt.retry_reason, attempt.failure) for attempt in delivery.attempts]


async def test_an_event_is_delivered_and_acknowledged() -> None:
    """An event reaches a connected client once, and its acknowledgement is recorded with its time."""
    clock = Clock()
    seen: list[SocketModeRequest] = []
    async with served(make_workspace(clock)) as server, connected(server, seen.append):
        say(server)
        await server.workspace.until(lambda: all_done(server))

        (delivery,) = server.deliveries.events("message", text="hi")
        assert delivery.attempts[0].acked_at == clock.now
        assert [(request.type, request.payload) for request in seen] == [("events_api", delivery.payload)]
        assert (seen[0].retry_attempt, seen[0].accepts_response_payload) == (0, False)


async def test_silence_is_answered_by_three_more_deliveries() -> None:
    """An event that nobody acknowledges is delivered four times in all, each with its number and reason."""
    seen: list[SocketModeRequest] = []
    async with served(make_workspace(), **QUICK) as server, connected(server, seen.append):
        server.faults.drop_acks(4)
        say(server)
        await server.workspace.until(lambda: all_done(server))

        assert [(request.retry_attempt, request.retry_reason) for request in seen] == [
            (0, ""),
            (1, "timeout"),
            (2, "timeout"),
            (3, "timeout"),
        ]
        assert len({request.envelope_id for request in seen}) == 4
        assert len({request.payload["event_id"] for request in seen}) == 1


async def test_an_acknowledgement_ends_the_deliveries() -> None:
    """As soon as a delivery is acknowledged, there is no other."""
    async with served(make_workspace(), **QUICK) as server, connected(server):
        server.faults.drop_acks(1)
        say(server)
        await server.workspace.until(lambda: all_done(server))

        assert tries(server.deliveries.all()[0]) == [(0, None, "timeout"), (1, "timeout", None)]


async def test_events_wait_for_a_connection() -> None:
    """What happens while nothing is connected is delivered again later, to whoever is there then."""
    async with served(make_workspace(), ack_within_s=1.0, retry_after_s=(0.0, 0.2)) as server:
        say(server)
        await server.workspace.until(lambda: len(server.deliveries.all()[0].attempts) == 2)
        async with connected(server):
            await server.workspace.until(lambda: all_done(server))

        assert [failure for *_, failure in tries(server.deliveries.all()[0])] == ["connection_failed"] * 2 + [None]


async def test_a_closed_connection_hands_its_events_on() -> None:
    """An event that was on its way when the connection closed is delivered over the next one."""
    async with served(make_workspace(), retry_after_s=(0.0, 0.2, 0.2)) as server, aiohttp.ClientSession() as session:
        answer = await client_of(server).apps_connections_open(app_token=server.workspace.app.app_token)
        async with session.ws_connect(answer["url"]) as socket:
            await socket.receive_json()  # hello
            say(server)
            taken = await socket.receive_json()
        async with connected(server):
            await server.workspace.until(lambda: all_done(server))

        (delivery,) = server.deliveries.all()
        assert taken["payload"] == delivery.payload
        assert delivery.acknowledged
        assert {attempt.failure for attempt in delivery.attempts} == {"connection_failed", None}


async def test_each_payload_goes_to_one_connection() -> None:
    """Of several connections each gets some events, and none comes twice."""
    first: list[SocketModeRequest] = []
    second: list[SocketModeRequest] = []
    async with (
        served(make_workspace()) as server,
        connected(server, first.append),
        connected(server, second.append),
    ):
        for number in range(20):
            say(server, str(number))
        await server.workspace.until(lambda: all_done(server))

        assert first
        assert second
        assert len({request.payload["event_id"] for request in first + second}) == len(first + second) == 20


async def test_refresh_is_followed_by_a_new_connection() -> None:
    """Asked to refresh, a client connects anew and events go on."""
    async with served(make_workspace(), retry_after_s=(0.05, 0.05)) as server, connected(server) as client:
        before = client.wss_uri
        await server.sockets.refresh()
        await server.workspace.until(lambda: len(server.calls.of("apps.connections.open")) == 2)
        say(server)
        await server.workspace.until(lambda: all_done(server))

        assert client.wss_uri != before
        assert server.deliveries.all()[0].acknowledged


async def test_the_page_knows_whether_the_app_is_there() -> None:
    """The workspace is connected while at least one connection is open."""
    async with served(make_workspace()) as server:
        workspace = server.workspace
        async with connected(server):
            assert workspace.connected
        await workspace.until(lambda: not workspace.connected)


async def test_a_bad_app_token_opens_nothing() -> None:
    """apps.connections.open takes the app token only, and an address works once."""
    async with served(make_workspace()) as server:
        with pytest.raises(SlackApiError, match="not_allowed_token_type"):
            await client_of(server).apps_connections_open(app_token=server.workspace.app.bot_token)
        answer = await client_of(server).apps_connections_open(app_token=server.workspace.app.app_token)
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(answer["url"]) as socket:
                assert (await socket.receive_json())["type"] == "hello"
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(answer["url"])


async def test_no_more_than_ten_connections() -> None:
    """The eleventh connection is told that there are too many."""
    async with served(make_workspace()) as server, aiohttp.ClientSession() as session:
        sockets = []
        for _ in range(11):
            answer = await client_of(server).apps_connections_open(app_token=server.workspace.app.app_token)
            sockets.append(await session.ws_connect(answer["url"]))
        told = [await socket.receive_json() for socket in sockets]

        assert [hello["type"] for hello in told[:10]] == ["hello"] * 10
        assert told[10]["reason"] == "too_many_websockets"


async def test_a_command_is_answered_with_its_acknowledgement() -> None:
    """What comes with a slash command's acknowledgement is shown to the person who gave it."""
    async with served(make_workspace()) as server, connected(server, lambda _: {"text": "Done."}):
        workspace = server.workspace
        ana, desk = workspace.person("ana"), workspace.channel("help-desk")
        workspace.interactions.command(ana, desk, "/reset", "all")
        await workspace.until(lambda: bool(workspace.ephemerals(ana, desk)))

        assert [message.text for message in workspace.ephemerals(ana, desk)] == ["Done."]
        assert server.deliveries.all()[0].payload["text"] == "all"


async def test_an_unanswered_command_is_told_to_the_person() -> None:
    """A slash command that is not acknowledged is not sent again; the person reads that it failed."""
    async with served(make_workspace(), **QUICK) as server, connected(server):
        server.faults.drop_acks(1)
        workspace = server.workspace
        ana, desk = workspace.person("ana"), workspace.channel("help-desk")
        workspace.interactions.command(ana, desk, "/reset")
        await workspace.until(lambda: all_done(server))

        assert [m.text for m in workspace.ephemerals(ana, desk)] == ['/reset failed with the error "operation_timeout"']
        assert len(server.deliveries.all()[0].attempts) == 1


async def test_a_button_is_answered_on_its_response_url() -> None:
    """A pressed button's payload leads to a response URL, over which the list is replaced."""
    pressed: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    async with (
        served(make_workspace()) as server,
        connected(server, lambda request: pressed.set_result(request.payload)),
        aiohttp.ClientSession() as session,
    ):
        workspace = server.workspace
        ana, desk = workspace.person("ana"), workspace.channel("help-desk")
        button = {"type": "button", "action_id": "pick", "text": {"type": "plain_text", "text": "Pick"}}
        blocks = [{"type": "actions", "elements": [button]}]
        await client_of(server).chat_postEphemeral(channel=desk.id, user=ana.id, text="Which?", blocks=blocks)
        workspace.interactions.press(ana, workspace.ephemerals(ana, desk)[0], "pick")
        answer = {"text": "Done.", "replace_original": True}
        async with session.post((await pressed)["response_url"], json=answer) as response:
            assert response.status == 200

        assert [message.text for message in workspace.ephemerals(ana, desk)] == ["Done."]


async def test_events_can_be_delivered_again() -> None:
    """A replay hours later brings the same event, with its own event id where that is asked for."""
    async with served(make_workspace()) as server, connected(server):
        say(server)
        await server.workspace.until(lambda: all_done(server))
        (first,) = server.deliveries.all()
        same, new = server.deliveries.redeliver(first), server.deliveries.redeliver(first, new_event_id=True)
        await server.workspace.until(lambda: all_done(server))

        assert same.payload == first.payload
        assert new.event == first.event
        assert new.payload["event_id"] != first.payload["event_id"]
