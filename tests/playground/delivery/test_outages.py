"""Tests of broken connections and of an outage of Slack. No event is lost."""

from __future__ import annotations

import aiohttp
import pytest

from bot.playground.playground_server import PlaygroundServer
from tests.support.playground_stage import client_of, connected, make_workspace, served


def post(server: PlaygroundServer, text: str = "hi") -> None:
    workspace = server.workspace
    workspace.post(workspace.person("ana"), workspace.channel("help-desk"), text)


async def test_cut_connections_hand_their_events_on() -> None:
    """A pending event is delivered over the next connection after all connections break."""
    async with served(make_workspace(), retry_after_s=(0.0, 0.2, 0.2)) as server, aiohttp.ClientSession() as session:
        opened = await client_of(server).apps_connections_open(app_token=server.workspace.app.app_token)
        async with session.ws_connect(opened["url"]) as socket:
            await socket.receive_json()  # hello
            post(server)
            await socket.receive_json()
            server.sockets.drop_all()
            last = await socket.receive()
        async with connected(server):
            await server.workspace.until(lambda: server.deliveries.pending == 0)

        assert last.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
        assert socket.close_code != aiohttp.WSCloseCode.OK
        (delivery,) = server.deliveries.all()
        assert delivery.acknowledged


async def test_the_sdk_comes_back_after_a_cut() -> None:
    """Slack's own client reconnects by itself."""
    async with served(make_workspace(), retry_after_s=(0.1,)) as server, connected(server):
        server.sockets.drop_all()
        await server.workspace.until(lambda: server.calls.count("apps.connections.open") == 2)
        await server.workspace.until(lambda: server.sockets.open == 1)


async def test_slack_comes_back_on_its_old_port() -> None:
    """A restarted server keeps its workspace and delivers the events that were not acknowledged."""
    async with served(make_workspace(), retry_after_s=(0.1,) * 50) as server:
        client, desk = client_of(server), server.workspace.channel("help-desk")
        post(server)
        await server.workspace.until(lambda: bool(server.deliveries.all()[0].attempts))
        await server.stop()
        with pytest.raises(aiohttp.ClientError):
            await client.auth_test()
        await server.start(server.port)
        await client.chat_postMessage(channel=desk.id, text="hello again")
        async with connected(server):
            await server.workspace.until(lambda: server.deliveries.pending == 0)

        assert all(delivery.acknowledged for delivery in server.deliveries.all())
        assert [message.text for message in server.workspace.transcript.of_channel(desk.id)] == ["hi", "hello again"]
