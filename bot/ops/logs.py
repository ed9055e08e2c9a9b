"""Logs: readable lines on a terminal, JSON elsewhere.

Rule: a record is a fixed event name with fields in `extra`. It holds neither a secret nor a text that a person wrote.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # would forge a line, or steer the terminal
_LIBRARIES = (
    "slack_bolt",
    "slack_sdk",
    "aiohttp",
    "httpx2",
    "httpcore2",
    "openai",
    "apscheduler",
    "alembic",
    "asyncio",
)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, event, the record's fields, and the exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        entry: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


class HumanFormatter(logging.Formatter):
    """A line for people: time, level, event, then the record's fields as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, with the exception below it."""
        fields = "".join(f"  {key}={value}" for key, value in _fields(record).items())
        line = _CONTROL.sub(" ", f"{_time(record)[11:19]} {record.levelname.lower():<7} {record.getMessage()}{fields}")
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def set_up(level: str, form: str) -> None:
    """Send every log record to standard error. `form` is human, json, or auto: human on a terminal."""
    human = form == "human" or (form == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(HumanFormatter() if human else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("bot").setLevel(level.upper())
    for name in _LIBRARIES:  # their DEBUG and INFO print payloads
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)  # a job that still runs when it is due again


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD and value is not None}
