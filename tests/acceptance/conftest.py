"""Fixtures of the acceptance tests: the surroundings of the gateway's processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.gateway_world import GatewayWorld
from tests.support.openai_server import OpenAIServer
from tests.support.process import Process
from tests.support.room import recites


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[GatewayWorld]:
    """With a model that recites, on each database."""
    model = OpenAIServer(recites)
    environ = {"DATABASE_URL": database_url, "OPENAI_BASE_URL": await model.start(), "OPENAI_API_KEY": "sk-test"}
    made = await Process.run(tmp_path, environ, "keys", "create", "test")
    yield GatewayWorld(tmp_path, environ, model, next(line for line in made.lines if line.startswith("sk-att-")))
    await model.stop()
