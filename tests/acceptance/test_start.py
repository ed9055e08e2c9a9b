"""Failures at the start of the process: one line each, and exit status 1."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.workspace import Workspace
from bot.services import utc_now
from tests.support.process import Process
from tests.support.room import playground

HALVES = [
    ({"SLACK_BOT_TOKEN": "xoxb-1"}, "SLACK_APP_TOKEN is missing while SLACK_BOT_TOKEN is set"),
    ({"SLACK_APP_TOKEN": "xapp-1"}, "SLACK_BOT_TOKEN is missing while SLACK_APP_TOKEN is set"),
    ({"SLACK_SIGNING_SECRET": "s"}, "SLACK_BOT_TOKEN is missing while SLACK_SIGNING_SECRET is set"),
    ({"SLACK_BOT_TOKEN": "nonsense"}, "SLACK_BOT_TOKEN does not start with xoxb-"),
    ({"SESSION_IDLE_HOURS": "soon"}, "SESSION_IDLE_HOURS is not a number above 0"),
    ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL is neither a sqlite:/// nor a postgresql:// URL"),
    ({"PERSONA_FILE": "nowhere.md"}, "PERSONA_FILE cannot be read"),
]


@pytest.fixture
async def slack() -> AsyncIterator[tuple[Workspace, PlaygroundServer]]:
    """A simulated Slack for the process."""
    async with playground(utc_now) as (workspace, server):
        yield workspace, server


@pytest.mark.parametrize(
    ("environ", "line"), HALVES, ids=[line.split()[0] + str(n) for n, (_, line) in enumerate(HALVES)]
)
async def test_a_wrong_setting_is_one_line(tmp_path: Path, environ: dict[str, str], line: str) -> None:
    """A missing half, a malformed value or an unreadable file is one line, with exit status 1."""
    ended = await Process.run(tmp_path, environ)

    assert ended.status == 1
    assert len(ended.lines) == 1, ended.lines
    assert line in ended.lines[0]


async def test_a_broken_line_in_the_env_file_is_named_without_its_words(tmp_path: Path) -> None:
    """A line of `.env` that is no assignment is named by its number and not shown, because it may hold a token."""
    (tmp_path / ".env").write_text("# fine\nxoxb-secret-without-a-name\n")
    ended = await Process.run(tmp_path, {})

    assert ended.status == 1
    assert len(ended.lines) == 1
    assert ".env, line 2, is not NAME=value" in ended.lines[0]
    assert "secret" not in ended.lines[0]


async def test_a_wrong_bot_token(tmp_path: Path, slack: tuple[Workspace, PlaygroundServer]) -> None:
    """Slack's refusal of the bot token is reported with the remedy."""
    workspace, server = slack
    environ = {"SLACK_BOT_TOKEN": "xoxb-wrong", "SLACK_APP_TOKEN": workspace.app.app_token}
    ended = await Process.run(tmp_path, {**environ, "SLACK_API_URL": server.api_url})

    assert ended.status == 1
    assert any("SLACK_BOT_TOKEN" in line for line in ended.lines)
    assert "xoxb-wrong" not in "".join(ended.lines)


async def test_a_wrong_app_token_does_not_retry_for_ever(
    tmp_path: Path, slack: tuple[Workspace, PlaygroundServer]
) -> None:
    """Slack's refusal of the app token stops the start in one line."""
    workspace, server = slack
    environ = {"SLACK_BOT_TOKEN": workspace.app.bot_token, "SLACK_APP_TOKEN": "xapp-wrong"}
    ended = await Process.run(tmp_path, {**environ, "SLACK_API_URL": server.api_url})

    assert ended.status == 1
    assert len(ended.lines) == 1
    assert "SLACK_APP_TOKEN" in ended.lines[0]


async def test_a_missing_scope_is_named(tmp_path: Path, slack: tuple[Workspace, PlaygroundServer]) -> None:
    """A missing scope is named at the start."""
    workspace, server = slack
    workspace.app = dataclasses.replace(workspace.app, scopes=workspace.app.scopes - {"users:read"})
    environ = {"SLACK_BOT_TOKEN": workspace.app.bot_token, "SLACK_APP_TOKEN": workspace.app.app_token}
    ended = await Process.run(tmp_path, {**environ, "SLACK_API_URL": server.api_url})

    assert ended.status == 1
    assert len(ended.lines) == 1
    assert "users:read" in ended.lines[0]


async def test_an_unreachable_database(tmp_path: Path) -> None:
    """An unreachable PostgreSQL is reported without its password."""
    with _taken() as (_, port):
        pass
    ended = await Process.run(tmp_path, {"DATABASE_URL": f"postgresql://me:hidden@127.0.0.1:{port}/none"})

    assert ended.status == 1
    assert len(ended.lines) == 1
    assert "DATABASE_URL" in ended.lines[0]
    assert "hidden" not in ended.lines[0]


async def test_an_unreachable_model(tmp_path: Path) -> None:
    """An unreachable backend is reported with the setting to check."""
    with _taken() as (_, port):
        pass
    ended = await Process.run(tmp_path, {"OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1"})

    assert ended.status == 1
    assert any("OPENAI_BASE_URL" in line for line in ended.lines)


async def test_a_port_in_use(tmp_path: Path) -> None:
    """A port in use is one line that names PORT."""
    with _taken() as (_, port):
        ended = await Process.run(tmp_path, {"PORT": str(port)})

    assert ended.status == 1
    assert len(ended.lines) == 1
    assert "PORT" in ended.lines[0]


async def test_the_gateways_port_in_use(tmp_path: Path) -> None:
    """The line names the flag as well as the setting."""
    with _taken() as (_, port):
        ended = await Process.run(tmp_path, {}, "gateway", "--port", str(port))

    assert ended.status == 1
    assert (f"Port {port}" in ended.lines[-1], "--port or GATEWAY_PORT" in ended.lines[-1]) == (True, True)


class _taken:  # noqa: N801 - reads as a statement
    """A port of this machine that is in use inside the block, and free after it."""

    def __enter__(self) -> tuple[socket.socket, int]:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        return self._socket, self._socket.getsockname()[1]

    def __exit__(self, *_: object) -> None:
        self._socket.close()
