"""The bot as a process that kills itself at a given point of a message's life. Only tests start it.

A point is `before` or `after` something: a store function's commit (`inbox.accept`), a call of Slack's Web API
(`chat.startStream`), or the acknowledgement (`ack`). Nothing in the bot itself knows of this.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import Connection

from bot import services
from bot.cli import run
from bot.config.settings import Settings
from bot.llm import openai as _openai  # noqa: F401 - imported once here, so that no forked bot has to
from bot.ops import logs, scheduler
from bot.slack.inbound import bolt_app as _bolt_app  # noqa: F401
from bot.slack.outbound import adapter as _adapter  # noqa: F401
from bot.store.engine import Store
from bot.turns.leases import LeaseKeeper

LEASE = timedelta(seconds=3)  # shorter than the bot's own, so that a takeover comes soon


@dataclass(frozen=True, slots=True)
class Point:
    """The point of death: before or after the nth occurrence of a step."""

    when: str  # before | after
    what: str
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.when} {self.what}" + (f" #{self.nth}" if self.nth > 1 else "")


def start(
    settings: Settings, point: Point | None = None, *, lease: timedelta = LEASE, log: Path | None = None
) -> BaseProcess:
    """Start a process that runs the bot with these settings. It is forked from one with all imports done.

    Its standard error is appended to the file `log`.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_main, args=(settings, point, lease, log), daemon=True)
    process.start()
    return process


def _main(settings: Settings, point: Point | None, lease: timedelta, log: Path | None) -> None:
    services.LeaseKeeper = partial(LeaseKeeper, length=lease)  # type: ignore[assignment,attr-defined] # this process is a test
    scheduler.RENEW_EVERY_S = lease.total_seconds() / 6  # type: ignore[attr-defined]
    if log is not None:
        os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), 2)
        logs.set_up("info", "human")
    if point is not None:
        _arm(point)
    raise SystemExit(asyncio.run(run.run(settings, announce=lambda _: None)))


def _arm(point: Point) -> None:
    counted = _Counted(point)
    run_transaction, call, acknowledge = (
        Store._transaction,  # noqa: SLF001 - where a commit happens
        AsyncWebClient.api_call,
        AsyncBaseSocketModeClient.send_socket_mode_response,
    )

    def transaction(store: Store, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        what = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"

        def uncommitted(connection: Connection, *args: Any, **kwargs: Any) -> Any:
            result = function(connection, *args, **kwargs)
            counted.passes("before", what)
            return result

        result = run_transaction(store, uncommitted, *args, **kwargs)
        counted.passes("after", what)
        return result

    async def api_call(client: AsyncWebClient, api_method: str, **kwargs: Any) -> Any:
        counted.passes("before", api_method)
        result = await call(client, api_method, **kwargs)
        counted.passes("after", api_method)
        return result

    async def respond(client: AsyncBaseSocketModeClient, response: Any) -> None:
        counted.passes("before", "ack")
        await acknowledge(client, response)
        counted.passes("after", "ack")

    Store._transaction = transaction  # type: ignore[assignment,method-assign] # noqa: SLF001 - this process is a test's
    AsyncWebClient.api_call = api_call  # type: ignore[assignment,method-assign]
    AsyncBaseSocketModeClient.send_socket_mode_response = respond  # type: ignore[assignment,method-assign]


class _Counted:
    """Counts the steps, and kills the process at its point."""

    def __init__(self, point: Point) -> None:
        self._point = point
        self._left = point.nth

    def passes(self, when: str, what: str) -> None:
        if (when, what) == (self._point.when, self._point.what):
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)
