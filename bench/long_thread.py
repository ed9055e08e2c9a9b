"""What a turn costs in a long thread, in a database with many others: `python -m bench.long_thread` alone.

Rule: the work layer itself, with an instant model and an adapter in memory, so that nothing else is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event

from bot.budget import Budget
from bot.history import ChatMessage
from bot.llm import NO_PARAMETERS, Done, Parameters
from bot.store import schema, tables
from bot.store.engine import Store
from bot.testing import SettableClock
from tests.builders import THREAD, mention
from tests.desk import Desk

SESSIONS, TURNS = 100_000, 10_000
AROUND = 0.05  # of a turn's number: the turns on either side that it is averaged over
MARKS = (10, 100, 1_000, 3_000, 10_000)
QUESTION = "My VPN drops every ten minutes since this morning, and I have restarted it twice. What else can I do? " * 3
ANSWER = "Have you tried another network? If it stays up there, the trouble is with your router, not with the VPN. " * 3
BUDGET = {"window_tokens": 128_000, "answer_tokens": 2_000, "history_tokens": 12_000}  # the defaults


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one turn, in milliseconds."""

    database: float
    cpu: float


class Instant:
    """A model that says the same to everything."""

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[str | Done]:
        """See LLM.stream."""
        del messages, parameters
        yield ANSWER
        yield Done("instant", None)


def lines(sessions: int = SESSIONS, turns: int = TURNS) -> Iterator[str]:
    """The table's lines: a column for each mark."""
    costs = asyncio.run(_measure(sessions, turns))
    marks = [mark for mark in MARKS if mark <= turns]
    yield ""
    yield f"One thread of {turns:,} turns on SQLite, beside {sessions:,} other sessions; medians around each turn."
    yield f"{'turn':32}" + "".join(f"{mark:>10,}" for mark in marks)
    for name, of in (("ms in the database", "database"), ("ms of CPU, all in all", "cpu")):
        yield f"{name:32}" + "".join(f"{_median(costs, mark, of):>10.1f}" for mark in marks)


def _median(costs: Sequence[Cost], mark: int, of: str) -> float:
    width = max(5, int(mark * AROUND))
    middle: float = statistics.median(getattr(cost, of) for cost in costs[max(0, mark - width) : mark + width])
    return middle


async def _measure(sessions: int, turns: int) -> list[Cost]:
    with tempfile.TemporaryDirectory(prefix="attendant-bench-", dir="/tmp") as folder:
        store = Store(f"sqlite:///{Path(folder) / 'attendant.db'}")
        await store.run(schema.upgrade)
        await store.run(_fill, sessions)
        try:
            return await _talk(store, turns)
        finally:
            await store.close()


async def _talk(store: Store, turns: int) -> list[Cost]:
    watch, desk = _Watch(store.engine), Desk(store, Instant(), SettableClock(), budget=Budget(**BUDGET))
    costs = []
    for number in range(1, turns + 1):
        database, cpu = watch.seconds, time.process_time()
        await desk.inbox.accept(mention(QUESTION, f"{number:06}"))
        await desk.adapter.shown(THREAD, number)
        await desk.worker.idle()
        costs.append(Cost((watch.seconds - database) * 1_000, (time.process_time() - cpu) * 1_000))
    await desk.worker.stop(drain_seconds=0)
    await desk.summariser.stop()
    return costs


class _Watch:
    """How long transactions have taken in all, from their begin until the connection is free again."""

    def __init__(self, engine: sa.Engine) -> None:
        self.seconds = 0.0
        self._began = 0.0
        event.listen(engine, "begin", self._begin)
        event.listen(engine, "checkin", self._end)

    def _begin(self, _: sa.Connection) -> None:
        self._began = time.perf_counter()

    def _end(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._began


def _fill(connection: sa.Connection, sessions: int) -> None:
    """Open sessions of one turn, each in a thread of its own."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    place = {"platform": "desk", "workspace": "T2", "channel": "C2", "direct": False, "engaged": True}
    of_session = {"opened_at": noon, "last_active_at": noon, "follows_expired": False}
    turn = {"attempt": 1, "state": "answered", "answer": ANSWER, "started_at": noon, "finished_at": noon}
    said = {"author_id": "U9", "author_workspace": "T2", "text": QUESTION, "attachments": [], "accepted_at": noon}
    for start in range(1, sessions + 1, 10_000):
        some = range(start, min(start + 10_000, sessions + 1))
        rows = {
            tables.threads: [{**place, "id": n, "root": f"{n}"} for n in some],
            tables.sessions: [{**of_session, "id": f"s{n}", "thread_id": n} for n in some],
            tables.turns: [{**turn, "id": n, "thread_id": n, "session_id": f"s{n}"} for n in some],
            tables.messages: [
                {**said, "thread_id": n, "session_id": f"s{n}", "turn_id": n, "message_id": "1.0"} for n in some
            ],
        }
        for table, values in rows.items():
            connection.execute(sa.insert(table), values)


def main() -> None:
    """Measure, then print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.long_thread")
    parser.add_argument("--sessions", type=int, default=SESSIONS, help=f"others in the database (default: {SESSIONS})")
    parser.add_argument("--turns", type=int, default=TURNS, help=f"in the thread (default: {TURNS})")
    options = parser.parse_args()
    print(*lines(options.sessions, options.turns), sep="\n")


if __name__ == "__main__":
    main()
