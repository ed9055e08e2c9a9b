"""The inbox: events are stored before they are acknowledged, and resets, stops and edits reach running turns."""

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
from tests.support.store_driver import StoreDriver
from tests.support.work_layer import Echo, WorkLayer

CONFIRMED = texts.reset(ResetOutcome.DONE)
ENDED = texts.interrupted(Interrupted.RESET)
STOPPED = texts.interrupted(Interrupted.STOPPED)


async def test_what_is_accepted_is_committed(work_layer: WorkLayer, llm: ScriptedLLM) -> None:
    """When accept returns, another connection can read the message."""
    hold = PausedStep()
    llm.script(hold, "hello")
    assert await work_layer.inbox.accept(mention("hi"))

    another = sa.create_engine(work_layer.store.engine.url, poolclass=sa.NullPool)
    with another.connect() as connection:
        assert connection.execute(sa.select(MESSAGES.c.text)).scalars().all() == ["hi"]
    hold.release()
    assert await work_layer.adapter.shown(THREAD) == ["hello"]


async def test_a_message_delivered_again_is_answered_once(work_layer: WorkLayer, llm: ScriptedLLM) -> None:
    """A duplicate in any form, at once or later, is ignored and changes nothing."""
    llm.script("hello")
    accepted = await asyncio.gather(*(work_layer.inbox.accept(mention("hi")) for _ in range(5)))
    await work_layer.worker.idle()
    later = await work_layer.inbox.accept(reply("hi", "1.0"))
    await work_layer.worker.idle()

    assert sorted(accepted) == [False] * 4 + [True]
    assert not later
    assert work_layer.adapter.replies[THREAD] == ["hello"]


async def test_events_that_do_not_concern_the_bot_are_ignored(work_layer: WorkLayer) -> None:
    """The inbox ignores messages between people, and resets in threads without the bot."""
    assert not await work_layer.inbox.accept(reply("hi", "1.0"))
    assert not await work_layer.inbox.accept(reset("2.0"))


async def test_without_a_database_nothing_is_accepted(clock: SettableClock) -> None:
    """Without a database, accept raises, so that the platform delivers the event again."""
    work_layer = WorkLayer(Store("postgresql://127.0.0.1:1/none"), Echo(), clock)
    with pytest.raises(StoreUnavailable):
        await work_layer.inbox.accept(mention("hi"))
    await work_layer.store.close()


@pytest.mark.parametrize(
    "event",
    [reply("and?", "2.0"), reset("2.0"), stop("2.0"), stop(), deletion(), Uninstalled("chat", "T1")],
    ids=["message", "reset", "stop", "button", "deletion", "uninstall"],
)
async def test_events_are_stored_ahead_of_other_transactions(
    empty_sqlite_url: str, llm: ScriptedLLM, clock: SettableClock, event: Event
) -> None:
    """An event is stored before all other queued transactions."""
    store, hold, first, order = Store(empty_sqlite_url), PausedStep(), threading.Event(), list[str]()
    work_layer = WorkLayer(store, llm, clock)
    llm.script("Let me ", hold)
    await work_layer.inbox.accept(mention("hi", "1.0"))
    await hold.reached()
    busy = await busied(store, first)
    sa.event.listen(store.engine, "commit", lambda _: order.append("commit"))
    queued = asyncio.create_task(store.run(lambda _: order.append("queued")))
    accepting = asyncio.create_task(work_layer.inbox.accept(event))
    await asyncio.sleep(0)
    first.set()
    await asyncio.gather(busy, accepting, queued)

    assert order[:2] == ["commit", "commit"]  # of what kept the database busy, then of what came in
    await work_layer.worker.stop(drain_seconds=0)
    await store.close()


async def test_what_arrives_during_a_turn_is_answered_together(work_layer: WorkLayer, llm: ScriptedLLM) -> None:
    """Messages that arrive during a turn are the next turn, which starts when the first one is settled."""
    hold = PausedStep()
    llm.script(hold, "first")
    llm.script("second")
    await work_layer.inbox.accept(mention("one", "1.0"))
    await hold.reached()
    await work_layer.inbox.accept(reply("two", "2.0"))
    await work_layer.inbox.accept(reply("three", "3.0"))
    hold.release()

    assert await work_layer.adapter.shown(THREAD, 2) == ["first", "second"]
    assert llm.calls[1].messages[-1]["content"] == "two\n\nthree"


async def test_a_reset_ends_the_running_answer_and_is_confirmed_after_it(
    work_layer: WorkLayer, llm: ScriptedLLM
) -> None:
    """The answer ends, the confirmation follows, and the next message opens a new session."""
    hold = PausedStep()
    llm.script("Let me ", hold)
    llm.script("hello")
    await work_layer.inbox.accept(mention("hi", "1.0"))
    await hold.reached()
    await work_layer.inbox.accept(reset("2.0"))
    assert await work_layer.adapter.shown(THREAD, 2) == [f"Let me \n\n{ENDED}", CONFIRMED]
    await work_layer.inbox.accept(reply("again", "3.0"))
    await work_layer.worker.idle()

    assert [message["content"] for message in llm.calls[1].messages[1:]] == ["again"]
    assert [turn.state for turn in await work_layer.turns()] == ["superseded", "answered", "answered"]


async def test_a_reset_from_outside_the_thread_ends_the_running_answer(work_layer: WorkLayer, llm: ScriptedLLM) -> None:
    """A reset by slash command or button ends the running answer, and posts nothing in the thread."""
    hold = PausedStep()
    llm.script("Let me ", hold)
    await work_layer.inbox.accept(mention("hi", "1.0"))
    await hold.reached()

    assert await work_layer.sessions.reset(THREAD, ANA) is ResetOutcome.DONE
    await work_layer.worker.idle()
    assert work_layer.adapter.replies[THREAD] == [f"Let me \n\n{ENDED}"]


@pytest.mark.parametrize("written", [True, False], ids=["in the thread", "elsewhere"])
async def test_somebody_elses_reset_ends_nothing(work_layer: WorkLayer, llm: ScriptedLLM, *, written: bool) -> None:
    """A reset by a person who took no part is refused. The running answer is finished and stored."""
    hold = PausedStep()
    llm.script("Let me ", hold, "see")
    await work_layer.inbox.accept(mention("hi", "1.0", by=ANA))
    await hold.reached()
    if written:
        await work_layer.inbox.accept(reset("2.0", by=BEN))
    else:
        assert await work_layer.sessions.reset(THREAD, BEN) is ResetOutcome.NOT_YOURS
    hold.release()
    await work_layer.worker.idle()

    refusal = [(THREAD, texts.reset(ResetOutcome.NOT_YOURS))] if written else []
    assert (work_layer.adapter.replies[THREAD], work_layer.adapter.notified) == (["Let me see"], refusal)
    assert (await work_layer.turns())[0].answer == "Let me see"


async def test_a_reset_before_the_first_word_calls_no_model(work_layer: WorkLayer, llm: ScriptedLLM) -> None:
    """A claimed turn whose answer has not begun is ended too."""
    work_layer.adapter.names_available.clear()
    await work_layer.inbox.accept(mention("what does <@U-BEN> say?", "1.0"))
    await work_layer.adapter.until(lambda: bool(work_layer.adapter.looked_up))
    await work_layer.inbox.accept(reset("2.0"))
    work_layer.adapter.names_available.set()

    assert await work_layer.adapter.shown(THREAD) == [CONFIRMED]
    assert len(work_layer.adapter.targets) == 2
    assert llm.calls == []


async def test_an_interrupted_turn_does_not_end_the_next_one(work_layer: WorkLayer, llm: ScriptedLLM) -> None:
    """The mark of an interruption is cleared when its turn ends."""
    work_layer.adapter.names_available.clear()
    await work_layer.inbox.accept(mention("what does <@U-BEN> say?", "1.0"))
    await work_layer.adapter.until(lambda: bool(work_layer.adapter.looked_up))
    await work_layer.sessions.reset(THREAD, ANA)
    work_layer.adapter.names_available.set()
    await work_layer.worker.idle()
    llm.script("hello")
    await work_layer.inbox.accept(reply("hi", "2.0"))

    assert await work_layer.adapter.shown(THREAD) == ["hello"]


@pytest.mark.parametrize("event", [stop("2.0"), stop()], ids=["written", "button"])
async def test_a_stop_ends_the_running_answer_and_keeps_its_text(
    work_layer: WorkLayer, llm: ScriptedLLM, event: StopRequested
) -> None:
    """The model's stream ends, the session stays open, and the text so far is in the history."""
    hold = PausedStep()
    llm.script("Let me ", hold)
    await work_layer.inbox.accept(mention("hi", "1.0"))
    await hold.reached()
    assert await work_layer.inbox.accept(event)
    assert await work_layer.adapter.shown(THREAD) == [f"Let me \n\n{STOPPED}"]
    assert llm.closed_early == 1
    llm.script("hello")
    await work_layer.inbox.accept(reply("go on", "3.0"))
    await work_layer.worker.idle()

    assert [message["content"] for message in llm.calls[1].messages[1:]] == ["hi", f"Let me \n\n{STOPPED}", "go on"]
    assert [turn.state for turn in await work_layer.turns()] == ["stopped", "answered"]


async def test_a_stop_before_the_first_word_is_confirmed(work_layer: WorkLayer, llm: ScriptedLLM) -> None:
    """A sentence stands in place of the answer, and the model is not called."""
    work_layer.adapter.names_available.clear()
    await work_layer.inbox.accept(mention("what does <@U-BEN> say?", "1.0"))
    await work_layer.adapter.until(lambda: bool(work_layer.adapter.looked_up))
    await work_layer.inbox.accept(stop("2.0"))
    work_layer.adapter.names_available.set()

    assert await work_layer.adapter.shown(THREAD) == [STOPPED]
    assert llm.calls == []


async def test_a_stop_where_nothing_runs_is_answered_once(work_layer: WorkLayer, driver: StoreDriver) -> None:
    """One sentence answers the stop, also if it is delivered twice."""
    await driver.answer(mention("hi", "1.0"))
    assert [await work_layer.inbox.accept(stop("2.0")) for _ in range(2)] == [True, False]
    await work_layer.worker.idle()

    assert work_layer.adapter.replies[THREAD] == [texts.fixed_reply(StopOutcome.NOTHING_RUNS)]


async def test_the_deletion_of_the_question_ends_the_answer_and_forgets_it(
    work_layer: WorkLayer, llm: ScriptedLLM
) -> None:
    """The text so far gets a note, and the session's next turn shows neither question nor answer."""
    hold = PausedStep()
    llm.script("Let me ", hold)
    await work_layer.inbox.accept(mention("my secret", "1.0"))
    await hold.reached()
    assert await work_layer.inbox.accept(deletion("1.0"))
    assert await work_layer.adapter.shown(THREAD) == [f"Let me \n\n{texts.interrupted(Interrupted.DELETED)}"]
    llm.script("hello")
    await work_layer.inbox.accept(reply("hi", "2.0"))
    await work_layer.worker.idle()

    assert [message["content"] for message in llm.calls[1].messages[1:]] == ["hi"]


async def test_a_deleted_waiting_message_gets_no_answer(work_layer: WorkLayer, llm: ScriptedLLM) -> None:
    """A message that is deleted while it waits gets no answer."""
    hold = PausedStep()
    llm.script(hold, "hello")
    await work_layer.inbox.accept(mention("hi", "1.0"))
    await hold.reached()
    await work_layer.inbox.accept(reply("never mind", "2.0"))
    await work_layer.inbox.accept(deletion("2.0"))
    hold.release()
    await work_layer.worker.idle()

    assert work_layer.adapter.replies[THREAD] == ["hello"]


async def test_an_uninstall_ends_every_answer_there(work_layer: WorkLayer, llm: ScriptedLLM) -> None:
    """An uninstall ends all running answers in the workspace at once."""
    hold = PausedStep()
    for number in range(3):
        llm.script("Let me ", hold)
        await work_layer.inbox.accept(mention("hi", in_=thread(number)))
    await llm.called(3)
    assert await work_layer.inbox.accept(Uninstalled("chat", "T1"))
    await work_layer.worker.idle()

    assert {turn.state for turn in await work_layer.turns()} == {"superseded"}
    assert not await work_layer.inbox.accept(reply("anybody?", "2.0"))


async def test_all_sessions_are_reset_beyond_the_listed_ones(work_layer: WorkLayer, driver: StoreDriver) -> None:
    """ "Reset all" resets more sessions than a list shows, and reports their number."""
    many = LISTED_SESSIONS + 1
    for number in range(many):
        await driver.accepted(mention("hi", in_=thread(number)))
    assert len(await work_layer.sessions.open_sessions("chat", "T1", "C1", ANA)) == LISTED_SESSIONS

    assert await work_layer.sessions.count_open("chat", "T1", "C1", ANA) == many
    assert await work_layer.sessions.reset_all("chat", "T1", "C1", ANA) == many
    assert await work_layer.sessions.count_open("chat", "T1", "C1", ANA) == 0


async def test_a_persons_sessions_can_be_reset_one_by_one_or_all(work_layer: WorkLayer, driver: StoreDriver) -> None:
    """By id, a person resets only open sessions of their own. "All" means their sessions in the channel."""
    for number in range(4):
        await driver.answer(mention("hi", by=BEN if number == 3 else ANA, in_=thread(number)))
    ours = await work_layer.sessions.open_sessions("chat", "T1", "C1", ANA)
    [theirs] = await work_layer.sessions.open_sessions("chat", "T1", "C1", BEN)

    assert await work_layer.sessions.reset_session(ours[0].id, ANA) is ResetOutcome.DONE
    assert await work_layer.sessions.reset_session(ours[0].id, ANA) is ResetOutcome.NOTHING
    assert await work_layer.sessions.reset_session(theirs.id, ANA) is ResetOutcome.NOT_YOURS
    assert await work_layer.sessions.reset_all("chat", "T1", "C1", ANA) == 2
    assert await work_layer.sessions.reset_all("chat", "T1", "C1", ANA) == 0
    assert await work_layer.sessions.open_sessions("chat", "T1", "C1", BEN) == [theirs]
