"""The door: what is accepted is stored before anybody is told so, and answered once; resets reach what runs."""

from __future__ import annotations

import asyncio
import threading

import pytest
import sqlalchemy as sa

from bot.domain import texts
from bot.domain.events import Event, StopRequested, Uninstalled
from bot.domain.sessions import Interrupted, ResetOutcome, StopOutcome
from bot.errors import StoreUnavailable
from bot.store.engine import Store
from bot.store.tables import MESSAGES
from bot.testing import PausedStep, ScriptedLLM, SettableClock
from bot.turns.open_sessions import LISTED_SESSIONS
from tests.support.builders import ANA, BEN, THREAD, deletion, mention, reply, reset, stop, thread
from tests.support.interfered_store import busied
from tests.support.store_driver import Books
from tests.support.work_layer import Desk, Echo

CONFIRMED = texts.reset(ResetOutcome.DONE)
ENDED = texts.interrupted(Interrupted.RESET)
STOPPED = texts.interrupted(Interrupted.STOPPED)


async def test_what_is_accepted_is_committed(desk: Desk, llm: ScriptedLLM) -> None:
    """When accept returns, another connection sees the message, whatever the answer is doing."""
    hold = PausedStep()
    llm.script(hold, "hello")
    assert await desk.inbox.accept(mention("hi"))

    another = sa.create_engine(desk.store.engine.url, poolclass=sa.NullPool)
    with another.connect() as connection:
        assert connection.execute(sa.select(MESSAGES.c.text)).scalars().all() == ["hi"]
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


@pytest.mark.parametrize(
    "event",
    [reply("and?", "2.0"), reset("2.0"), stop("2.0"), stop(), deletion(), Uninstalled("desk", "T1")],
    ids=["message", "reset", "stop", "button", "deletion", "uninstall"],
)
async def test_what_comes_in_is_taken_in_before_anything_else_is_done(
    empty_sqlite_url: str, llm: ScriptedLLM, clock: SettableClock, event: Event
) -> None:
    """The platform waits for it: whatever stands in line for the database waits until it is stored."""
    store, hold, first, order = Store(empty_sqlite_url), PausedStep(), threading.Event(), list[str]()
    desk = Desk(store, llm, clock)
    llm.script("Let me ", hold)
    await desk.inbox.accept(mention("hi", "1.0"))
    await hold.reached()
    busy = await busied(store, first)
    sa.event.listen(store.engine, "commit", lambda _: order.append("commit"))
    in_line = asyncio.create_task(store.run(lambda _: order.append("in line")))
    accepting = asyncio.create_task(desk.inbox.accept(event))
    await asyncio.sleep(0)
    first.set()
    await asyncio.gather(busy, accepting, in_line)

    assert order[:2] == ["commit", "commit"]  # of what kept the database busy, then of what came in
    await desk.worker.stop(drain_seconds=0)
    await store.close()


async def test_what_arrives_during_a_turn_is_answered_together(desk: Desk, llm: ScriptedLLM) -> None:
    """The thread's next turn starts when the last one is settled, and holds all that came meanwhile."""
    hold = PausedStep()
    llm.script(hold, "first")
    llm.script("second")
    await desk.inbox.accept(mention("one", "1.0"))
    await hold.reached()
    await desk.inbox.accept(reply("two", "2.0"))
    await desk.inbox.accept(reply("three", "3.0"))
    hold.release()

    assert await desk.adapter.shown(THREAD, 2) == ["first", "second"]
    assert llm.calls[1].messages[-1]["content"] == "two\n\nthree"


async def test_a_reset_ends_the_running_answer_and_is_confirmed_after_it(desk: Desk, llm: ScriptedLLM) -> None:
    """The answer says that it stops, the confirmation follows, and the next message starts anew."""
    hold = PausedStep()
    llm.script("Let me ", hold)
    llm.script("hello")
    await desk.inbox.accept(mention("hi", "1.0"))
    await hold.reached()
    await desk.inbox.accept(reset("2.0"))
    assert await desk.adapter.shown(THREAD, 2) == [f"Let me \n\n{ENDED}", CONFIRMED]
    await desk.inbox.accept(reply("again", "3.0"))
    await desk.worker.idle()

    assert [message["content"] for message in llm.calls[1].messages[1:]] == ["again"]
    assert [turn.state for turn in await desk.turns()] == ["superseded", "answered", "answered"]


async def test_a_reset_asked_for_elsewhere_ends_the_running_answer(desk: Desk, llm: ScriptedLLM) -> None:
    """A slash command or a button acts on what runs, without a word in the thread."""
    hold = PausedStep()
    llm.script("Let me ", hold)
    await desk.inbox.accept(mention("hi", "1.0"))
    await hold.reached()

    assert await desk.sessions.reset(THREAD, ANA) is ResetOutcome.DONE
    await desk.worker.idle()
    assert desk.adapter.replies[THREAD] == [f"Let me \n\n{ENDED}"]


@pytest.mark.parametrize("written", [True, False], ids=["in the thread", "elsewhere"])
async def test_somebody_elses_reset_ends_nothing(desk: Desk, llm: ScriptedLLM, *, written: bool) -> None:
    """Who took no part is refused, and the running answer comes to its end, whole and remembered."""
    hold = PausedStep()
    llm.script("Let me ", hold, "see")
    await desk.inbox.accept(mention("hi", "1.0", by=ANA))
    await hold.reached()
    if written:
        await desk.inbox.accept(reset("2.0", by=BEN))
    else:
        assert await desk.sessions.reset(THREAD, BEN) is ResetOutcome.NOT_YOURS
    hold.release()
    await desk.worker.idle()

    refusal = [texts.reset(ResetOutcome.NOT_YOURS)] if written else []
    assert desk.adapter.replies[THREAD] == ["Let me see", *refusal]
    assert (await desk.turns())[0].answer == "Let me see"


async def test_a_reset_before_the_first_word_asks_the_model_nothing(desk: Desk, llm: ScriptedLLM) -> None:
    """A turn that was claimed, but whose answer has not begun, is ended as well."""
    desk.adapter.known.clear()
    await desk.inbox.accept(mention("what does <@U-BEN> say?", "1.0"))
    await desk.adapter.until(lambda: bool(desk.adapter.looked_up))
    await desk.inbox.accept(reset("2.0"))
    desk.adapter.known.set()

    assert await desk.adapter.shown(THREAD) == [CONFIRMED]
    assert len(desk.adapter.asked) == 2
    assert llm.calls == []


async def test_an_interrupted_turn_does_not_end_the_next_one(desk: Desk, llm: ScriptedLLM) -> None:
    """What was said of one turn is forgotten with it."""
    desk.adapter.known.clear()
    await desk.inbox.accept(mention("what does <@U-BEN> say?", "1.0"))
    await desk.adapter.until(lambda: bool(desk.adapter.looked_up))
    await desk.sessions.reset(THREAD, ANA)
    desk.adapter.known.set()
    await desk.worker.idle()
    llm.script("hello")
    await desk.inbox.accept(reply("hi", "2.0"))

    assert await desk.adapter.shown(THREAD) == ["hello"]


@pytest.mark.parametrize("asked", [stop("2.0"), stop()], ids=["written", "button"])
async def test_a_stop_ends_the_running_answer_and_keeps_what_was_said(
    desk: Desk, llm: ScriptedLLM, asked: StopRequested
) -> None:
    """The model's stream ends, too; the session goes on, and the model knows how far it got."""
    hold = PausedStep()
    llm.script("Let me ", hold)
    await desk.inbox.accept(mention("hi", "1.0"))
    await hold.reached()
    assert await desk.inbox.accept(asked)
    assert await desk.adapter.shown(THREAD) == [f"Let me \n\n{STOPPED}"]
    assert llm.closed_early == 1
    llm.script("hello")
    await desk.inbox.accept(reply("go on", "3.0"))
    await desk.worker.idle()

    assert [message["content"] for message in llm.calls[1].messages[1:]] == ["hi", f"Let me \n\n{STOPPED}", "go on"]
    assert [turn.state for turn in await desk.turns()] == ["stopped", "answered"]


async def test_a_stop_before_the_first_word_is_told(desk: Desk, llm: ScriptedLLM) -> None:
    """The person asked for the end and sees it, in the place of the answer; the model is not asked."""
    desk.adapter.known.clear()
    await desk.inbox.accept(mention("what does <@U-BEN> say?", "1.0"))
    await desk.adapter.until(lambda: bool(desk.adapter.looked_up))
    await desk.inbox.accept(stop("2.0"))
    desk.adapter.known.set()

    assert await desk.adapter.shown(THREAD) == [STOPPED]
    assert llm.calls == []


async def test_a_stop_where_nothing_runs_is_answered_once(desk: Desk, books: Books) -> None:
    """However often it is delivered, a line says so, and the next message is answered as ever."""
    await books.answer(mention("hi", "1.0"))
    assert [await desk.inbox.accept(stop("2.0")) for _ in range(2)] == [True, False]
    await desk.worker.idle()

    assert desk.adapter.replies[THREAD] == [texts.fixed_reply(StopOutcome.NOTHING_RUNS)]


async def test_the_deletion_of_the_question_ends_the_answer_and_forgets_it(desk: Desk, llm: ScriptedLLM) -> None:
    """What was said is marked; the next turn of the session knows nothing of it."""
    hold = PausedStep()
    llm.script("Let me ", hold)
    await desk.inbox.accept(mention("my secret", "1.0"))
    await hold.reached()
    assert await desk.inbox.accept(deletion("1.0"))
    assert await desk.adapter.shown(THREAD) == [f"Let me \n\n{texts.interrupted(Interrupted.DELETED)}"]
    llm.script("hello")
    await desk.inbox.accept(reply("hi", "2.0"))
    await desk.worker.idle()

    assert [message["content"] for message in llm.calls[1].messages[1:]] == ["hi"]


async def test_the_deletion_of_what_waits_leaves_it_unanswered(desk: Desk, llm: ScriptedLLM) -> None:
    """It came while another answer ran, and was deleted before its turn."""
    hold = PausedStep()
    llm.script(hold, "hello")
    await desk.inbox.accept(mention("hi", "1.0"))
    await hold.reached()
    await desk.inbox.accept(reply("never mind", "2.0"))
    await desk.inbox.accept(deletion("2.0"))
    hold.release()
    await desk.worker.idle()

    assert desk.adapter.replies[THREAD] == ["hello"]


async def test_an_uninstall_ends_every_answer_there(desk: Desk, llm: ScriptedLLM) -> None:
    """At once, whatever the answers were about."""
    hold = PausedStep()
    for number in range(3):
        llm.script("Let me ", hold)
        await desk.inbox.accept(mention("hi", in_=thread(number)))
    await llm.called(3)
    assert await desk.inbox.accept(Uninstalled("desk", "T1"))
    await desk.worker.idle()

    assert {turn.state for turn in await desk.turns()} == {"superseded"}
    assert not await desk.inbox.accept(reply("anybody?", "2.0"))


async def test_all_means_all_however_many_can_be_listed(desk: Desk, books: Books) -> None:
    """Lists have an end; what a person asks for, and the number they are told, have none."""
    many = LISTED_SESSIONS + 1
    for number in range(many):
        await books.accepted(mention("hi", in_=thread(number)))
    assert len(await desk.sessions.open_sessions("desk", "T1", "C1", ANA)) == LISTED_SESSIONS

    assert await desk.sessions.count_open("desk", "T1", "C1", ANA) == many
    assert await desk.sessions.reset_all("desk", "T1", "C1", ANA) == many
    assert await desk.sessions.count_open("desk", "T1", "C1", ANA) == 0


async def test_a_persons_sessions_can_be_reset_one_by_one_or_all(desk: Desk, books: Books) -> None:
    """By its id only what is open and one's own is reset; all are those of the channel that the person took part in."""
    for number in range(4):
        await books.answer(mention("hi", by=BEN if number == 3 else ANA, in_=thread(number)))
    ours = await desk.sessions.open_sessions("desk", "T1", "C1", ANA)
    [theirs] = await desk.sessions.open_sessions("desk", "T1", "C1", BEN)

    assert await desk.sessions.reset_session(ours[0].id, ANA) is ResetOutcome.DONE
    assert await desk.sessions.reset_session(ours[0].id, ANA) is ResetOutcome.NOTHING
    assert await desk.sessions.reset_session(theirs.id, ANA) is ResetOutcome.NOT_YOURS
    assert await desk.sessions.reset_all("desk", "T1", "C1", ANA) == 2
    assert await desk.sessions.reset_all("desk", "T1", "C1", ANA) == 0
    assert await desk.sessions.open_sessions("desk", "T1", "C1", BEN) == [theirs]
