"""The cost of a turn in a long thread, beside many other sessions. Alone: `python -m bench.long_thread`.

Rule: the work layer itself, with an instant model and an adapter in memory, so that nothing else is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event

from bot.domain.events import Thread
from bot.llm import NO_PARAMETERS, Done, Parameters
from bot.prompt.budget import Budget
from bot.prompt.history import ChatMessage
from bot.store import schema, tables
from bot.store.engine import Store
from bot.testing import SettableClock
from tests.support.builders import NOON, mention, thread
from tests.support.work_layer import WorkLayer

SESSIONS = 100_000
TURNS = (10, 100, 1_000, 3_000, 10_000)
BATCH = 10_000  # sessions made in one transaction
ROUNDS, WARM_UP = 100, 30  # turns in each thread, in turn
QUESTION = "My VPN drops every ten minutes since this morning, and I have restarted it twice. What else can I do? " * 3
ANSWER = "Have you tried another network? If it stays up there, the trouble is with your router, not with the VPN. " * 3


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one turn, in milliseconds."""

    database: float
    cpu: float


class Instant:
    """A model that gives the same answer to every request at once."""

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[str | Done]:
        """See LLM.stream."""
        del messages, parameters
        yield ANSWER
        yield Done("instant", None)


def lines(sessions: int = SESSIONS) -> Iterator[str]:
    """Yield the table's lines, with a column for each length."""
    costs = asyncio.run(_measure(sessions))
    yield ""
    yield f"A turn in threads of different lengths, on SQLite, beside {sessions:,} other sessions; medians of {ROUNDS}."
    yield f"{'turns before it':32}" + "".join(f"{length:>10,}" for length in costs)
    for name, of in (("ms in the database", "database"), ("ms of CPU, all in all", "cpu")):
        middles = (statistics.median(getattr(cost, of) for cost in some) for some in costs.values())
        yield f"{name:32}" + "".join(f"{middle:>10.1f}" for middle in middles)


async def _measure(sessions: int) -> dict[int, list[Cost]]:
    with tempfile.TemporaryDirectory(prefix="attendant-bench-", dir="/tmp") as folder:
        store = Store(f"sqlite:///{Path(folder) / 'attendant.db'}")
        await store.run(schema.upgrade)
        for start in range(1, sessions + 1, BATCH):
            places = [thread(number) for number in range(start, min(start + BATCH, sessions + 1))]
            await store.run(_fill, places, 1)
        try:
            return await _take_turns(store)
        finally:
            await store.close()


async def _take_turns(store: Store) -> dict[int, list[Cost]]:
    """Run one turn in each thread, round by round, so that other load on the machine falls on all of them."""
    talk = _Talk(store)
    long = [Thread("chat", "T1", "C2", f"{length}") for length in TURNS[1:]]
    for place, length in zip(long, TURNS[1:], strict=True):
        await store.run(_fill, [place], length)
    for place in long * WARM_UP:
        await talk.turn(place)
        await talk.work_layer.summariser.idle()
    costs: dict[int, list[Cost]] = {length: [] for length in TURNS}
    for number in range(ROUNDS):
        young = Thread("chat", "T1", "C3", f"{number}")  # a thread of ten turns does not stay one
        await store.run(_fill, [young], TURNS[0])
        for place, of_length in zip([young, *long], costs.values(), strict=True):
            of_length.append(await talk.turn(place))
    await talk.work_layer.worker.stop(drain_seconds=0)
    await talk.work_layer.summariser.stop()
    return costs


class _Talk:
    """Asks, and measures the cost."""

    def __init__(self, store: Store) -> None:
        defaults = Budget(window_tokens=128_000, answer_tokens=2_000, history_tokens=12_000)
        self.work_layer = WorkLayer(store, Instant(), SettableClock(), budget=defaults)
        self._watch = _Watch(store.engine)
        self._asked = 0

    async def turn(self, place: Thread) -> Cost:
        """Run one turn: a question and its answer."""
        self._asked += 1
        answered = len(self.work_layer.adapter.replies[place])
        database, cpu = self._watch.seconds, time.process_time()
        await self.work_layer.inbox.accept(mention(QUESTION, f"later {self._asked:09}", in_=place))
        await self.work_layer.adapter.shown(place, answered + 1)
        await self.work_layer.worker.idle()
        return Cost((self._watch.seconds - database) * 1_000, (time.process_time() - cpu) * 1_000)


class _Watch:
    """Measures the time of all transactions, from their begin until the connection is free again."""

    def __init__(self, engine: sa.Engine) -> None:
        self.seconds = 0.0
        self._began = 0.0
        event.listen(engine, "begin", self._begin)
        event.listen(engine, "checkin", self._end)

    def _begin(self, _: sa.Connection) -> None:
        self._began = time.perf_counter()

    def _end(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._began


def _fill(connection: sa.Connection, places: Sequence[Thread], length: int) -> None:
    """Insert an open session of so many turns into each of these threads."""
    of_session = {"opened_at": NOON, "last_active_at": NOON, "follows_expired": False}
    turn = {"attempt": 1, "state": "answered", "answer": ANSWER, "started_at": NOON, "finished_at": NOON}
    message = {"author_id": "U-ANA", "author_workspace": "T1", "text": QUESTION, "attachments": [], "accepted_at": NOON}
    first = (connection.execute(sa.select(sa.func.max(tables.THREADS.c.id))).scalar() or 0) + 1
    first_turn = (connection.execute(sa.select(sa.func.max(tables.TURNS.c.id))).scalar() or 0) + 1
    numbered = list(enumerate(places, first))
    owners = [{"thread_id": n, "session_id": f"s{n}"} for n, _ in numbered for _ in range(length)]
    rows = {
        tables.THREADS: [{**asdict(place), "id": n, "engaged": True} for n, place in numbered],
        tables.SESSIONS: [{**of_session, "id": f"s{n}", "thread_id": n} for n, _ in numbered],
        tables.TURNS: [{**turn, **owner, "id": n} for n, owner in enumerate(owners, first_turn)],
        tables.MESSAGES: [
            {**message, **owner, "turn_id": n, "message_id": f"{n:09}"} for n, owner in enumerate(owners, first_turn)
        ],
    }
    for table, values in rows.items():
        connection.execute(sa.insert(table), values)


def main() -> None:
    """Measure, then print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.long_thread")
    parser.add_argument("--sessions", type=int, default=SESSIONS, help=f"others in the database (default: {SESSIONS})")
    print(*lines(parser.parse_args().sessions), sep="\n")


if __name__ == "__main__":
    main()
