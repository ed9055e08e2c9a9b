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
from tests import openai_client
from tests.openai_server import OpenAIServer
from tests.playground_stage import client_of


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
