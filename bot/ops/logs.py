"""Logs: readable lines on a terminal, JSON elsewhere.

Rule: a record is a fixed event name with fields in `extra`. It holds neither a secret nor a text that a person wrote.
An exception's text may quote a person, a payload or the parameters of an SQL statement, so it is never printed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from bot.errors import trace

log = logging.getLogger(__name__)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # would forge a line, or steer the terminal
_QUOTATION = re.compile(r"[:'\"`“({\[<=\n]")  # begins in a library's text before an exception, a payload or a value
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
            "event": _event(record),
            **_fields(record),
        }
        if record.exc_info and record.exc_info[1]:
            entry["exception"] = trace(record.exc_info[1])
        return json.dumps(entry, ensure_ascii=False, default=str)


class HumanFormatter(logging.Formatter):
    """A line for people: time, level, event, then the record's fields as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, with the exception below it."""
        fields = "".join(f"  {key}={value}" for key, value in _fields(record).items())
        line = _CONTROL.sub(" ", f"{_time(record)[11:19]} {record.levelname.lower():<7} {_event(record)}{fields}")
        return f"{line}\n{trace(record.exc_info[1])}" if record.exc_info and record.exc_info[1] else line


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
    sys.excepthook = _log_uncaught
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_failed_thread
    logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)  # a job that still runs when it is due again


def _log_uncaught(_: type[BaseException], error: BaseException, __: TracebackType | None) -> None:
    log.error("process_failed", extra={"traceback": trace(error)})


def _log_unraisable(failure: sys.UnraisableHookArgs) -> None:
    log.error("finalizer_failed", extra={"traceback": trace(failure.exc_value)})


def _log_failed_thread(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_type is not SystemExit:  # which ends a thread without a word
        log.error("thread_failed", extra={"traceback": trace(failure.exc_value)})


def watch(loop: asyncio.AbstractEventLoop) -> None:
    """Log what asyncio reports on this loop, such as the exception of a task that was never awaited."""

    def report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        problem = _QUOTATION.split(context["message"], maxsplit=1)[0].rstrip()
        log.error("task_failed", extra={"problem": problem, "traceback": trace(context.get("exception"))})

    loop.set_exception_handler(report)


def _event(record: logging.LogRecord) -> str:
    """Return the text of a record. A library's text ends where it may begin to quote something."""
    if _is_ours(record):
        return record.getMessage()
    if not isinstance(record.msg, str):  # the library logs the exception itself
        return type(record.msg).__name__
    return record.msg if record.args else _QUOTATION.split(record.msg, maxsplit=1)[0].rstrip()


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] == "bot"


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields = vars(record).items() if _is_ours(record) else ()
    return {key: value for key, value in fields if key not in _STANDARD and value is not None}
