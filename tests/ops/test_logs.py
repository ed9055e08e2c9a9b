"""Logs: one line for each record, with its fields, for people or for machines; libraries log warnings only."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest

from bot.ops import logs
from bot.ops.logs import HumanFormatter, JsonFormatter

pytestmark = pytest.mark.usefixtures("loggers_as_before")


def record(message: str, **fields: object) -> logging.LogRecord:
    """Return a record of the bot at a fixed time."""
    made = logging.LogRecord("bot.inbox", logging.WARNING, __file__, 1, message, (), None)
    made.created = 1_767_268_800.123
    vars(made).update(fields)
    return made


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


def raised() -> logging.LogRecord:
    """Return a record with an exception."""
    error = LookupError("no such thing")
    made = record("it broke")
    made.exc_info = (LookupError, error, None)
    return made


def test_a_machine_reads_one_object_a_line() -> None:
    """The object has the UTC time, level, logger, event and the record's fields, without fields that are None."""
    line = JsonFormatter().format(record("Grüße\n%", turn=7, session=None, place=object))

    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-01-01T12:00:00.123+00:00",
        "level": "warning",
        "logger": "bot.inbox",
        "event": "Grüße\n%",
        "turn": 7,
        "place": "<class 'object'>",
    }


def test_a_machine_reads_the_exception() -> None:
    """The object has the whole traceback."""
    assert "LookupError: no such thing" in json.loads(JsonFormatter().format(raised()))["exception"]


def test_a_person_reads_a_line() -> None:
    """The line has time, level, event and fields."""
    assert HumanFormatter().format(record("answered", turn=7)) == "12:00:00 warning answered  turn=7"


def test_a_person_reads_the_exception_below_the_line() -> None:
    """The first line is the event, the last the exception."""
    first, *_, last = HumanFormatter().format(raised()).splitlines()

    assert first.endswith("it broke")
    assert last == "LookupError: no such thing"


@pytest.mark.parametrize("character", ["\n", "\r", "\x1b", "\x00", "\u2028", "\x9b"])
def test_nothing_forges_a_line_or_controls_the_terminal(character: str) -> None:
    """Control characters in an event or a field become blanks."""
    line = HumanFormatter().format(record(f"a{character}b", detail=f"c{character}d"))

    assert line.endswith("a b  detail=c d")


@pytest.mark.parametrize(
    ("form", "terminal", "human"),
    [("auto", True, True), ("auto", False, False), ("human", False, True), ("json", True, False)],
)
def test_the_form_is_chosen(monkeypatch: pytest.MonkeyPatch, *, form: str, terminal: bool, human: bool) -> None:
    """`auto` is the human format on a terminal and JSON elsewhere. The other values are fixed."""
    stderr = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    logs.set_up("info", form)
    logging.getLogger("bot.app").info("running")

    assert stderr.getvalue().startswith("{") is not human
    assert "running" in stderr.getvalue()


@pytest.mark.parametrize("name", ["slack_bolt", "slack_sdk.web", "openai", "apscheduler.executors", "unheard.of"])
def test_other_libraries_log_only_warnings(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Their DEBUG and INFO records are dropped at any LOG_LEVEL, because they may contain people's texts."""
    logs.set_up("debug", "json")
    logging.getLogger(name).info("a payload")
    logging.getLogger(name).warning("a warning")
    logging.getLogger("bot.inbox").debug("ours")

    messages = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert messages == ["a warning", "ours"]
