"""The command's arguments: help without imports, commands that exist."""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from bot.cli.main import load, main
from bot.cli.parser import make_parser

ROOT = Path(__file__).parents[2]
SLOW = {"openai", "slack_bolt", "slack_sdk", "sqlalchemy", "alembic", "aiohttp", "pydantic", "rich", "apscheduler"}
PRINT_MODULES = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules}), sort_keys=True)))
from bot.cli.main import main
main(sys.argv[1:])
"""


def modules_after(*arguments: str) -> set[str]:
    """Return the top-level modules that a command has imported in a process of its own."""
    command = [sys.executable, "-c", PRINT_MODULES, *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return set(json.loads(ended.stdout.splitlines()[-1]))


def commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the `module:function` of every word."""
    if (command := parser.get_default("command")) is not None:
        yield command
    for action in parser._actions:  # noqa: SLF001 - argparse does not list its words otherwise
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for word in action.choices.values():
                yield from commands(word)


@pytest.mark.parametrize("arguments", [["--help"], ["keys", "--help"], ["mistyped"]])
def test_help_imports_no_slow_library(arguments: list[str]) -> None:
    """A help text and a mistyped word need neither Slack's SDK, nor the model's client, nor SQLAlchemy."""
    imported = modules_after(*arguments)

    assert "bot" in imported
    assert imported & SLOW == set()


def test_every_command_exists() -> None:
    """The parser names the function of each command in a string. Each such function exists."""
    names = list(commands(make_parser()))

    assert len(names) == 13
    assert all(callable(load(name)) for name in names)


def test_only_commands_that_connect_to_slack_read_its_tokens() -> None:
    """Half a Slack configuration stops `run` and `doctor`. The other commands ignore it."""
    words = ["run", "doctor", "playground", "chat", "gateway", "status", "sessions", "manifest", "keys list"]
    connects = [word for word in words if not make_parser().parse_args(word.split()).without_slack]

    assert connects == ["run", "doctor"]


def test_a_missing_command_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command the program prints its usage and exits with the status of a usage error."""
    with pytest.raises(SystemExit, match="2"):
        main([])

    assert "usage: attendant" in capsys.readouterr().err


@pytest.mark.usefixtures("loggers_as_before")
@pytest.mark.parametrize("port", ["no port", "0"])
def test_the_garbage_collector_runs_again_after_any_end(
    port: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The start pauses the garbage collector. A bad setting or a failed check enables it again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", port)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}")  # a folder: the check of the database fails

    assert main(["run"]) == 1
    assert "attendant: " in "".join(capsys.readouterr())
    assert gc.isenabled()


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """It is the version of the package that runs."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert (ended.value.code, capsys.readouterr().out) == (0, f"attendant {version('attendant')}\n")
