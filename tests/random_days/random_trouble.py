"""The random suite's trouble: Slack, the model and the database fail, each in its ways, until all is calm again."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from bot.playground.playground_server import PlaygroundServer
from bot.playground.web_api.fault_injection import HeldCalls
from bot.slack.monotonic_clock import MonotonicClock
from tests.random_days.random_model import Model
from tests.random_days.random_steps import (
    DatabaseFails,
    LosesAcks,
    LosesSockets,
    Mishap,
    ModelFails,
    SlackFails,
    SlackSlow,
)

_CODES = {"chat.appendStream": "message_not_in_streaming_state"}
_OWED = "SELECT count(*) FROM messages LEFT JOIN turns ON turns.id = turn_id WHERE turn_id IS NULL OR state = 'running'"
_SETTLED = "SELECT message_id FROM messages JOIN turns ON turns.id = turn_id WHERE state <> 'running'"
_LEFT_BEHIND = {
    "messages are owed an answer": "SELECT count(*) FROM messages WHERE turn_id IS NULL",
    "turns run": "SELECT count(*) FROM turns WHERE state = 'running'",
    "threads are leased": "SELECT count(*) FROM threads WHERE lease_owner IS NOT NULL OR lease_until IS NOT NULL",
    "threads are to be interrupted": "SELECT count(*) FROM threads WHERE interrupted IS NOT NULL",
    "threads have several open sessions": "SELECT count(*) FROM (SELECT thread_id FROM sessions "
    "WHERE closed_at IS NULL GROUP BY thread_id HAVING count(*) > 1) AS several",
}
_END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid()"
)


class Database:
    """The bots' database, from outside."""

    def __init__(self, url: str) -> None:
        self._url = sa.make_url(url)
        named = (
            self._url.set(drivername="postgresql+psycopg") if self._url.get_backend_name() != "sqlite" else self._url
        )
        self._engine = sa.create_engine(named, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        self._locks: set[asyncio.Task[None]] = set()

    async def owes_nothing(self) -> bool:
        """Whether no message waits for an answer, and no turn runs."""
        return (await self._all(_OWED)) == [0]

    async def settled(self) -> set[str]:
        """Return the `ts` of the messages whose turns have ended."""
        return {str(ts) for ts in await self._all(_SETTLED)}

    async def left_behind(self) -> list[str]:
        """Return the rows that may not be left at the end, a line each."""
        found = {what: await self._all(query) for what, query in _LEFT_BEHIND.items()}
        return [f"database: {count} {what}" for what, (count,) in found.items() if count]

    async def fail(self, step: DatabaseFails) -> None:
        """End every connection to PostgreSQL, or lock SQLite's file for a while."""
        if self._url.get_backend_name() == "sqlite":
            task = asyncio.create_task(self._lock(step.seconds))
            self._locks.add(task)
            task.add_done_callback(self._locks.discard)
        else:
            await self._all(_END_ALL)

    async def calm(self) -> None:
        """Wait for the end of the locks."""
        await asyncio.gather(*self._locks)

    async def _all(self, query: str) -> Sequence[object]:
        def read() -> Sequence[object]:
            with self._engine.connect() as connection:
                return connection.execute(sa.text(query)).scalars().all()

        return await asyncio.to_thread(read)

    async def _lock(self, seconds: float) -> None:
        file = sqlite3.connect(str(self._url.database), isolation_level=None, timeout=30, check_same_thread=False)
        with contextlib.closing(file):
            await asyncio.to_thread(file.execute, "BEGIN IMMEDIATE")
            await MonotonicClock().pause(seconds)
            file.rollback()


class Trouble:
    """The failures around the bots."""

    def __init__(self, server: PlaygroundServer, model: Model, database: Database) -> None:
        self._server = server
        self._model = model
        self._database = database
        self._methods: set[str] = set()

    async def come(self, step: Mishap) -> None:
        """Begin this failure."""
        match step:
            case SlackFails():
                self._fail(step)
            case SlackSlow(method, after, seconds):
                self._methods.add(method)
                hold: HeldCalls = self._server.faults.hold(method, after=after)
                asyncio.get_running_loop().call_later(seconds, hold.release)
            case LosesAcks(count):
                self._server.faults.drop_acks(count)
            case LosesSockets(politely=True):
                with contextlib.suppress(ConnectionError):  # one of them was just ending by itself
                    await self._server.sockets.refresh()
            case LosesSockets():
                self._server.sockets.drop_all()
            case ModelFails(kind, times):
                self._model.trouble.extend([kind] * times)
            case DatabaseFails():
                await self._database.fail(step)

    async def calm(self) -> None:
        """End all failures."""
        for method in self._methods:
            self._server.faults.clear(method)
        self._model.calm()
        await self._database.calm()

    def _fail(self, step: SlackFails) -> None:
        self._methods.add(step.method)
        faults = self._server.faults
        match step.kind:
            case "refuse":
                faults.refuse(step.method, _CODES.get(step.method, "not_now"), step.times)
            case "rate_limit":
                faults.rate_limit(step.method, 1, step.times)
            case "lose_answer":
                faults.lose_answer(step.method, step.times)
            case "fail":
                faults.fail(step.method, step.times)
