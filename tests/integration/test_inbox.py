"""The door and the worker behind it: what is accepted is stored, and answered once. On both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from bot import wording
from bot.attendant import MAX_ATTEMPTS
from bot.errors import StoreUnavailable
from bot.sessions import ResetOutcome
from bot.store.engine import Store
from bot.store.tables import messages
from bot.testing import Hold, ScriptedLLM, SettableClock
from tests.books import MINUTE, Books
from tests.builders import ANA, BEN, THREAD, mention, reply, reset, thread
from tests.desk import Desk, Echo

CONFIRMED = wording.reset(ResetOutcome.DONE)


@pytest.fixture
async def echoing(store: Store, clock: SettableClock) -> AsyncIterator[Desk]:
    """A desk whose model says back what it was asked."""
    opened = Desk(store, Echo(), clock, max_running=3)
    yield opened
    await opened.worker.stop(drain_seconds=0)


async def test_what_is_accepted_is_committed(desk: Desk, llm: ScriptedLLM) -> None:
    """When accept returns, another connection sees the message, whatever the answer is doing."""
    hold = Hold()
    llm.script(hold, "hello")
    assert await desk.inbox.accept(mention("hi"))

    another = sa.create_engine(desk.store.engine.url, poolclass=sa.NullPool)
    with another.connect() as connection:
        assert connection.execute(sa.select(messages.c.text)).scalars().all() == ["hi"]
    hold.release()
    assert await desk.adapter.shown(THREAD) == ["hello"]


async def test_a_message_delivered_again_is_answered_once(desk: Desk, llm: ScriptedLLM) -> None:
    """In any shape, at once and later: the door says no, and the thread stays as it is."""
    llm.script("hello")
    accepted = await asyncio.gather(*(desk.inbox.accept(mention("hi")) for _ in range(5)))
    await desk.worker.idle()
    later = await desk.inbox.accept(reply("hi", "1.0"))
    await desk.worker.idle()

    assert sorted(accepted) == [False] * 4 + [True]
    assert not later
    assert desk.adapter.replies[THREAD] == ["hello"]


async def test_what_is_none_of_ours_is_refused_at_the_door(desk: Desk) -> None:
    """A message among people, and a reset where the bot takes no part."""
    assert not await desk.inbox.accept(reply("hi", "1.0"))
    assert not await desk.inbox.accept(reset("2.0"))


async def test_without_a_database_nothing_is_accepted(clock: SettableClock) -> None:
    """The platform is told so, that it delivers again."""
    desk = Desk(Store("postgresql://127.0.0.1:1/none"), Echo(), clock)
    with pytest.raises(StoreUnavailable):
        await desk.inbox.accept(mention("hi"))
    await desk.store.close()


async def test_what_arrives_during_a_turn_is_answered_together(desk: Desk, llm: ScriptedLLM) -> None:
    """The thread's next turn starts when the last one is settled, and holds all that came meanwhile."""
    hold = Hold()
    llm.script(hold, "first")
    llm.script("second")
    await desk.inbox.accept(mention("one", "1.0"))
    await hold.reached()
    await desk.inbox.accept(reply("two", "2.0"))
    await desk.inbox.accept(reply("three", "3.0"))
    hold.release()

    assert await desk.adapter.shown(THREAD, 2) == ["first", "second"]
    assert llm.calls[1].messages[-1]["content"] == "two\n\nthree"


async def test_many_messages_at_once_in_one_thread_have_one_worker(echoing: Desk) -> None:
    """They may be one turn or several, but never two at a time, and every message is in one of them."""
    await asyncio.gather(*(echoing.inbox.accept(mention(str(number), f"{number:03}")) for number in range(10, 30)))
    await echoing.worker.idle()

    answers = "\n\n".join(echoing.adapter.replies[THREAD])
    assert sorted(answers.split("\n\n")) == [str(number) for number in range(10, 30)]
    assert echoing.adapter.most_in_one_thread == 1


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


async def test_a_reset_ends_the_running_answer_and_is_confirmed_after_it(desk: Desk, llm: ScriptedLLM) -> None:
    """The answer says that it stops, the confirmation follows, and the next message starts anew."""
    hold = Hold()
    llm.script("Let me ", hold)
    llm.script("hello")
    await desk.inbox.accept(mention("hi", "1.0"))
    await hold.reached()
    await desk.inbox.accept(reset("2.0"))
    assert await desk.adapter.shown(THREAD, 2) == [f"Let me \n\n{wording.ABANDONED}", CONFIRMED]
    await desk.inbox.accept(reply("again", "3.0"))
    await desk.worker.idle()

    assert [message["content"] for message in llm.calls[1].messages[1:]] == ["again"]
    assert [turn.state for turn in await desk.turns()] == ["superseded", "answered", "answered"]


async def test_a_reset_asked_for_elsewhere_ends_the_running_answer(desk: Desk, llm: ScriptedLLM) -> None:
    """A slash command or a button acts on what runs, without a word in the thread."""
    hold = Hold()
    llm.script("Let me ", hold)
    await desk.inbox.accept(mention("hi", "1.0"))
    await hold.reached()

    assert await desk.inbox.reset(THREAD, ANA) is ResetOutcome.DONE
    await desk.worker.idle()
    assert desk.adapter.replies[THREAD] == [f"Let me \n\n{wording.ABANDONED}"]


@pytest.mark.parametrize("written", [True, False], ids=["in the thread", "elsewhere"])
async def test_somebody_elses_reset_ends_nothing(desk: Desk, llm: ScriptedLLM, *, written: bool) -> None:
    """Who took no part is refused, and the running answer comes to its end, whole and remembered."""
    hold = Hold()
    llm.script("Let me ", hold, "see")
    await desk.inbox.accept(mention("hi", "1.0", by=ANA))
    await hold.reached()
    if written:
        await desk.inbox.accept(reset("2.0", by=BEN))
    else:
        assert await desk.inbox.reset(THREAD, BEN) is ResetOutcome.NOT_YOURS
    hold.release()
    await desk.worker.idle()

    refusal = [wording.reset(ResetOutcome.NOT_YOURS)] if written else []
    assert desk.adapter.replies[THREAD] == ["Let me see", *refusal]
    assert (await desk.turns())[0].answer == "Let me see"


async def test_a_reset_before_the_first_word_asks_the_model_nothing(desk: Desk, llm: ScriptedLLM) -> None:
    """A turn that was claimed, but whose answer has not begun, is ended as well."""
    desk.adapter.known.clear()
    await desk.inbox.accept(mention("what does <@U-BEN> say?", "1.0"))
    await desk.adapter.until(lambda: bool(desk.adapter.looked_up))
    await desk.inbox.accept(reset("2.0"))
    desk.adapter.known.set()

    assert await desk.adapter.shown(THREAD, 2) == [wording.ABANDONED, CONFIRMED]
    assert llm.calls == []


async def test_an_abandoned_turn_does_not_end_the_next_one(desk: Desk, llm: ScriptedLLM) -> None:
    """What was said of one turn is forgotten with it."""
    desk.adapter.known.clear()
    await desk.inbox.accept(mention("what does <@U-BEN> say?", "1.0"))
    await desk.adapter.until(lambda: bool(desk.adapter.looked_up))
    await desk.inbox.reset(THREAD, ANA)
    desk.adapter.known.set()
    await desk.worker.idle()
    llm.script("hello")
    await desk.inbox.accept(reply("hi", "2.0"))

    assert (await desk.adapter.shown(THREAD, 2))[1] == "hello"


async def test_a_look_finds_what_another_process_left(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """A message that was accepted, but never taken up, is answered."""
    await books.accept(mention("hi"))
    llm.script("hello")
    await desk.worker.look()

    assert await desk.adapter.shown(THREAD) == ["hello"]


async def test_a_dead_workers_turn_is_taken_over_when_its_lease_is_out(
    desk: Desk, books: Books, llm: ScriptedLLM
) -> None:
    """Not before: it may only be slow."""
    await books.claimed(await books.accepted(mention("hi")), "somebody who dies")
    await desk.worker.look()
    await desk.worker.idle()
    assert desk.adapter.asked == []
    books.now += 2 * MINUTE
    llm.script("hello")
    await desk.worker.look()

    assert await desk.adapter.shown(THREAD) == ["hello"]
    await desk.worker.idle()
    assert [turn.attempt for turn in await desk.turns()] == [2]


async def test_what_runs_keeps_its_lease(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """However long an answer takes, nobody else takes it over while its worker lives."""
    hold = Hold()
    llm.script(hold, "hello")
    await desk.inbox.accept(mention("hi"))
    await hold.reached()
    for _ in range(4):
        books.now += MINUTE / 2
        await desk.worker.renew()
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
    await desk.worker.look()

    assert await desk.adapter.shown(THREAD) == ["hello"]


async def test_a_turn_that_always_breaks_ends_in_a_sentence(desk: Desk) -> None:
    """Nobody is left without a word, and nothing is tried for ever."""
    desk.adapter.failures = [RuntimeError("a bug")] * MAX_ATTEMPTS
    await desk.inbox.accept(mention("hi"))
    for _ in range(MAX_ATTEMPTS + 2):
        await desk.worker.idle()
        await desk.worker.look()
    await desk.worker.idle()

    assert desk.adapter.replies[THREAD] == [wording.SOMETHING_BROKE]
    assert [turn.state for turn in await desk.turns()] == ["failed"]


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


async def test_two_replicas_answer_everything_once(store: Store, clock: SettableClock) -> None:
    """Whichever of them takes a message in, it is answered once, in order, one turn at a time in a thread."""
    one = Desk(store, Echo(), clock, owner="one")
    two = Desk(store, Echo(), clock, owner="two", adapter=one.adapter)
    for number in range(40):
        desk = (one, two)[number % 2]
        await desk.inbox.accept(mention(f"{number:03}", f"{number:03}", in_=thread(number % 4)))
    for desk in (one, two, one):
        await desk.worker.idle()
        await desk.worker.look()
    await asyncio.gather(one.worker.idle(), two.worker.idle())

    said = {place: "\n\n".join(texts).split("\n\n") for place, texts in one.adapter.replies.items()}
    assert said == {thread(place): [f"{number:03}" for number in range(place, 40, 4)] for place in range(4)}
    assert one.adapter.most_in_one_thread == 1


async def test_to_stop_is_to_finish_what_runs(desk: Desk, llm: ScriptedLLM) -> None:
    """What runs comes to its end; what is accepted after that is stored for whoever starts next."""
    hold = Hold()
    llm.script(hold, "hello")
    await desk.inbox.accept(mention("hi", "1.0"))
    await hold.reached()
    stopping = asyncio.create_task(desk.worker.stop(drain_seconds=20))
    await asyncio.sleep(0)
    assert await desk.inbox.accept(reply("and?", "2.0"))
    hold.release()
    await stopping

    assert desk.adapter.replies[THREAD] == ["hello"]
    assert [turn.state for turn in await desk.turns()] == ["answered"]


async def test_what_does_not_finish_in_time_is_handed_back(desk: Desk, llm: ScriptedLLM, clock: SettableClock) -> None:
    """Another process can take it up at once."""
    hold = Hold()
    llm.script("Let me ", hold)
    await desk.inbox.accept(mention("hi"))
    await hold.reached()
    await desk.worker.stop(drain_seconds=0)
    assert desk.adapter.replies[THREAD] == []
    next_process = Desk(desk.store, llm, clock, owner="next")
    llm.script("hello")
    await next_process.worker.look()

    assert await next_process.adapter.shown(THREAD) == ["hello"]
    await next_process.worker.stop(drain_seconds=5)


async def test_a_persons_sessions_can_be_reset_one_by_one_or_all(desk: Desk, books: Books) -> None:
    """By its id only what is open and one's own is reset; all are those of the channel that the person took part in."""
    for number in range(4):
        await books.answer(mention("hi", by=BEN if number == 3 else ANA, in_=thread(number)))
    ours = await desk.inbox.open_sessions("desk", "T1", "C1", ANA)
    [theirs] = await desk.inbox.open_sessions("desk", "T1", "C1", BEN)

    assert await desk.inbox.reset_session(ours[0].id, ANA) is ResetOutcome.DONE
    assert await desk.inbox.reset_session(ours[0].id, ANA) is ResetOutcome.NOTHING
    assert await desk.inbox.reset_session(theirs.id, ANA) is ResetOutcome.NOT_YOURS
    assert await desk.inbox.reset_all("desk", "T1", "C1", ANA) == 2
    assert await desk.inbox.reset_all("desk", "T1", "C1", ANA) == 0
    assert await desk.inbox.open_sessions("desk", "T1", "C1", BEN) == [theirs]
