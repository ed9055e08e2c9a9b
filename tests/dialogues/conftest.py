"""The room of the dialogue tests: a fresh SQLite file, and a model that recites each request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from bot import app
from bot.ops import health
from bot.testing import SettableClock
from tests.support.openai_server import OpenAIServer
from tests.support.room import Room, playground, recites, settings_for


@pytest.fixture
def room_settings() -> dict[str, Any]:
    """Settings of the room's bot that differ from the defaults; a test overrides this fixture by parametrizing it."""
    return {}


@pytest.fixture
def slack_times() -> dict[str, Any]:
    """The two times of the simulated Slack: its wait for an acknowledgement, and its pause before a redelivery."""
    return {}


@pytest.fixture(autouse=True)
def no_health_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let /readyz report the present state, not that of the last second."""
    monkeypatch.setattr(health, "CACHE_S", 0.0)


@pytest.fixture
async def room(
    tmp_path: Path, clock: SettableClock, room_settings: dict[str, Any], slack_times: dict[str, Any]
) -> AsyncIterator[Room]:
    """The whole bot, connected by Socket Mode to a playground of its own."""
    async with AsyncExitStack() as stack:
        model = OpenAIServer(recites)
        await model.start()
        stack.push_async_callback(model.stop)
        workspace, server = await stack.enter_async_context(playground(clock.now, **slack_times))
        how = {"database_url": f"sqlite:///{tmp_path / 'attendant.db'}", **room_settings}
        settings = settings_for(workspace, server, model, **how)
        bot = await stack.enter_async_context(app.slack_bot(settings, clock=clock.now))
        yield Room(workspace, server, model, bot.services, clock, settings)
