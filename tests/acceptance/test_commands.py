"""The commands of `attendant` besides `run`, each as a process."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
import yaml

from bot import manifest
from bot.cli import admin, main
from bot.domain import texts
from bot.domain.sessions import ResetOutcome
from bot.testing import PausedStep
from tests.support.openai_server import OpenAIServer, says
from tests.support.process import Process


async def test_chat_remembers_and_resets(tmp_path: Path) -> None:
    """In the terminal the bot remembers the conversation until `!reset`."""
    ended = await Process.run(tmp_path, {}, "chat", typed="my VPN is down\nstill down\n!reset\nhello again\n")

    output = "\n".join(ended.lines)
    assert ended.status == 0
    assert "demo model" in ended.lines[0]
    assert "**2 earlier messages**" in output
    assert texts.reset(ResetOutcome.DONE) in output
    assert output.rindex("This is the first message") > output.index(texts.reset(ResetOutcome.DONE))


async def test_sessions_lists_no_texts(tmp_path: Path) -> None:
    """An operator sees the open sessions with their number of turns, and none of their texts."""
    await Process.run(tmp_path, {}, "chat", typed="my VPN is down\nstill down\n")

    ended = await Process.run(tmp_path, {}, "sessions")

    assert ended.status == 0
    assert len(ended.lines) == 1
    assert ended.lines[0].split("\t")[5] == "2"
    assert "VPN" not in ended.lines[0]


async def test_doctor_reports_passed_checks(tmp_path: Path) -> None:
    """Without settings every check passes. The report says how the bot will run."""
    ended = await Process.run(tmp_path, {}, "doctor")

    assert ended.status == 0
    assert len(ended.lines) == 5
    assert all(line.startswith("ok") for line in ended.lines)


async def test_doctor_measures_the_first_token(tmp_path: Path) -> None:
    """With a model of one's own, the last line has the time to its first token."""
    model = OpenAIServer(lambda _: says("Hello"))
    environ = {"OPENAI_BASE_URL": await model.start()}
    ended = await Process.run(tmp_path, environ, "doctor")
    await model.stop()

    assert (ended.status, len(ended.lines)) == (0, 6)
    assert ended.lines[-1].startswith("ok      first token: after ")


async def test_doctor_reports_a_model_without_a_first_token(tmp_path: Path) -> None:
    """A model that sends nothing for the whole timeout fails the check, with the remedy."""
    model = OpenAIServer(lambda _: says(PausedStep()))
    environ = {"OPENAI_BASE_URL": await model.start(), "MODEL_TIMEOUT_SECONDS": "0.5"}
    ended = await Process.run(tmp_path, environ, "doctor")
    await model.stop()

    assert ended.status == 1
    assert ended.lines[-1].startswith("FAILED  first token: ")
    assert "raise MODEL_TIMEOUT_SECONDS" in ended.lines[-1]


async def test_doctor_continues_after_a_failure(tmp_path: Path) -> None:
    """The report has all failures, including those after the first one."""
    environ = {"DATABASE_URL": "postgresql://127.0.0.1:1/none", "PERSONA_FILE": "nowhere.md"}
    ended = await Process.run(tmp_path, environ, "doctor")

    assert ended.status == 1
    assert [line.split()[1] for line in ended.lines if line.startswith("FAILED")] == ["persona:", "database:"]


async def test_manifest_has_the_names_that_are_set(tmp_path: Path) -> None:
    """The output is YAML with the command names of the settings, and for HTTP with the address."""
    url = "https://attendant.example.com/slack/events"
    ended = await Process.run(tmp_path, {"SLACK_RESET_COMMAND": "/start-over"}, "manifest", "--url", url)

    made = yaml.safe_load("\n".join(ended.lines))
    assert made == manifest.document("/attendant", "/start-over", url)


@pytest.mark.parametrize(
    "command", ["sessions", "status", "keys list", "keys revoke a3f9c1d2e4b5", "erase --user U0123456789 --yes"]
)
async def test_read_only_commands_create_no_database(tmp_path: Path, command: str) -> None:
    """In a wrong folder the commands report that there is no database."""
    ended = await Process.run(tmp_path, {}, *command.split())

    assert ended.status == 1
    assert "There is no database at data/attendant.db" in ended.lines[0]
    assert not (tmp_path / "data").exists()


async def test_status_shows_the_metrics(tmp_path: Path) -> None:
    """After a conversation `status` counts its turns. No message waits for an answer."""
    await Process.run(tmp_path, {}, "chat", typed="my VPN is down\nstill down\n")

    ended = await Process.run(tmp_path, {}, "status")

    assert ended.status == 0
    figures = dict(line.split("\t") for line in ended.lines)
    assert (figures["owed_messages"], figures["answered_turns"], figures["failed_turns"]) == ("0", "2", "0")
    assert (figures["taken_over_turns"], figures["failed_deliveries"]) == ("0", "0")


async def test_erase_needs_a_confirmation(tmp_path: Path) -> None:
    """Without a terminal, `erase` needs `--yes`. It always needs a scope."""
    await Process.run(tmp_path, {}, "chat", typed="my VPN is down\nstill down\n")

    nothing = await Process.run(tmp_path, {}, "erase")
    empty = await Process.run(tmp_path, {}, "erase", "--user", "", "--yes")
    unasked = await Process.run(tmp_path, {}, "erase", "--workspace", "local")
    elsewhere = await Process.run(tmp_path, {}, "erase", "--workspace", "local", "--user", "U0NOBODY", "--yes")
    erased = await Process.run(tmp_path, {}, "erase", "--workspace", "local", "--yes")

    assert [ended.status for ended in (nothing, empty, unasked, elsewhere, erased)] == [1, 2, 1, 0, 0]
    assert "--workspace" in nothing.lines[0]
    assert "--yes" in unasked.lines[0]
    assert [*elsewhere.lines, *erased.lines] == [
        f"Erased 0 messages.{admin.IDS}",
        "Erased 2 messages.",
    ]
    assert b"VPN" not in (tmp_path / "data" / "attendant.db").read_bytes()


class Terminal(io.StringIO):
    """A terminal with typed input."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


@pytest.mark.usefixtures("loggers_as_before")
@pytest.mark.parametrize(("typed", "erased"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_erase_asks_on_a_terminal(
    typed: str,
    erased: bool,  # noqa: FBT001 - a table's column
    empty_sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The question has the number of messages. Only a yes erases. The end of input does not."""
    monkeypatch.setenv("DATABASE_URL", empty_sqlite_url)
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    status = main.main(["erase", "--user", "U1"])

    said = capsys.readouterr().out
    assert said.startswith("Erase 0 messages in 0 conversations")
    assert (status, "Nothing was erased." in said) == (0 if erased else 1, not erased)


async def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    """A key is shown once. The list has its id, name, state and limits, and never its secret."""
    assert "no key" in (await Process.run(tmp_path, {}, "keys", "list")).lines[0]
    arguments = ("--days", "30", "--requests-per-minute", "5", "--tokens-per-minute", "700")
    made = await Process.run(tmp_path, {}, "keys", "create", "my website", *arguments)
    (text,) = [line for line in made.lines if line.startswith("sk-att-")]
    key_id, secret = text.split("-")[2:]
    listed = [(await Process.run(tmp_path, {}, "keys", "list")).lines]
    revoked = await Process.run(tmp_path, {}, "keys", "revoke", key_id)
    listed.append((await Process.run(tmp_path, {}, "keys", "list")).lines)

    _, name, state, _, expires_at, _, requests, tokens = listed[0][0].split("\t")
    assert (name, state, bool(expires_at), requests, tokens) == ("my website", "valid", True, "5", "700")
    assert (revoked.status, listed[1][0].split("\t")[2]) == (0, "revoked")
    assert [lines[0].startswith(key_id) and secret not in lines[0] for lines in listed] == [True, True]
    assert (await Process.run(tmp_path, {}, "keys", "revoke", key_id)).status == 1


@pytest.mark.parametrize("name", [" ", "x" * 65, "web\x1b[2Jsite"])
async def test_a_key_with_an_invalid_name_is_refused(tmp_path: Path, name: str) -> None:
    """A name that cannot be stored and shown unchanged is refused in one line."""
    refused = await Process.run(tmp_path, {}, "keys", "create", name)

    assert (refused.status, "argument name:" in refused.lines[-1]) == (2, True)
    assert "no key" in (await Process.run(tmp_path, {}, "keys", "list")).lines[0]


@pytest.mark.usefixtures("loggers_as_before")
def test_a_closed_pipe_is_no_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A reader such as `| head -1` that stops early causes no error message."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as unread:
        monkeypatch.setattr(sys, "stdout", unread)
        status = main.main(["manifest"])

    assert (status, capsys.readouterr().err) == (main.UNREAD, "")
