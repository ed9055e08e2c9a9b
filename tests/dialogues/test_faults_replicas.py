"""Replicas with different clocks on one PostgreSQL share the work. Each question has one answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot import app
from bot.services import PlatformServices
from bot.store.metrics import figures
from bot.testing import SettableClock
from bot.turns.leases import LEASE
from tests.support.room import Room


@pytest.fixture
def clock() -> SettableClock:
    """The first replica's clock, which is close to the database's."""
    return SettableClock(datetime.now(UTC))


@pytest.fixture
def room_settings(empty_postgres_url: str) -> dict[str, Any]:
    """On PostgreSQL."""
    return {"database_url": empty_postgres_url}


@pytest.fixture(params=[2, -2], ids=["ahead", "behind"])
async def other(request: pytest.FixtureRequest, room: Room) -> AsyncIterator[PlatformServices]:
    """A second replica, whose clock is further from the first one's than a lease is long."""
    clock = SettableClock(room.clock.now() + request.param * LEASE)
    async with app.slack_bot(room.settings, clock=clock.now) as bot:
        yield bot.services


async def test_replicas_with_different_clocks(room: Room, other: PlatformServices) -> None:
    """Leases run by the database's clock, so neither replica takes over the other's answers."""
    holds = [room.hold_model(f"{number} ") for number in range(6)]
    talks = [room.guest("Ana").mentions(str(number)) for number in range(6)]
    for hold in holds:
        await hold.reached()
    for services in (room.services, other):
        await services.leases.renew()
        await services.worker.poll()
        await services.leases.poll_interruptions()
    for hold in holds:
        hold.release()
    for talk in talks:
        assert (await talk.answers(1))[0].endswith("a held answer")
    assert len(room.model.requests) == len(talks)

    talks[0].says("and now?")
    assert (await talks[0].answers(2))[-1].endswith("| and now?")
    found = await figures(room.services.store, now=room.clock.now() + timedelta(minutes=5))
    assert found.taken_over_turns == 0
