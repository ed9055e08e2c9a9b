"""Thousands of turns in one thread, with a model whose window is narrow."""

from __future__ import annotations

import itertools
import random
import statistics
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, event

from bot.domain.preferences import Profile
from bot.prompt.budget import Budget
from bot.prompt.marks import NOTE_ENDS
from bot.prompt.speakers import attributed, unattributed
from bot.store import preferences, tables
from bot.store.engine import Store
from bot.testing import SettableClock
from tests.support.builders import ANA, BEN, NOON, THREAD, edit, mention
from tests.support.narrow_model import WINDOW, Asked, NarrowModel
from tests.support.openai_client import client
from tests.support.openai_server import OpenAIServer
from tests.support.work_layer import WorkLayer

TURNS = 3_000
EDITED_TURNS = 5_000
FACTS = (1, 40, 900, EDITED_TURNS // 2, 3_700, EDITED_TURNS - 300)  # the turns that hold one
WARM = 50  # turns
SAMPLE = 500  # turns, over which the costs of single ones even out
FACT = "the code of door is bluebird7319"
PEOPLE, NAMES = (ANA, BEN), ("Ana", "Ben")
WORDS = ["my", "VPN", "drops", "every", "ten", "minutes", "since", "morning", "and", "nothing", "can", "be", "done"]


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_three_thousand_turns(backend: Backend, empty_sqlite_url: str) -> None:
    """The model accepts every request and sees all facts. The last turns cost as much as the early ones."""
    costs = await talk(backend, empty_sqlite_url)
    asked = backend.model.asked

    assert backend.model.refused == 0
    assert [text for each, text in zip(asked, shown(), strict=True) if not each.newest.endswith(f"\n\n{text}")] == []
    assert all(NOTE_ENDS in each.newest for each in asked)
    assert [number for number, each in enumerate(asked, 1) if number >= 3 and FACT not in each.facts] == []
    assert mean(costs[-SAMPLE:]) == pytest.approx(mean(costs[WARM : WARM + SAMPLE]), rel=0.2)
    assert cached_share(asked[WARM:]) > 0.8
    assert cached_share([each for each in asked[WARM:] if each.extends]) > 0.85


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [1, EDITED_TURNS // 2, EDITED_TURNS - 300])
async def test_an_edit_costs_at_most_three_requests(backend: Backend, empty_sqlite_url: str, number: int) -> None:
    """An edit of any of 5,000 turns takes at most three requests to sum them up again, each within the window.

    The next answer sees the rest of the summary, the one after that all of it.
    """
    store, llm = Store(empty_sqlite_url), client(backend.server.base_url)
    budget = Budget(window_tokens=WINDOW, answer_tokens=1_000, history_tokens=WINDOW)
    work_layer, model = WorkLayer(store, llm, SettableClock(), budget=budget), backend.model
    await store.run(fill_thread)
    asked = itertools.count(1)

    async def asks() -> int:
        """Ask a question; return how many summaries were requested after its answer."""
        before, count = model.summaries, next(asked)
        await work_layer.inbox.accept(mention(f"What now? {count}", f"{EDITED_TURNS + count:06}"))
        await work_layer.adapter.shown(THREAD, count)
        await work_layer.worker.idle()
        await work_layer.summariser.idle()
        return model.summaries - before

    while await asks():
        pass
    whole = {fact_of(each) for each in FACTS}
    assert model.summaries > 50
    assert model.asked[-1].facts == whole
    await work_layer.inbox.accept(edit(f"Now the code of {number} is raven", f"{number:06}"))
    requests = [await asks() for _ in range(4)]

    assert 1 <= sum(requests) <= 3
    assert model.asked[-4].facts == whole - {fact_of(number)}
    assert model.asked[-1].facts == whole - {fact_of(number)} | {f"the code of {number} is raven"}
    assert model.refused == 0
    await work_layer.worker.stop(drain_seconds=0)
    await store.close()
    await llm.aclose()


def fact_of(number: int) -> str:
    """Return the fact in a turn."""
    return f"the code of {number} is bird{number}"


def fill_thread(connection: Connection) -> None:
    """Insert a session of many turns, some of which hold a fact. Each is answered."""
    texts = [" ".join(WORDS * 4)] * EDITED_TURNS
    for number in FACTS:
        texts[number - 1] = f"Remember, {fact_of(number)}."
    owner, of_session = {"thread_id": 1, "session_id": "s1"}, {"opened_at": NOON, "last_active_at": NOON}
    turn = {"attempt": 1, "state": "answered", "answer": "Noted.", "started_at": NOON, "finished_at": NOON}
    message = {"author_id": ANA.id, "author_workspace": "T1", "attachments": [], "accepted_at": NOON}
    numbered = list(enumerate(texts, 1))
    rows = {
        tables.THREADS: [{**asdict(THREAD), "id": 1, "engaged": True}],
        tables.SESSIONS: [{**of_session, "id": "s1", "thread_id": 1, "follows_expired": False}],
        tables.TURNS: [{**turn, **owner, "id": number} for number, _ in numbered],
        tables.MESSAGES: [
            {**message, **owner, "turn_id": number, "message_id": f"{number:06}", "text": text}
            for number, text in numbered
        ],
    }
    for table, values in rows.items():
        connection.execute(sa.insert(table), values)


async def talk(backend: Backend, database_url: str) -> Sequence[int]:
    """Ask all questions, one after the other. Return the cost of each to the database."""
    store, llm = Store(database_url), client(backend.server.base_url)
    budget = Budget(window_tokens=WINDOW, answer_tokens=1_000, history_tokens=WINDOW)
    meter, clock = Meter(store), SettableClock()
    work_layer = WorkLayer(store, llm, clock, budget=budget)
    await introduce(work_layer)
    costs = []
    for number, text in enumerate(questions(), 1):
        before = meter.count
        clock.advance(timedelta(minutes=1))
        await work_layer.inbox.accept(mention(text, f"{number:06}", by=PEOPLE[number % 2]))
        await work_layer.adapter.shown(THREAD, number)
        await work_layer.worker.idle()
        costs.append(meter.count - before)
    await work_layer.worker.stop(drain_seconds=0)
    await work_layer.summariser.stop()
    await store.close()
    await llm.aclose()
    return costs


async def introduce(work_layer: WorkLayer) -> None:
    """Store two people with names and time zones. One of them has set every preference."""
    for person, name in zip(PEOPLE, NAMES, strict=True):
        work_layer.adapter.people[person.id] = name
        work_layer.adapter.profiles[person.id] = Profile("Asia/Tokyo", timedelta(hours=9), "ja-JP")
    wishes = {"name": "Rita", "language": "Portuguese", "tone": "brief", "about": "I use Linux.\nNo mouse."}
    place = (work_layer.adapter.platform, work_layer.adapter.workspace, PEOPLE[0].id)
    await work_layer.store.run(preferences.change, *place, wishes, now=NOON)


def shown() -> Iterator[str]:
    """Return each message as the model reads it: with its author's name, since the second person joined."""
    for number, text in enumerate(questions(), 1):
        yield unattributed(text, (), {}) if number == 1 else attributed(NAMES[number % 2], text)


def questions() -> Iterator[str]:
    """Yield messages: a few words, sometimes an identifier, an emoji, or a long log. The third holds a fact."""
    chance = random.Random(7)  # noqa: S311 - a test repeats itself
    for number in range(1, TURNS + 1):
        words = " ".join(chance.choices(WORDS, k=chance.randrange(4, 40)))
        if number == 3:
            yield f"Remember, {FACT}."
        elif number % 400 == 0:
            yield "\n".join(f"10:00:{line} ERROR {_identifier(chance)} reset by 10.81.4.17" for line in range(10, 60))
        elif number % 10 == 0:
            yield f"It says error {_identifier(chance)} 🎉 {number}"
        else:
            yield f"{number}: {words}?"


def _identifier(chance: random.Random) -> uuid.UUID:
    return uuid.UUID(int=chance.getrandbits(128))


def mean(costs: Sequence[int]) -> float:
    """Return the mean of these costs."""
    return statistics.mean(costs)


def cached_share(asked: Sequence[Asked]) -> float:
    """Return the share of their tokens that the backend had in its cache."""
    return sum(each.cached for each in asked) / sum(each.tokens for each in asked)


class Meter:
    """Measures the database's work in hundreds of virtual machine steps."""

    def __init__(self, store: Store) -> None:
        self.count = 0
        event.listen(store.engine, "connect", lambda connection, _: connection.set_progress_handler(self._step, 100))

    def _step(self) -> int:
        self.count += 1
        return 0


class Backend:
    """The model, and its server."""

    def __init__(self) -> None:
        self.model = NarrowModel()
        self.server = OpenAIServer(self.model, keep=1)


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    """The model, served."""
    served = Backend()
    await served.server.start()
    yield served
    await served.server.stop()
