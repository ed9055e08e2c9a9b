"""`attendant doctor --live` and `--slack-variant` as an operator runs them, each as a process."""

from __future__ import annotations

import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.workspace import Workspace
from bot.services import utc_now
from tests.support.openai_server import OpenAIServer
from tests.support.process import Process
from tests.support.room import playground, recites
from tests.support.timeouts import GENEROUS_S


@dataclass(frozen=True, slots=True)
class Place:
    """A playground, and the settings that lead to it."""

    workspace: Workspace
    server: PlaygroundServer
    environ: dict[str, str]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        model = OpenAIServer(recites)
        await model.start()
        stack.push_async_callback(model.stop)
        workspace, server = await stack.enter_async_context(playground(utc_now))
        environ = {
            "SLACK_BOT_TOKEN": workspace.app.bot_token,
            "SLACK_APP_TOKEN": workspace.app.app_token,
            "SLACK_API_URL": server.api_url,
            "OPENAI_BASE_URL": model.base_url,
            "DATABASE_URL": f"sqlite:///{tmp_path / 'attendant.db'}",
        }
        yield Place(workspace, server, environ)


@pytest.mark.long
async def test_the_bot_reads_what_the_doctor_measured(tmp_path: Path, place: Place) -> None:
    """The doctor measures, and deletes its messages. The bot that starts afterwards has no refused call."""
    place.server.rate_limits.enforce()
    measured = await Process.run(tmp_path, place.environ, "doctor", "--live", "C0HELPDESK")
    assert measured.status == 0, measured.lines
    help_desk = place.workspace.channel("help-desk")
    assert place.workspace.app_messages(help_desk) == []
    assert (tmp_path / "data" / "slack-behaviour.json").exists()

    done = len(place.server.calls.all())
    async with Process.running(tmp_path, place.environ) as process:
        await process.says("Attendant is running")
        asked = place.workspace.post(place.workspace.person("ana"), help_desk, "@attendant my VPN is down")
        await place.workspace.until(lambda: answered(place.workspace, asked.root), timeout_s=GENEROUS_S)
    assert [call.method for call in place.server.calls.all()[done:] if call.error] == []


def answered(workspace: Workspace, root: str) -> bool:
    """Return whether the whole answer stands."""
    last = workspace.thread(workspace.channel("help-desk"), root)[-1]
    return last.bot_id is not None and not last.streaming_since


async def test_ctrl_c_deletes_the_messages(tmp_path: Path, place: Place) -> None:
    """An operator ends the measurement by Ctrl+C. Its messages are deleted, and nothing is written."""
    help_desk = place.workspace.channel("help-desk")
    async with Process.running(tmp_path, place.environ, "doctor", "--live", "C0HELPDESK") as process:
        await place.workspace.until(lambda: len(place.workspace.app_messages(help_desk)) > 2, timeout_s=GENEROUS_S)
        ended = await process.stop(signal.SIGINT)

    assert ended.status == 130
    assert ended.lines[-1] == "removing the messages: all of them are deleted"
    assert place.workspace.app_messages(help_desk) == []
    assert not (tmp_path / "data" / "slack-behaviour.json").exists()


async def test_a_channel_without_the_bot(tmp_path: Path, place: Place) -> None:
    """The doctor ends with the remedy."""
    place.workspace.admin.remove_bot(place.workspace.channel("help-desk"))
    ended = await Process.run(tmp_path, place.environ, "doctor", "--live", "C0HELPDESK")
    assert ended.status == 1
    assert "Invite the bot to the channel" in ended.lines[-1]


async def test_the_playground_behaves_as_it_is_told(tmp_path: Path) -> None:
    """`--slack-variant` sets the switches of the playground's Slack."""
    arguments = ("playground", "--port", "0", "--slack-variant", "edits=edit_window_closed,stream_seconds=20")
    async with Process.running(tmp_path, {}, *arguments) as process:
        line = await process.says("Attendant is running")
        [address] = re.findall(r"http://127\.0\.0\.1:\d+/", line)
        async with aiohttp.ClientSession() as http, http.get(f"{address}page/traffic") as response:
            switches = {each["name"]: each["value"] for each in (await response.json())["switches"]}
    assert (switches["edits"], switches["stream_seconds"]) == ("edit_window_closed", 20)


@pytest.mark.parametrize(
    ("word", "environ", "problem"),
    [
        ("playground", {}, "edits is one of allowed"),
        ("run", {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}, "is for the playground"),
    ],
)
async def test_a_variant_that_does_not_fit(tmp_path: Path, word: str, environ: dict[str, str], problem: str) -> None:
    """A switch without such a value, and a variant of a real workspace, end the start with one line."""
    ended = await Process.run(tmp_path, environ, word, "--slack-variant", "edits=never")
    assert ended.status == 1
    assert problem in ended.lines[-1]
