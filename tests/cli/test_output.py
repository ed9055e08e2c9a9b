"""The output of commands: tables for people, plain lines and JSON for scripts."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import re
import sys
from datetime import UTC, datetime, timedelta

import pytest

from bot import Attendant
from bot.cli import admin, keys, output
from bot.cli.output import Figure
from bot.config.settings import Settings
from bot.testing import ScriptedLLM

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROWS = [
    {"id": "a", "since": NOON, "turns": 1_000, "until": None},
    {"id": "b", "since": NOON, "turns": 2, "until": NOON},
]


class Terminal(io.StringIO):
    """An output that is a terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make standard output a terminal of 100 columns."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    return terminal


def test_a_script_reads_lines_of_values(capsys: pytest.CaptureFixture[str]) -> None:
    """A row is one line. Tabs separate its values, and a missing value is empty."""
    output.print_lines(ROWS)

    assert capsys.readouterr().out == (
        "a\t2026-01-01T12:00:00+00:00\t1000\t\nb\t2026-01-01T12:00:00+00:00\t2\t2026-01-01T12:00:00+00:00\n"
    )


def test_a_script_reads_json(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON keeps numbers and nulls, and writes times in ISO 8601."""
    output.print_json(ROWS[:1])

    assert json.loads(capsys.readouterr().out) == [
        {"id": "a", "since": "2026-01-01T12:00:00+00:00", "turns": 1000, "until": None}
    ]


def test_a_person_reads_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table has a title, headings and a line for each row."""
    terminal = open_terminal(monkeypatch)
    output.print_table(ROWS, ("id", "turns", "until"), title="2 rows")
    lines = terminal.getvalue().splitlines()

    assert "2 rows" in lines[0]
    assert all(heading in lines[2] for heading in ("id", "turns", "until"))
    assert ("1,000" in lines[4], "2026" in lines[5]) == (True, True)


def test_lists_fit_into_80_columns(monkeypatch: pytest.MonkeyPatch, empty_sqlite_url: str, llm: ScriptedLLM) -> None:
    """A long name and words about times take several lines. Neither a date, an id nor a number is cut."""
    settings = Settings.load({"DATABASE_URL": empty_sqlite_url})
    terminal = open_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", "80")
    secret = asyncio.run(keys.create(settings, "The intranet's chat " * 3, days=9, tokens_per_minute=100_000_000))
    asyncio.run(a_chat(settings, secret, llm))
    (key,) = asyncio.run(keys.every(settings))

    keys.list_command(settings, argparse.Namespace(json=False))
    admin.sessions_command(settings, argparse.Namespace(json=False, limit=9))

    shown = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    dates = {f"{key.created_at:%Y-%m-%d}", f"{key.expires_at:%Y-%m-%d}"}
    assert [value for value in {key.id, "valid", "default", "100,000,000", *dates} if value not in shown] == []
    assert (shown.count(key.id), max(map(len, shown.splitlines())) <= 80) == (2, True)


async def a_chat(settings: Settings, secret: str, llm: ScriptedLLM) -> None:
    """Make a session of this key."""
    llm.script("Turn it off")
    async with Attendant.open(settings, key=secret, llm=llm) as attendant:
        await attendant.send_message(await attendant.create_chat(), "My VPN is down")


def test_a_person_reads_figures_in_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each figure stands before its label, below the heading of its section."""
    terminal = open_terminal(monkeypatch)
    output.print_figures({"Now": [Figure(3, "turns run")], "Lately": [Figure(1, "turns failed", alert=True)]})
    shown = terminal.getvalue()

    assert shown.index("Now") < shown.index("turns run") < shown.index("Lately") < shown.index("turns failed")


@pytest.mark.parametrize(("passed", "mark", "word"), [(True, "✓", "ok"), (False, "✗", "FAILED")])
def test_a_check_is_marked(
    monkeypatch: pytest.MonkeyPatch,
    passed: bool,  # noqa: FBT001 - a table's column
    mark: str,
    word: str,
) -> None:
    """A terminal shows a mark. A pipe gets a word."""
    terminal = open_terminal(monkeypatch)
    output.print_check("database", "sqlite", passed=passed)
    monkeypatch.setattr(sys, "stdout", piped := io.StringIO())
    output.print_check("database", "sqlite", passed=passed)

    assert mark in terminal.getvalue()
    assert piped.getvalue() == f"{word:<8}database: sqlite\n"


def test_progress_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar counts the steps."""
    terminal = open_terminal(monkeypatch)
    with output.progress("Erasing", 3) as advance, output.waiting("Waiting"):
        advance(3)

    assert "3/3" in terminal.getvalue()


def test_a_pipe_gets_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """Output that is not a terminal gets neither a bar nor a spinner."""
    with output.progress("Erasing", 3) as advance, output.waiting("Waiting"):
        advance(3)

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=3), "3 min ago"),
        (timedelta(hours=30), "30 h ago"),
        (timedelta(days=2), "2 days ago"),
    ],
)
def test_times_are_printed_as_distances(passed: timedelta, words: str) -> None:
    """A time is given in the largest unit that fits. A time in the future counts as now."""
    assert output.ago(NOON - passed, NOON) == words
