"""bot.playground.page.inspector: the traffic and the switches of Slack's variant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError

from bot.playground.page.traffic import MOST_CHARACTERS, MOST_SHOWN
from bot.playground.playground_server import PlaygroundServer
from tests.support.playground_stage import client_of, connected, make_workspace, served

DESK = "C0HELPDESK"


@pytest.fixture
async def server() -> AsyncIterator[PlaygroundServer]:
    async with served(make_workspace(), retry_after_s=()) as server:
        yield server


@pytest.fixture
async def page(server: PlaygroundServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url) as session:
        yield session


async def traffic(page: aiohttp.ClientSession) -> Any:
    """Return the traffic and the switches."""
    async with page.get("/page/traffic") as response:
        return await response.json()


async def switched(page: aiohttp.ClientSession, name: str, value: object) -> tuple[int, str]:
    """Set a switch. Return the status and the sentence of a refusal."""
    async with page.post("/page/switch", json={"name": name, "value": value}) as response:
        return response.status, (await response.json()).get("error", "")


async def test_calls_stand_there_with_their_errors(server: PlaygroundServer, page: aiohttp.ClientSession) -> None:
    """Each call of the app is listed with its arguments and its outcome; a refused one is marked. No token is shown."""
    client = client_of(server)
    await client.chat_postMessage(channel=DESK, text="The printer is on fire.")
    with pytest.raises(SlackApiError):
        await client.chat_postMessage(channel="C0NOWHERE0", text="Hello?")
    posted, refused = [each for each in (await traffic(page))["exchanges"] if each["direction"] == "out"]

    assert (posted["direction"], posted["name"], posted["outcome"]) == ("out", "chat.postMessage", "ok")
    assert "The printer is on fire." in posted["payload"]
    assert (refused["outcome"], refused["refused"]) == ("channel_not_found", True)
    assert str(client.token) not in posted["payload"] + refused["payload"]


async def test_events_stand_there_with_their_acknowledgement(
    server: PlaygroundServer, page: aiohttp.ClientSession
) -> None:
    """Each event to the app is listed, and whether the app acknowledged it."""
    workspace = server.workspace
    async with connected(server):
        workspace.post(workspace.people["U0ANASILVA"], workspace.channels[DESK], "is the VPN down?")
        await server.deliveries.drain()
    names = {each["name"]: each for each in (await traffic(page))["exchanges"] if each["direction"] == "in"}

    assert names["message"]["outcome"] == "acknowledged"
    assert "is the VPN down?" in names["message"]["payload"]


async def test_nothing_new_is_not_sent_again(server: PlaygroundServer, page: aiohttp.ClientSession) -> None:
    """A page that knows the newest traffic gets an empty response."""
    revision = (await traffic(page))["revision"]
    async with page.get("/page/traffic", params={"revision": revision}) as response:
        assert response.status == 204
    await client_of(server).auth_test()
    async with page.get("/page/traffic", params={"revision": revision}) as response:
        assert response.status == 200


async def test_the_traffic_is_bounded(server: PlaygroundServer, page: aiohttp.ClientSession) -> None:
    """Only the newest exchanges are shown, and only the beginning of a long payload."""
    client = client_of(server)
    for _ in range(MOST_SHOWN + 20):
        await client.auth_test(note="x" * 2 * MOST_CHARACTERS)
    shown = (await traffic(page))["exchanges"]

    assert len(shown) == MOST_SHOWN
    assert "auth.test" in {each["name"] for each in shown}
    assert max(len(each["payload"]) for each in shown) < MOST_CHARACTERS + 10


async def test_a_switch_changes_how_slack_behaves(server: PlaygroundServer, page: aiohttp.ClientSession) -> None:
    """A switch takes effect with the next call, and the page shows its new value."""
    client = client_of(server)
    posted = await client.chat_postMessage(channel=DESK, text="Hi.")
    assert await switched(page, "edits", "edit_window_closed") == (200, "")

    with pytest.raises(SlackApiError, match="edit_window_closed"):
        await client.chat_update(channel=DESK, ts=posted["ts"], text="Hello.")
    values = {switch["name"]: switch["value"] for switch in (await traffic(page))["switches"]}
    assert values["edits"] == "edit_window_closed"


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("edits", "sometimes", 400),
        ("stream_bytes", 0, 400),
        ("stream_bytes", "many", 400),
        ("stream_bytes", True, 400),
        ("weather", "rain", 404),
        ("stream_bytes", 3_000, 200),
    ],
)
async def test_a_switch_has_known_values(page: aiohttp.ClientSession, name: str, value: object, status: int) -> None:
    """A wrong switch or value is refused with a sentence."""
    answered, sentence = await switched(page, name, value)
    assert answered == status
    assert bool(sentence) == (status != 200)
