"""Upgrade and rollback. The code before the newest migration runs on the new schema, but does not start on it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.playground.workspace.workspace import Workspace
from bot.services import utc_now
from tests.support import databases, previous_version
from tests.support.openai_server import OpenAIServer
from tests.support.process import Process
from tests.support.room import playground, recites
from tests.support.timeouts import GENEROUS_S

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the previous version's code."""
    folder = tmp_path_factory.mktemp("previous")
    if not previous_version.extract(folder):
        pytest.skip("NO PREVIOUS VERSION: this checkout lacks the history before its newest migration")
    return folder


@pytest.fixture(params=["sqlite", "postgres"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'attendant.db'}"
    else:
        with databases.own(request.getfixturevalue("postgres_url"), f"upgraded_{os.getpid()}") as url:
            yield url


@dataclass(frozen=True, slots=True)
class World:
    """A workspace with a model, and the environment of a bot between them."""

    workspace: Workspace
    environ: dict[str, str]

    async def asks(self, text: str, root: str | None = None) -> tuple[str, str]:
        """Post as Ana in #help-desk. Return the thread's root and the answer."""
        channel = self.workspace.channel("help-desk")
        asked = self.workspace.post(self.workspace.person("ana"), channel, text, root)
        whole: Callable[[], bool] = lambda: (  # noqa: E731
            (last := self.workspace.thread(channel, asked.root)[-1]).bot_id is not None
            and not last.streaming_since
            and last.ts > asked.ts
        )
        await self.workspace.until(whole, timeout_s=GENEROUS_S)
        return asked.root, self.workspace.thread(channel, asked.root)[-1].shown_text


@pytest.fixture
async def world(new_url: str) -> AsyncIterator[World]:
    """Nothing runs yet."""
    async with AsyncExitStack() as stack:
        model = OpenAIServer(recites)
        await model.start()
        stack.push_async_callback(model.stop)
        workspace, server = await stack.enter_async_context(playground(utc_now))
        tokens = {"SLACK_BOT_TOKEN": workspace.app.bot_token, "SLACK_APP_TOKEN": workspace.app.app_token}
        urls = {"SLACK_API_URL": server.api_url, "OPENAI_BASE_URL": model.base_url, "DATABASE_URL": new_url}
        yield World(workspace, tokens | urls)


async def test_the_previous_version_answers_on_the_new_schema(previous: Path, world: World, tmp_path: Path) -> None:
    """A replica of the previous version goes on after the upgrade. The new version knows what it answered."""
    old = {**world.environ, "PYTHONPATH": str(previous)}
    async with Process.running(tmp_path, old) as replica:
        await replica.says("Attendant is running")
        root, _ = await world.asks("@attendant my VPN is down")
        databases.migrate(world.environ["DATABASE_URL"])
        _, answer = await world.asks("still down", root)
        assert "my VPN is down" in answer
        other, _ = await world.asks("@attendant my printer is on fire")
        assert (await replica.stop()).status == 0

    async with Process.running(tmp_path, world.environ) as replica:
        await replica.says("Attendant is running")
        for thread, word in ((root, "my VPN is down"), (other, "on fire")):
            _, answer = await world.asks("and now?", thread)
            assert word in answer


async def test_the_previous_version_does_not_start_on_the_new_schema(
    previous: Path, world: World, tmp_path: Path
) -> None:
    """A rollback needs the backup from before the upgrade: the old version refuses the new database in one line."""
    databases.migrate(world.environ["DATABASE_URL"])
    ended = await Process.run(tmp_path, {**world.environ, "PYTHONPATH": str(previous)})

    assert ended.status == 1
    assert len(ended.lines) == 1, ended.lines
    assert "newer version of Attendant" in ended.lines[0]


@pytest.mark.parametrize("new_url", ["sqlite"], indirect=True)
async def test_a_backup_from_before_the_upgrade_goes_back(previous: Path, world: World, tmp_path: Path) -> None:
    """The new version makes a backup of the old schema. After the upgrade the old version goes on with that backup."""
    old = {**world.environ, "PYTHONPATH": str(previous)}
    async with Process.running(tmp_path, old) as replica:
        await replica.says("Attendant is running")
        root, _ = await world.asks("@attendant my VPN is down")
    copy = tmp_path / "before.db"
    assert (await Process.run(tmp_path, world.environ, "backup", str(copy))).status == 0
    databases.migrate(world.environ["DATABASE_URL"])

    async with Process.running(tmp_path, {**old, "DATABASE_URL": f"sqlite:///{copy}"}) as replica:
        await replica.says("Attendant is running")
        _, answer = await world.asks("still down", root)
        assert "my VPN is down" in answer
