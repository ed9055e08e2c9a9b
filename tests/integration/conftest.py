"""Fixtures for this ring: a language model's server, and the bot's client to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.llm.openai import OpenAI
from tests.openai_client import client
from tests.openai_server import OpenAIServer


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
