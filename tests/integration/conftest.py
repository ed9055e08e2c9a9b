"""Fixtures for this ring: a language model's server, the bot's client to it, and the parts of a served playground.

A test file of the playground serves its own as `server`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.llm.openai import OpenAI
from bot.playground.messages import Message
from bot.playground.people import Channel, Person
from bot.playground.server import PlaygroundServer
from bot.playground.workspace import Workspace
from bot.testing import SettableClock
from tests import openai_client
from tests.gate import Gate, opened
from tests.openai_server import OpenAIServer
from tests.playground_stage import client_of
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
    llm = openai_client.client(backend.base_url)
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


@pytest.fixture
def workspace(server: PlaygroundServer) -> Workspace:
    """Its workspace."""
    return server.workspace


@pytest.fixture
def client(server: PlaygroundServer) -> AsyncWebClient:
    """Slack's own client, as the bot."""
    return client_of(server)


@pytest.fixture
def ana(workspace: Workspace) -> Person:
    """Somebody who writes."""
    return workspace.person("Ana Silva")


@pytest.fixture
def help_desk(workspace: Workspace) -> Channel:
    """Where she writes."""
    return workspace.channel("#help-desk")


@pytest.fixture
def root(workspace: Workspace, ana: Person, help_desk: Channel) -> Message:
    """What she asks there."""
    return workspace.post(ana, help_desk, "@attendant help")
