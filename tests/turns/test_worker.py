"""The worker: many threads at once, one turn at a time in each; takeovers, pauses and retries."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import event

from bot.domain import texts as wording
from bot.errors import PlatformUnavailable
from bot.store import claims, posted_messages
from bot.store import history as past
from bot.store.claims import Claim
from bot.store.engine import Store
from bot.store.leases import QueueEntry
from bot.store.tables import THREADS, TURNS
from bot.testing import PausedStep, ScriptedLLM, SettableClock
from bot.turns.worker import CLAIMS_AT_ONCE, LONGEST_PAUSE_S
from tests.support.builders import THREAD, mention, reply, thread
from tests.support.interfered_store import InterferedStore, busied, rival
from tests.support.store_driver import StoreDriver
from tests.support.work_layer import MAX_ATTEMPTS, WIDE, Echo, WorkLayer

AWAY = PlatformUnavailable("the platform cannot be reached")


@pytest.fixture
async def echoing(store: Store, clock: SettableClock) -> AsyncIterator[WorkLayer]:
    """Open a work layer whose model repeats the question."""
    opened = WorkLayer(store, Echo(), clock, limits=dataclasses.replace(WIDE, total=3))
    yield opened
    await opened.worker.stop(drain_seconds=0)


async def test_many_threads_are_answered_at_once(work_layer: WorkLayer, llm: ScriptedLLM) -> None:
    """A slow thread does not delay the others."""
    work_layer.adapter.may_write.clear()
    for number in range(50):
        llm.script("ok")
        await work_layer.inbox.accept(mention("hi", in_=thread(number)))
    await work_layer.adapter.until(lambda: work_layer.adapter.running == 50)
    work_layer.adapter.may_write.set()
    await work_layer.worker.idle()

    assert len(work_layer.adapter.replies) == 50


async def test_a_few_turns_begin_at_once(empty_sqlite_url: str, clock: SettableClock) -> None:
    """With many due turns, another transaction waits for a few claims only."""
    store, go_on = Store(empty_sqlite_url), threading.Event()
    work_layer, driver = WorkLayer(store, Echo(), clock), StoreDriver(store, clock)
    owed = [QueueEntry(await driver.accepted(mention("hi", in_=thread(number))), "T1", "U-ANA") for number in range(50)]
    busy = await busied(store, go_on)
    for each in owed:
        work_layer.worker.wake(each)
    for _ in range(5):
        await asyncio.sleep(0)
    begun = asyncio.create_task(driver.rows(TURNS))
    await asyncio.sleep(0)
    go_on.set()

    assert len(await begun) == CLAIMS_AT_ONCE
    await busy
    await work_layer.worker.idle()
    assert len(work_layer.adapter.replies) == 50
    await store.close()


async def test_no_more_run_at_once_than_were_allowed(echoing: WorkLayer) -> None:
    """Threads above the limit queue, and are answered later."""
    echoing.adapter.may_write.clear()
    for number in range(10):
        await echoing.inbox.accept(mention("hi", in_=thread(number)))
    await echoing.adapter.until(lambda: echoing.adapter.running == 3)
    echoing.adapter.may_write.set()
    await echoing.worker.idle()

    assert echoing.adapter.most_running == 3
    assert len(echoing.adapter.replies) == 10


async def test_many_messages_at_once_in_one_thread_have_one_worker(echoing: WorkLayer) -> None:
    """The messages may be one turn or several. Never do two turns run at once, and each message is in one of them."""
    await asyncio.gather(*(echoing.inbox.accept(mention(str(number), f"{number:03}")) for number in range(10, 30)))
    await echoing.worker.idle()

    answers = "\n\n".join(echoing.adapter.replies[THREAD])
    assert sorted(answers.split("\n\n")) == [str(number) for number in range(10, 30)]
    assert echoing.adapter.most_in_one_thread == 1


async def test_a_poll_finds_messages_of_another_process(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """A poll finds a message that another process accepted and did not answer."""
    await driver.accept(mention("hi"))
    llm.script("hello")
    await work_layer.worker.poll()

    assert await work_layer.adapter.shown(THREAD) == ["hello"]


async def test_a_dead_workers_turn_is_taken_over_when_its_lease_is_out(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """A turn is not taken over before its lease has run out, because its worker may only be slow."""
    await driver.claimed(await driver.accepted(mention("hi")), "somebody who dies")
    await work_layer.worker.poll()
    await work_layer.worker.idle()
    assert work_layer.adapter.targets == []
    await driver.lapse()
    llm.script("hello")
    await work_layer.worker.poll()

    assert await work_layer.adapter.shown(THREAD) == ["hello"]
    await work_layer.worker.idle()
    assert [turn.attempt for turn in await work_layer.turns()] == [2]


async def test_a_running_turn_keeps_its_lease(work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM) -> None:
    """A long answer keeps its lease while its worker lives."""
    hold = PausedStep()
    llm.script(hold, "hello")
    await work_layer.inbox.accept(mention("hi"))
    await hold.reached()
    for _ in range(4):
        await driver.lapse()
        await work_layer.leases.renew()
    assert await driver.claim(1, "two") is None
    hold.release()

    assert await work_layer.adapter.shown(THREAD) == ["hello"]


async def test_a_turn_that_broke_is_retried_by_the_next_poll(
    work_layer: WorkLayer, llm: ScriptedLLM, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception is logged, the worker continues, and the next poll retries the turn at once."""
    work_layer.adapter.failures = [RuntimeError("a bug")]
    await work_layer.inbox.accept(mention("hi"))
    await work_layer.worker.idle()
    (traceback,) = [vars(record)["traceback"] for record in caplog.records if record.getMessage() == "turn_broke"]
    assert traceback.startswith("RuntimeError (")
    assert "a bug" not in traceback  # an error's text may quote a person
    llm.script("hello")
    await work_layer.worker.poll()

    assert await work_layer.adapter.shown(THREAD) == ["hello"]


async def test_a_turn_that_always_breaks_ends_in_a_sentence(work_layer: WorkLayer) -> None:
    """After the last attempt the person gets a sentence."""
    work_layer.adapter.failures = [RuntimeError("a bug")] * MAX_ATTEMPTS
    await work_layer.inbox.accept(mention("hi"))
    for _ in range(MAX_ATTEMPTS + 2):
        await work_layer.worker.idle()
        await work_layer.worker.poll()
    await work_layer.worker.idle()

    assert work_layer.adapter.replies[THREAD] == [wording.SOMETHING_BROKE]
    assert [turn.state for turn in await work_layer.turns()] == ["failed"]


async def test_a_platform_that_is_away_is_tried_again_after_a_pause(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """No worker retries before the pause has passed, and later messages wait for the turn."""
    work_layer.adapter.failures = [AWAY]
    await work_layer.inbox.accept(mention("hi", "1.0"))
    await work_layer.worker.idle()
    await work_layer.inbox.accept(reply("and?", "2.0"))
    await work_layer.worker.poll()
    await work_layer.worker.idle()
    assert len(work_layer.adapter.targets) == 1
    llm.script("hello")
    llm.script("and hello")
    await driver.lapse()
    await work_layer.worker.poll()
    await work_layer.worker.idle()

    assert work_layer.adapter.replies[THREAD] == ["hello", "and hello"]
    assert [(turn.state, turn.attempt, turn.postponed) for turn in await work_layer.turns()] == [
        ("answered", 2, 1),
        ("answered", 1, 0),
    ]


async def test_the_pauses_become_longer_up_to_a_limit(empty_sqlite_url: str, clock: SettableClock) -> None:
    """The pause doubles with each attempt, up to a limit."""
    work_layer = WorkLayer(Store(empty_sqlite_url), Echo(), clock)
    driver = StoreDriver(work_layer.store, clock)
    work_layer.adapter.failures = [AWAY] * 8
    await work_layer.inbox.accept(mention("hi"))
    pauses = []
    for _ in range(8):
        await work_layer.worker.idle()
        [row] = await driver.rows(THREADS)
        pauses.append((row.lease_until - clock.now()).total_seconds())
        await driver.lapse()
        await work_layer.worker.poll()
    await work_layer.worker.idle()
    await work_layer.store.close()

    assert pauses == [2, 4, 8, 16, 32, *[LONGEST_PAUSE_S] * 3]
    assert work_layer.adapter.replies[THREAD] == ["hi"]


@pytest.mark.parametrize(
    "function", [past.before, posted_messages.posted, claims.settle], ids=["begins", "grows", "ends"]
)
async def test_a_database_that_is_away_while_a_turn_runs_loses_nothing(
    empty_sqlite_url: str, clock: SettableClock, llm: ScriptedLLM, function: Callable[..., object]
) -> None:
    """The turn waits for the database, continues, and is settled once with the whole answer."""
    store = InterferedStore(empty_sqlite_url)
    work_layer = WorkLayer(store, llm, clock)
    other = await rival(store)
    event.listen(store.engine, "handle_error", lambda _: other.rollback())

    async def once() -> None:
        del store.before[function]
        other.execute("BEGIN IMMEDIATE")

    store.before[function] = once
    llm.script("hello")
    await work_layer.inbox.accept(mention("hi"))
    await work_layer.worker.idle()

    assert (store.before, other.in_transaction) == ({}, False)
    assert work_layer.adapter.replies[THREAD] == ["hello"]
    assert [(turn.state, turn.answer, turn.attempt) for turn in await work_layer.turns()] == [("answered", "hello", 1)]
    await work_layer.store.close()
    other.close()


async def test_a_message_accepted_just_as_a_turn_ends_is_answered(store: Store, clock: SettableClock) -> None:
    """A message that arrives at any step of a turn's end is answered without a poll."""
    work_layer = WorkLayer(store, Echo(), clock)
    left = iter(range(1, 150))
    accepting: set[asyncio.Task[bool]] = set()

    def next_one(_: str) -> None:
        if (number := next(left, None)) is not None:
            accepting.add(asyncio.create_task(accept(number)))

    async def accept(number: int) -> bool:
        for _ in range(number % 25):
            await asyncio.sleep(0)
        return await work_layer.inbox.accept(mention(str(number), f"{number:03}"))

    work_layer.adapter.on_finish = next_one
    await work_layer.inbox.accept(mention("0", "000"))

    assert await work_layer.adapter.shown(THREAD, 150) == [str(number) for number in range(150)]
    await work_layer.worker.stop(drain_seconds=5)


async def test_a_message_accepted_just_as_a_worker_finds_nothing_is_answered(
    database_url: str, clock: SettableClock
) -> None:
    """A wake-up that arrives while the worker finds no message is not lost."""
    store = InterferedStore(database_url)
    work_layer = WorkLayer(store, Echo(), clock)
    late = iter([mention("late", "2.0"), mention("later", "3.0")])

    async def accept_one(found: Claim | None) -> None:
        if found is None and (message := next(late, None)) is not None:
            await work_layer.inbox.accept(message)

    store.after[claims.claim] = accept_one
    await work_layer.inbox.accept(mention("hi", "1.0"))
    await work_layer.worker.idle()
    await store.close()

    assert work_layer.adapter.replies[THREAD] == ["hi", "late", "later"]


async def test_two_replicas_answer_everything_once(store: Store, clock: SettableClock) -> None:
    """Each message is answered once, in order, one turn at a time in a thread, whichever replica accepted it."""
    one = WorkLayer(store, Echo(), clock, owner="one")
    two = WorkLayer(store, Echo(), clock, owner="two", adapter=one.adapter)
    for number in range(40):
        work_layer = (one, two)[number % 2]
        await work_layer.inbox.accept(mention(f"{number:03}", f"{number:03}", in_=thread(number % 4)))
    for work_layer in (one, two, one):
        await work_layer.worker.idle()
        await work_layer.worker.poll()
    await asyncio.gather(one.worker.idle(), two.worker.idle())

    answers = {place: "\n\n".join(texts).split("\n\n") for place, texts in one.adapter.replies.items()}
    assert answers == {thread(place): [f"{number:03}" for number in range(place, 40, 4)] for place in range(4)}
    assert one.adapter.most_in_one_thread == 1
