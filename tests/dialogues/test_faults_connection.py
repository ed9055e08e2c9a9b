"""Slack's connections break or are renewed: the operator can see it, and no message is lost."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.support.room import Room, free_port, shown
from tests.support.timeouts import GENEROUS_S

Ready = tuple[int, bool]  # the status of /readyz, and whether Slack is up


@pytest.fixture
def room_settings() -> dict[str, Any]:
    """A bot that serves /readyz."""
    return {"health_port": free_port()}


@pytest.fixture
def slack_times() -> dict[str, Any]:
    """A Slack that delivers again soon."""
    return {"retry_after_s": (0.1,) * 200}


async def test_all_connections_down_and_back(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """/readyz and the log report the outage and its end. Messages written meanwhile are answered afterwards."""
    caplog.set_level(logging.INFO, "bot.slack.inbound.socket_mode")
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    assert await ready(room) == (200, True)
    room.server.faults.refuse("apps.connections.open", "internal_error")
    room.server.sockets.drop_all()
    await until_ready(room, (503, False))
    assert "socket_mode_reconnecting" in caplog.text

    talk.says("are you there?")
    await room.until(lambda: len(room.server.deliveries.all()[-1].attempts) > 1)
    room.server.faults.clear("apps.connections.open")
    assert (await talk.answers(2))[-1].endswith("| are you there?")
    assert await ready(room) == (200, True)
    assert "socket_mode_connected" in caplog.text


async def test_connections_are_renewed_in_the_middle_of_an_answer(room: Room) -> None:
    """The answer continues. A message of that moment is answered next, although Slack sent it only once."""
    hold = room.hold_model("Have you ")
    talk = room.guest("Ana").mentions("my VPN is down")
    await hold.reached()
    await room.server.sockets.refresh()
    talk.says("and my phone")
    await room.until(lambda: room.server.calls.count("apps.connections.open") == 4)
    talk.says("and my printer")
    await room.acknowledged()
    hold.release()

    assert (await talk.answers(2))[0] == "Have you a held answer"
    await room.acknowledged()
    assert shown(room.model.requests[-1])[-1] == "and my phone\n\nand my printer"
    assert {len(delivery.attempts) for delivery in room.server.deliveries.all()} == {1}


async def ready(room: Room) -> Ready:
    """Return what /readyz reports of Slack."""
    status, told = await room.ready()
    return status, told["parts"]["slack"]


async def until_ready(room: Room, wanted: Ready) -> None:
    """Wait until /readyz reports this."""
    async with asyncio.timeout(GENEROUS_S):
        while await ready(room) != wanted:
            pass
