"""`attendant doctor --live` in virtual time: its lines, its file, its exit status."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from bot.cli.live_doctor import measure_live
from bot.cli.parser import make_parser
from bot.config.settings import Settings
from bot.errors import ConfigError
from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.slack_variant import KIND, SlackVariant
from bot.slack.behaviour import SlackBehaviour
from bot.slack.rate_limiter import RateLimiter
from tests.support.playground_stage import make_workspace, served
from tests.support.slack_stage import loop_clock, settings_of
from tests.support.virtual_time import in_virtual_time

HELP_DESK = "C0HELPDESK"


async def live(server: PlaygroundServer, file: Path, *, as_json: bool = False) -> int:
    """Measure, and return the exit status."""
    settings = settings_of(server, slack_behaviour_file=file)
    return await measure_live(settings, HELP_DESK, as_json=as_json, limiter=RateLimiter(loop_clock()))


def test_a_line_for_each_probe_and_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each line names a probe and says what Slack did. The file has the same words, and neither secrets nor content."""
    file = tmp_path / "data" / "slack-behaviour.json"

    @in_virtual_time
    async def play() -> None:
        async with served(make_workspace()) as server:
            assert await live(server, file) == 0
            document = json.loads(file.read_text(encoding="utf-8"))
            lines = capsys.readouterr().out.splitlines()
            assert lines[1:-1] == [f"{tried}: {did}" for tried, did in document["findings"].items()]
            assert "11,000 bytes in Cyrillic, streamed: 10,600 bytes of it stand" in lines
            assert (document["workspace"], document["measured_in"]) == ("T0HARBOUR", "channel")
            app = server.workspace.app
            for hidden in (app.bot_token, app.app_token, HELP_DESK, "measuring"):
                assert hidden not in file.read_text(encoding="utf-8")

            assert await live(server, file, as_json=True) == 0
            assert json.loads(capsys.readouterr().out)["behaviour"] == document["behaviour"]

    play()


def test_messages_that_are_left_are_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where Slack deletes nothing, the last line has the link of the thread, and the status is 1."""

    @in_virtual_time
    async def play() -> None:
        variant = SlackVariant(deletions="compliance_exports_prevent_deletion")
        async with served(make_workspace(variant=variant)) as server:
            assert await live(server, tmp_path / "slack-behaviour.json") == 1
            assert f"archives/{HELP_DESK}/p" in capsys.readouterr().out.splitlines()[-1]

    play()


def test_there_must_be_a_slack() -> None:
    """Without Slack's tokens the error names the setting."""

    @in_virtual_time
    async def play() -> None:
        with pytest.raises(ConfigError, match="SLACK_BOT_TOKEN"):
            await measure_live(Settings(), HELP_DESK, as_json=False)

    play()


@pytest.mark.parametrize(
    "text",
    [HELP_DESK, f"https://harbour.slack.com/archives/{HELP_DESK}", f"<#{HELP_DESK}|help-desk>", f" {HELP_DESK} "],
)
def test_a_channel_has_an_id_or_a_link(text: str) -> None:
    """Operators paste the id or the link that Slack gives them."""
    assert parsed("doctor", "--live", text).live == HELP_DESK


@pytest.mark.parametrize("text", ["#help-desk", "", "help desk", "U0ANASILVA", "C0HELPDESK; x"])
def test_any_other_channel_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The error says where to find the id."""
    with pytest.raises(SystemExit):
        parsed("doctor", "--live", text)
    assert "give its id" in capsys.readouterr().err


def parsed(*arguments: str) -> argparse.Namespace:
    """Parse a command line."""
    return make_parser().parse_args(arguments)


def test_each_known_fact_is_in_the_file(tmp_path: Path) -> None:
    """In the kindest Slack the file leaves nothing unknown but the length at which a stream ends."""
    file = tmp_path / "slack-behaviour.json"

    @in_virtual_time
    async def play() -> None:

        async with served(make_workspace(variant=KIND)) as server:
            await live(server, file)
        known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["behaviour"]
        assert {each.name for each in dataclasses.fields(SlackBehaviour)} - set(known) == {"stream_bytes"}

    play()
