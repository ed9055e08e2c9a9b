"""The parts of a served playground. Each test file serves its own as `server`."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.server import PlaygroundServer
from bot.playground.workspace.messages import Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.workspace import Workspace
from tests.support.playground_stage import client_of
from tests.support.virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    """Give every test of this folder a loop that lives in virtual time."""
    return {"virtual": VirtualTimeLoop}


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
