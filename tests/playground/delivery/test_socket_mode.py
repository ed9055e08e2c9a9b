"""Tests of Socket Mode with Slack's own client."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.request import SocketModeRequest

from bot.playground.delivery.delivery import Delivery
from bot.playground.playground_server import PlaygroundServer
from tests.support.playground_stage import Clock, client_of, connected, make_workspace, served

QUICK = {"ack_within_s": 0.05, "retry_after_s": (0.0, 0.01, 0.01)}


def post(server: PlaygroundServer, text: str = "hi") -> None:
    workspace = server.workspace
    workspace.post(workspace.person("ana"), workspace.channel("help-desk"), text)


def all_done(server: PlaygroundServer) -> bool:
    return all(delivery.done for delivery in server.deliveries.all())


def attempts(delivery: Delivery) -> list[tuple[int, str | None, str | None]]:
    return [(attempt.number, attempt.retry_reason, attempt.failure) for attempt in delivery.attempts]


async def test_an_event_is_delivered_and_acknowledged() -> None:
    """A connected client gets an event once, and the time of its acknowledgement is recorded."""
    clock = Clock()
    seen: list[SocketModeRequest] = []
    async with served(make_workspace(clock)) as server, connected(server, seen.append):
        post(server)
        await server.workspace.until(lambda: all_done(server))

        (delivery,) = server.deliveries.events("message", text="hi")
        assert delivery.attempts[0].acked_at == clock.now
        assert [(request.type, request.payload) for request in seen] == [("events_api", delivery.payload)]
        assert (seen[0].retry_attempt, seen[0].accepts_response_payload) == (0, False)


async def test_an_unacknowledged_event_is_retried_three_times() -> None:
    """An event without acknowledgement is sent four times, each time with its number and retry reason."""
    seen: list[SocketModeRequest] = []
    async with served(make_workspace(), **QUICK) as server, connected(server, seen.append):
        server.faults.drop_acks(4)
        post(server)
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
    """An acknowledged event is not sent again."""
    async with served(make_workspace(), **QUICK) as server, connected(server):
        server.faults.drop_acks(1)
        post(server)
        await server.workspace.until(lambda: all_done(server))

        assert attempts(server.deliveries.all()[0]) == [(0, None, "timeout"), (1, "timeout", None)]


async def test_events_wait_for_a_connection() -> None:
    """An event that happens without a connection is retried until there is one."""
    async with served(make_workspace(), ack_within_s=1.0, retry_after_s=(0.0, 0.2)) as server:
        post(server)
        await server.workspace.until(lambda: len(server.deliveries.all()[0].attempts) == 2)
        async with connected(server):
            await server.workspace.until(lambda: all_done(server))

        assert [failure for *_, failure in attempts(server.deliveries.all()[0])] == ["connection_failed"] * 2 + [None]


async def test_a_closed_connection_hands_its_events_on() -> None:
    """An event that was pending on a closed connection is delivered over the next one."""
    async with served(make_workspace(), retry_after_s=(0.0, 0.2, 0.2)) as server, aiohttp.ClientSession() as session:
        opened = await client_of(server).apps_connections_open(app_token=server.workspace.app.app_token)
        async with session.ws_connect(opened["url"]) as socket:
            await socket.receive_json()  # hello
            post(server)
            envelope = await socket.receive_json()
        async with connected(server):
            await server.workspace.until(lambda: all_done(server))

        (delivery,) = server.deliveries.all()
        assert envelope["payload"] == delivery.payload
        assert delivery.acknowledged
        assert {attempt.failure for attempt in delivery.attempts} == {"connection_failed", None}


async def test_each_payload_goes_to_one_connection() -> None:
    """Of several connections each gets some events, and no event is sent twice."""
    first: list[SocketModeRequest] = []
    second: list[SocketModeRequest] = []
    async with (
        served(make_workspace()) as server,
        connected(server, first.append),
        connected(server, second.append),
    ):
        for number in range(20):
            post(server, str(number))
        await server.workspace.until(lambda: all_done(server))

        assert first
        assert second
        assert len({request.payload["event_id"] for request in first + second}) == len(first + second) == 20


async def test_refresh_is_followed_by_a_new_connection() -> None:
    """A client that is asked to refresh reconnects, and events continue."""
    async with served(make_workspace(), retry_after_s=(0.05, 0.05)) as server, connected(server) as client:
        before = client.wss_uri
        await server.sockets.refresh()
        await server.workspace.until(lambda: len(server.calls.of("apps.connections.open")) == 2)
        post(server)
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
    """apps.connections.open accepts only the app token, and its URL works once."""
    async with served(make_workspace()) as server:
        with pytest.raises(SlackApiError, match="not_allowed_token_type"):
            await client_of(server).apps_connections_open(app_token=server.workspace.app.bot_token)
        opened = await client_of(server).apps_connections_open(app_token=server.workspace.app.app_token)
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(opened["url"]) as socket:
                assert (await socket.receive_json())["type"] == "hello"
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(opened["url"])


async def test_no_more_than_ten_connections() -> None:
    """The eleventh connection is refused with too_many_websockets."""
    async with served(make_workspace()) as server, aiohttp.ClientSession() as session:
        sockets = []
        for _ in range(11):
            opened = await client_of(server).apps_connections_open(app_token=server.workspace.app.app_token)
            sockets.append(await session.ws_connect(opened["url"]))
        first_messages = [await socket.receive_json() for socket in sockets]

        assert [hello["type"] for hello in first_messages[:10]] == ["hello"] * 10
        assert first_messages[10]["reason"] == "too_many_websockets"


async def test_a_command_is_answered_with_its_acknowledgement() -> None:
    """The person sees the payload of a slash command's acknowledgement."""
    async with served(make_workspace()) as server, connected(server, lambda _: {"text": "Done."}):
        workspace = server.workspace
        ana, desk = workspace.person("ana"), workspace.channel("help-desk")
        workspace.interactions.command(ana, desk, "/reset", "all")
        await workspace.until(lambda: bool(workspace.ephemerals(ana, desk)))

        assert [message.text for message in workspace.ephemerals(ana, desk)] == ["Done."]
        assert server.deliveries.all()[0].payload["text"] == "all"


async def test_an_unacknowledged_command_shows_an_error() -> None:
    """A slash command without acknowledgement is not retried, and the person sees an error."""
    async with served(make_workspace(), **QUICK) as server, connected(server):
        server.faults.drop_acks(1)
        workspace = server.workspace
        ana, desk = workspace.person("ana"), workspace.channel("help-desk")
        workspace.interactions.command(ana, desk, "/reset")
        await workspace.until(lambda: all_done(server))

        assert [m.text for m in workspace.ephemerals(ana, desk)] == ['/reset failed with the error "operation_timeout"']
        assert len(server.deliveries.all()[0].attempts) == 1


async def test_a_button_is_answered_on_its_response_url() -> None:
    """The app can replace a message through the response URL of a pressed button."""
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
        response_body = {"text": "Done.", "replace_original": True}
        async with session.post((await pressed)["response_url"], json=response_body) as response:
            assert response.status == 200

        assert [message.text for message in workspace.ephemerals(ana, desk)] == ["Done."]


async def test_events_can_be_delivered_again() -> None:
    """An event can be redelivered hours later, with its own event id or with a new one."""
    async with served(make_workspace()) as server, connected(server):
        post(server)
        await server.workspace.until(lambda: all_done(server))
        (first,) = server.deliveries.all()
        same, new = server.deliveries.redeliver(first), server.deliveries.redeliver(first, new_event_id=True)
        await server.workspace.until(lambda: all_done(server))

        assert same.payload == first.payload
        assert new.event == first.event
        assert new.payload["event_id"] != first.payload["event_id"]
