"""Fixtures for a served playground. Each test file defines its own `server`."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.playground_server import PlaygroundServer
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
    """Return the served workspace."""
    return server.workspace


@pytest.fixture
def client(server: PlaygroundServer) -> AsyncWebClient:
    """Return Slack's own client, with the bot token."""
    return client_of(server)


@pytest.fixture
def ana(workspace: Workspace) -> Person:
    """Return a person who posts."""
    return workspace.person("Ana Silva")


@pytest.fixture
def help_desk(workspace: Workspace) -> Channel:
    """Return the channel in which Ana posts."""
    return workspace.channel("#help-desk")


@pytest.fixture
def root(workspace: Workspace, ana: Person, help_desk: Channel) -> Message:
    """Post Ana's question, the root of a thread."""
    return workspace.post(ana, help_desk, "@attendant help")
