"""Logs: one line for each record, with its fields, for people or for machines; libraries log warnings only."""

from __future__ import annotations

import ast
import asyncio
import gc
import io
import json
import logging
import sys
import threading
from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from apscheduler.events import EVENT_JOB_ERROR
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from slack_bolt.listener.async_listener_error_handler import AsyncDefaultListenerErrorHandler
from slack_bolt.request.async_request import AsyncBoltRequest

from bot.ops import logs
from bot.ops.logs import HumanFormatter, JsonFormatter
from tests.test_architecture import sources

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
    """The object has the exception's type, without its text, which may quote a person."""
    assert json.loads(JsonFormatter().format(raised()))["exception"] == "LookupError"


def test_a_person_reads_a_line() -> None:
    """The line has time, level, event and fields."""
    assert HumanFormatter().format(record("answered", turn=7)) == "12:00:00 warning answered  turn=7"


def test_a_person_reads_the_exception_below_the_line() -> None:
    """The first line is the event, the last the exception."""
    first, *_, last = HumanFormatter().format(raised()).splitlines()

    assert first.endswith("it broke")
    assert last == "LookupError"


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


SECRET = "what Ana wrote"


async def fail() -> None:
    """Fail with an error that quotes a person."""
    raise ValueError(SECRET) from KeyError(SECRET)


async def lose_a_task() -> None:
    """Let asyncio report a task whose exception nobody reads."""
    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    gc.collect()


async def lose_a_watched_task() -> None:
    """Do the same on a loop that the bot watches."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    logs.watch(loop)
    try:
        await lose_a_task()
        loop.call_soon(print_and_fail, SECRET)
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(before)


def print_and_fail(words: str) -> None:
    """Fail as a callback with an argument, which asyncio's own report quotes."""
    raise ValueError(words)


async def fail_a_thread() -> None:
    """Let a thread end with an exception."""
    thread = threading.Thread(target=print_and_fail, args=(SECRET,))
    thread.start()
    thread.join()


class FailsAtTheEnd:
    """An object whose finalizer fails."""

    def __repr__(self) -> str:
        """Return words that Python's own report quotes."""
        return SECRET

    def __del__(self) -> None:
        """Fail."""
        raise ValueError(SECRET)


async def fail_a_finalizer() -> None:
    """Let the interpreter report an exception that nobody can catch."""
    FailsAtTheEnd()
    gc.collect()


async def fail_a_job() -> None:
    """Let the scheduler run a job that fails."""
    scheduler = AsyncIOScheduler()
    ran = asyncio.Event()
    scheduler.add_listener(lambda _: ran.set(), EVENT_JOB_ERROR)
    scheduler.add_job(fail)
    scheduler.start()
    await ran.wait()
    scheduler.shutdown()


async def fail_a_listener() -> None:
    """Let Bolt's own error handler report a listener that fails, to a logger without our redaction."""
    handler = AsyncDefaultListenerErrorHandler(logging.getLogger("slack_bolt.App"))
    request = AsyncBoltRequest(body=json.dumps({"text": SECRET}))
    try:
        await fail()
    except ValueError as error:
        await handler.handle(error=error, request=request, response=None)


async def fail_a_handler() -> None:
    """Let aiohttp's server report a handler that fails."""

    async def handle(_: web.Request) -> web.Response:
        raise ValueError(SECRET)

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestClient(TestServer(app)) as client:
        assert (await client.get("/")).status == 500


async def fail_a_connection() -> None:
    """Let SQLAlchemy's pool report a connection that it cannot reset."""
    pool = sa.create_engine("sqlite://").pool
    pool.logger.error("Exception during reset or similar", exc_info=ValueError(SECRET))
    pool.logger.error("Error closing cursor %r", SECRET)


async def log_an_exception() -> None:
    """Log an exception as the message itself, as some libraries do, and fields of a library's own."""
    logging.getLogger("unheard.of").error(ValueError(SECRET), extra={"payload": SECRET})
    logging.getLogger("unheard.of").error(f"Failed to send a request: {SECRET}")  # noqa: G004 - as Slack's SDK does


async def end_the_process() -> None:
    """Let Python report an exception that ends the process."""
    try:
        await fail()
    except ValueError as error:
        sys.excepthook(ValueError, error, None)


@pytest.mark.parametrize("form", ["human", "json"])
@pytest.mark.parametrize(
    "happens",
    [
        lose_a_task,
        lose_a_watched_task,
        fail_a_thread,
        fail_a_finalizer,
        fail_a_job,
        fail_a_listener,
        fail_a_handler,
        fail_a_connection,
        log_an_exception,
        end_the_process,
    ],
)
async def test_no_line_has_an_exceptions_text(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    happens: Callable[[], Awaitable[None]],
    form: str,
) -> None:
    """Libraries' lines show the types and the places of an exception and of its causes, and no text of either."""
    for module, hook in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(module, hook, getattr(module, hook))
    logs.set_up("debug", form)
    await happens()
    lines = capsys.readouterr().err

    assert "ValueError" in lines
    assert SECRET not in lines


def test_every_error_of_ours_is_logged_by_its_trace() -> None:
    """No call in bot/ passes an exception to the logging module, whose formatters would print its text.

    A program that uses the Python API has formatters of its own.
    """
    calls = [
        (source.name, node.lineno)
        for source in sources("bot")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if (node.func.attr == "exception" and node.args)
        or any(keyword.arg in {"exc_info", "stack_info"} for keyword in node.keywords)
    ]
    assert calls == []
