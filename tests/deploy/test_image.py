"""The Dockerfile's steps, replayed in a clean folder; then the bot that they built, confined as in its container."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.services import utc_now
from tests.support import dockerfile
from tests.support.confinement import confined, obstacle
from tests.support.room import free_port, playground
from tests.support.timeouts import GENEROUS_S

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the build stage after its last step."""
    folder = tmp_path_factory.mktemp("image")
    dockerfile.replay(dockerfile.stages()[0], folder)
    return folder


def test_the_image_holds_the_bot_and_nothing_to_build_with(built: Path) -> None:
    """What the last stage copies has the installed bot with its migrations, and neither pip nor hatchling."""
    copied = [line.split()[-2:] for line in dockerfile.stages()[-1].values("COPY")]
    (packages,) = (built / ".venv/lib").glob("python3.*/site-packages")
    names = {path.name for path in packages.iterdir()}

    assert copied == [["/opt/attendant/.venv"] * 2, ["/opt/attendant/home", "/var/lib/attendant"]]
    assert {"bot", "slack_bolt"} <= names
    assert not {"pip", "setuptools", "hatchling", "pytest"} & names
    assert list((packages / "bot/migrations/versions").glob("0001_*.py"))
    assert (built / "home/data").stat().st_mode & 0o777 == 0o700


async def test_the_bot_answers_with_a_read_only_root(built: Path, tmp_path: Path) -> None:
    """Confined, it reads its secrets from files, is healthy, answers in Slack, and ends with status 0."""
    if obstacle():
        pytest.skip(obstacle())
    async with playground(utc_now) as (workspace, server):
        tokens = {"SLACK_BOT_TOKEN": workspace.app.bot_token, "SLACK_APP_TOKEN": workspace.app.app_token}
        for name, token in tokens.items():
            (tmp_path / name).write_text(f"{token}\n")
        in_files = {f"{name}_FILE": str(tmp_path / name) for name in tokens}
        environ = {**in_files, "SLACK_API_URL": server.api_url}
        async with running(built, tmp_path, environ) as process:
            channel = workspace.channel("help-desk")
            asked = workspace.post(workspace.person("ana"), channel, "@attendant my VPN is down")
            answered = lambda: any(each.bot_id for each in workspace.thread(channel, asked.root))  # noqa: E731
            await workspace.until(answered, timeout_s=GENEROUS_S)
            process.terminate()
            assert await asyncio.wait_for(process.wait(), GENEROUS_S) == 0

    assert (built / "home/data/attendant.db").stat().st_mode & 0o777 == 0o600


@asynccontextmanager
async def running(built: Path, tmp_path: Path, environ: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start the built bot, confined, with the image's environment; wait until its health check succeeds."""
    image, port = dockerfile.stages()[-1], free_port()
    own = {**image.environment, "PATH": f"{built}/.venv/bin:{os.environ['PATH']}", "HOST": "127.0.0.1"}
    own |= {"HEALTH_PORT": str(port), "HOME": str(built / "home"), "TMPDIR": str(tmp_path)}
    command = confined([str(built / ".venv/bin/attendant"), "run"], writable=[built / "home/data", tmp_path])
    check = [word.replace(image.environment["HEALTH_PORT"], str(port)) for word in image.health_command]
    process = await asyncio.create_subprocess_exec(*command, cwd=built / "home", env=own | environ)
    try:
        async with asyncio.timeout(GENEROUS_S):
            while await _status(check, own) != 0:
                assert process.returncode is None
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _status(command: list[str], environ: dict[str, str]) -> int:
    """Run the health check once, as Docker does. Return its exit status."""
    process = await asyncio.create_subprocess_exec(*command, env=environ, stderr=asyncio.subprocess.DEVNULL)
    return await process.wait()
