"""The worker: many threads at once, each by one alone; what others leave is found, what breaks is tried again."""

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
from tests.support.store_driver import Books
from tests.support.work_layer import MAX_ATTEMPTS, WIDE, Desk, Echo

AWAY = PlatformUnavailable("the platform cannot be reached")


@pytest.fixture
async def echoing(store: Store, clock: SettableClock) -> AsyncIterator[Desk]:
    """A desk whose model says back what it was asked."""
    opened = Desk(store, Echo(), clock, limits=dataclasses.replace(WIDE, total=3))
    yield opened
    await opened.worker.stop(drain_seconds=0)


async def test_many_threads_are_answered_at_once(desk: Desk, llm: ScriptedLLM) -> None:
    """A thread that thinks holds no other up."""
    desk.adapter.open.clear()
    for number in range(50):
        llm.script("ok")
        await desk.inbox.accept(mention("hi", in_=thread(number)))
    await desk.adapter.until(lambda: desk.adapter.running == 50)
    desk.adapter.open.set()
    await desk.worker.idle()

    assert len(desk.adapter.replies) == 50


async def test_a_few_turns_begin_at_once(empty_sqlite_url: str, clock: SettableClock) -> None:
    """However many are due, the next thing that needs the database waits for some of them, not for all."""
    store, go_on = Store(empty_sqlite_url), threading.Event()
    desk, books = Desk(store, Echo(), clock), Books(store, clock)
    owed = [QueueEntry(await books.accepted(mention("hi", in_=thread(number))), "T1", "U-ANA") for number in range(50)]
    busy = await busied(store, go_on)
    for each in owed:
        desk.worker.wake(each)
    for _ in range(5):
        await asyncio.sleep(0)
    begun = asyncio.create_task(books.rows(TURNS))
    await asyncio.sleep(0)
    go_on.set()

    assert len(await begun) == CLAIMS_AT_ONCE
    await busy
    await desk.worker.idle()
    assert len(desk.adapter.replies) == 50
    await store.close()


async def test_no_more_run_at_once_than_were_allowed(echoing: Desk) -> None:
    """The others wait for their turn, and get it."""
    echoing.adapter.open.clear()
    for number in range(10):
        await echoing.inbox.accept(mention("hi", in_=thread(number)))
    await echoing.adapter.until(lambda: echoing.adapter.running == 3)
    echoing.adapter.open.set()
    await echoing.worker.idle()

    assert echoing.adapter.most_running == 3
    assert len(echoing.adapter.replies) == 10


async def test_many_messages_at_once_in_one_thread_have_one_worker(echoing: Desk) -> None:
    """They may be one turn or several, but never two at a time, and every message is in one of them."""
    await asyncio.gather(*(echoing.inbox.accept(mention(str(number), f"{number:03}")) for number in range(10, 30)))
    await echoing.worker.idle()

    answers = "\n\n".join(echoing.adapter.replies[THREAD])
    assert sorted(answers.split("\n\n")) == [str(number) for number in range(10, 30)]
    assert echoing.adapter.most_in_one_thread == 1


async def test_a_look_finds_what_another_process_left(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """A message that was accepted, but never taken up, is answered."""
    await books.accept(mention("hi"))
    llm.script("hello")
    await desk.worker.poll()

    assert await desk.adapter.shown(THREAD) == ["hello"]


async def test_a_dead_workers_turn_is_taken_over_when_its_lease_is_out(
    desk: Desk, books: Books, llm: ScriptedLLM
) -> None:
    """Not before: it may only be slow."""
    await books.claimed(await books.accepted(mention("hi")), "somebody who dies")
    await desk.worker.poll()
    await desk.worker.idle()
    assert desk.adapter.asked == []
    await books.lapse()
    llm.script("hello")
    await desk.worker.poll()

    assert await desk.adapter.shown(THREAD) == ["hello"]
    await desk.worker.idle()
    assert [turn.attempt for turn in await desk.turns()] == [2]


async def test_what_runs_keeps_its_lease(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """However long an answer takes, nobody else takes it over while its worker lives."""
    hold = PausedStep()
    llm.script(hold, "hello")
    await desk.inbox.accept(mention("hi"))
    await hold.reached()
    for _ in range(4):
        await books.lapse()
        await desk.leases.renew()
    assert await books.claim(1, "two") is None
    hold.release()

    assert await desk.adapter.shown(THREAD) == ["hello"]


async def test_a_turn_that_broke_is_taken_up_by_the_next_look(
    desk: Desk, llm: ScriptedLLM, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, the worker lives on, and nobody waits for a lease to run out."""
    desk.adapter.failures = [RuntimeError("a bug")]
    await desk.inbox.accept(mention("hi"))
    await desk.worker.idle()
    assert "a bug" in caplog.text
    llm.script("hello")
    await desk.worker.poll()

    assert await desk.adapter.shown(THREAD) == ["hello"]


async def test_a_turn_that_always_breaks_ends_in_a_sentence(desk: Desk) -> None:
    """Nobody is left without a word, and nothing is tried for ever."""
    desk.adapter.failures = [RuntimeError("a bug")] * MAX_ATTEMPTS
    await desk.inbox.accept(mention("hi"))
    for _ in range(MAX_ATTEMPTS + 2):
        await desk.worker.idle()
        await desk.worker.poll()
    await desk.worker.idle()

    assert desk.adapter.replies[THREAD] == [wording.SOMETHING_BROKE]
    assert [turn.state for turn in await desk.turns()] == ["failed"]


async def test_a_platform_that_is_away_is_tried_again_after_a_pause(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """Not before, not by anybody; what was accepted meanwhile waits for its turn as well."""
    desk.adapter.failures = [AWAY]
    await desk.inbox.accept(mention("hi", "1.0"))
    await desk.worker.idle()
    await desk.inbox.accept(reply("and?", "2.0"))
    await desk.worker.poll()
    await desk.worker.idle()
    assert len(desk.adapter.asked) == 1
    llm.script("hello")
    llm.script("and hello")
    await books.lapse()
    await desk.worker.poll()
    await desk.worker.idle()

    assert desk.adapter.replies[THREAD] == ["hello", "and hello"]
    assert [(turn.state, turn.attempt, turn.postponed) for turn in await desk.turns()] == [
        ("answered", 2, 1),
        ("answered", 1, 0),
    ]


async def test_the_pauses_become_longer_up_to_a_limit(empty_sqlite_url: str, clock: SettableClock) -> None:
    """A platform that is away for long is not asked every moment, and one that is back is soon found to be."""
    desk = Desk(Store(empty_sqlite_url), Echo(), clock)
    books = Books(desk.store, clock)
    desk.adapter.failures = [AWAY] * 8
    await desk.inbox.accept(mention("hi"))
    pauses = []
    for _ in range(8):
        await desk.worker.idle()
        [row] = await books.rows(THREADS)
        pauses.append((row.lease_until - clock.now()).total_seconds())
        await books.lapse()
        await desk.worker.poll()
    await desk.worker.idle()
    await desk.store.close()

    assert pauses == [2, 4, 8, 16, 32, *[LONGEST_PAUSE_S] * 3]
    assert desk.adapter.replies[THREAD] == ["hi"]


@pytest.mark.parametrize(
    "function", [past.before, posted_messages.posted, claims.settle], ids=["begins", "grows", "ends"]
)
async def test_a_database_that_is_away_while_a_turn_runs_loses_nothing(
    empty_sqlite_url: str, clock: SettableClock, llm: ScriptedLLM, function: Callable[..., object]
) -> None:
    """The turn waits for it; then it goes on where it was, and is settled once, as it was said."""
    store = InterferedStore(empty_sqlite_url)
    desk = Desk(store, llm, clock)
    other = await rival(store)
    event.listen(store.engine, "handle_error", lambda _: other.rollback())

    async def once() -> None:
        del store.before[function]
        other.execute("BEGIN IMMEDIATE")

    store.before[function] = once
    llm.script("hello")
    await desk.inbox.accept(mention("hi"))
    await desk.worker.idle()

    assert (store.before, other.in_transaction) == ({}, False)
    assert desk.adapter.replies[THREAD] == ["hello"]
    assert [(turn.state, turn.answer, turn.attempt) for turn in await desk.turns()] == [("answered", "hello", 1)]
    await desk.store.close()
    other.close()


async def test_a_message_accepted_just_as_a_turn_ends_is_answered(store: Store, clock: SettableClock) -> None:
    """At whichever step of the turn's end it comes, the thread is taken up again without a look."""
    desk = Desk(store, Echo(), clock)
    left = iter(range(1, 150))
    accepting: set[asyncio.Task[bool]] = set()

    def next_one(_: str) -> None:
        if (number := next(left, None)) is not None:
            accepting.add(asyncio.create_task(accept(number)))

    async def accept(number: int) -> bool:
        for _ in range(number % 25):
            await asyncio.sleep(0)
        return await desk.inbox.accept(mention(str(number), f"{number:03}"))

    desk.adapter.afterwards = next_one
    await desk.inbox.accept(mention("0", "000"))

    assert await desk.adapter.shown(THREAD, 150) == [str(number) for number in range(150)]
    await desk.worker.stop(drain_seconds=5)


async def test_a_message_accepted_just_as_a_worker_finds_nothing_is_answered(
    database_url: str, clock: SettableClock
) -> None:
    """The one moment in which a wake-up could be lost."""
    store = InterferedStore(database_url)
    desk = Desk(store, Echo(), clock)
    late = iter([mention("late", "2.0"), mention("later", "3.0")])

    async def accept_one(found: Claim | None) -> None:
        if found is None and (message := next(late, None)) is not None:
            await desk.inbox.accept(message)

    store.after[claims.claim] = accept_one
    await desk.inbox.accept(mention("hi", "1.0"))
    await desk.worker.idle()
    await store.close()

    assert desk.adapter.replies[THREAD] == ["hi", "late", "later"]


async def test_two_replicas_answer_everything_once(store: Store, clock: SettableClock) -> None:
    """Whichever of them takes a message in, it is answered once, in order, one turn at a time in a thread."""
    one = Desk(store, Echo(), clock, owner="one")
    two = Desk(store, Echo(), clock, owner="two", adapter=one.adapter)
    for number in range(40):
        desk = (one, two)[number % 2]
        await desk.inbox.accept(mention(f"{number:03}", f"{number:03}", in_=thread(number % 4)))
    for desk in (one, two, one):
        await desk.worker.idle()
        await desk.worker.poll()
    await asyncio.gather(one.worker.idle(), two.worker.idle())

    said = {place: "\n\n".join(texts).split("\n\n") for place, texts in one.adapter.replies.items()}
    assert said == {thread(place): [f"{number:03}" for number in range(place, 40, 4)] for place in range(4)}
    assert one.adapter.most_in_one_thread == 1
