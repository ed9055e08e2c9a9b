"""Fixtures for this ring: a language model's server, and the bot's client to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.llm.openai import OpenAI
from bot.testing import SettableClock
from tests.gate import Gate, opened
from tests.openai_client import client
from tests.openai_server import OpenAIServer
from tests.room import recites


@pytest.fixture
async def backend() -> AsyncIterator[OpenAIServer]:
    """A backend that does what the test scripts, and nothing else."""
    server = OpenAIServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def model(backend: OpenAIServer) -> AsyncIterator[OpenAI]:
    """The bot's client to that backend."""
    llm = client(backend.base_url)
    yield llm
    await llm.aclose()


@pytest.fixture
async def reciter() -> AsyncIterator[OpenAIServer]:
    """A backend that recites what it was shown, unless the test scripts something else."""
    server = OpenAIServer(recites)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def gate(empty_sqlite_url: str, reciter: OpenAIServer, clock: SettableClock) -> AsyncIterator[Gate]:
    """A gateway with that backend."""
    async with opened(empty_sqlite_url, reciter, clock) as gate:
        yield gate
