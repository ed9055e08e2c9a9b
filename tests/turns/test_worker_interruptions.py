"""Events from outside that end a turn: interruptions accepted by any replica, and lost leases."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from bot.domain import texts
from bot.domain.events import Event
from bot.domain.sessions import IdleLimits, Interrupted, ResetOutcome, StopOutcome
from bot.errors import PlatformUnavailable
from bot.ops.scheduler import Scheduler
from bot.store import claims, leases
from bot.store.engine import Store
from bot.testing import PausedStep, ScriptedLLM, SettableClock
from bot.turns.leases import POLL_INTERRUPTIONS_EVERY_S
from tests.support.builders import BEN, DAY, THREAD, deletion, edit, mention, reply, reset, stop
from tests.support.interfered_store import InterferedStore
from tests.support.store_driver import StoreDriver
from tests.support.timeouts import GENEROUS_S
from tests.support.work_layer import Echo, WorkLayer

STOPPED = texts.interrupted(Interrupted.STOPPED)


async def running(work_layer: WorkLayer, llm: ScriptedLLM, *after: str) -> PausedStep:
    """Start a turn that has shown some text, and will show the rest when the test releases it."""
    hold = PausedStep()
    llm.script("Let me ", hold, *after)
    await work_layer.inbox.accept(mention("hi", "1.0"))
    await hold.reached()
    return hold


async def test_a_stop_reaches_the_replica_that_runs_the_turn(
    store: Store, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """A stop that another process accepted ends the answer within a second."""
    here, there = WorkLayer(store, llm, clock, owner="here"), WorkLayer(store, Echo(), clock, owner="there")
    await running(here, llm)
    scheduler = Scheduler(store, here.leases, clock=clock.now, idle=IdleLimits(DAY), retention=14 * DAY)
    scheduler.start()
    assert await there.inbox.accept(stop("2.0"))

    async with asyncio.timeout(GENEROUS_S):
        assert await here.adapter.shown(THREAD) == [f"Let me \n\n{STOPPED}"]
    await here.worker.idle()
    scheduler.stop()
    assert llm.closed_early == 1
    assert there.adapter.targets == []
    assert POLL_INTERRUPTIONS_EVERY_S <= 0.5


async def test_a_refusal_is_posted_once_by_the_replica_that_runs_the_turn(
    store: Store, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """A bystander's stop that another process accepted is refused at the next poll, while the answer goes on."""
    here, there = WorkLayer(store, llm, clock, owner="here"), WorkLayer(store, Echo(), clock, owner="there")
    hold = await running(here, llm, "see")
    assert await there.inbox.accept(stop("2.0", by=BEN))
    await there.worker.idle()
    await here.worker.poll()
    refused = [(THREAD, texts.fixed_reply(StopOutcome.NOT_YOURS))]
    await here.adapter.until(lambda: here.adapter.notified == refused)
    hold.release()
    await here.worker.idle()

    assert (here.adapter.replies[THREAD], here.adapter.notified, there.adapter.notified) == (
        ["Let me see"],
        refused,
        [],
    )
    assert {row.state for row in await here.turns()} == {"answered"}


async def test_a_refusal_that_cannot_be_posted_follows_the_answer(
    store: Store, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """While Slack takes no further message, the refusal waits for the end of the answer, and is not lost."""
    work_layer = WorkLayer(store, llm, clock)
    hold = await running(work_layer, llm, "see")
    work_layer.adapter.failures.append(PlatformUnavailable("away"))
    assert await work_layer.inbox.accept(stop("2.0", by=BEN))
    hold.release()
    await work_layer.worker.idle()

    assert work_layer.adapter.replies[THREAD] == ["Let me see", texts.fixed_reply(StopOutcome.NOT_YOURS)]
    assert work_layer.adapter.notified == []


async def test_an_edit_reaches_the_replica_that_runs_the_turn(
    store: Store, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """An edit closes the model's first stream, and the answer starts again with the new text."""
    here, there = WorkLayer(store, llm, clock, owner="here"), WorkLayer(store, Echo(), clock, owner="there")
    await running(here, llm)
    llm.script("hello")
    assert await there.inbox.accept(edit("hi there"))
    await here.leases.poll_interruptions()
    await here.worker.idle()

    assert [call.messages[-1]["content"] for call in llm.calls] == ["hi", "hi there"]
    assert (llm.closed_early, here.adapter.replies[THREAD]) == (1, ["Let me ", "hello"])
    assert [(target.message_id, target.attempt) for target in here.adapter.targets] == [("1.0", 1), ("1.0", 2)]
    assert [(turn.state, turn.answer) for turn in await here.turns()] == [("answered", "hello")]


async def test_an_edit_that_is_noticed_late_counts(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """If the first answer was whole when the edit was noticed, it is not settled, and a second answer replaces it."""
    hold = await running(work_layer, llm, "see")
    llm.script("hello")
    await driver.accept_edit(edit("hi there"))
    hold.release()
    await work_layer.worker.idle()

    assert llm.calls[-1].knows("hi there")
    assert [(turn.state, turn.answer) for turn in await work_layer.turns()] == [("answered", "hello")]


async def test_an_edit_before_the_first_word_calls_the_model_once(work_layer: WorkLayer, llm: ScriptedLLM) -> None:
    """A claimed turn whose answer has not begun reads the new text."""
    work_layer.adapter.names_available.clear()
    await work_layer.inbox.accept(mention("what does <@U-BEN> say?", "1.0"))
    await work_layer.adapter.until(lambda: bool(work_layer.adapter.looked_up))
    llm.script("hello")
    assert await work_layer.inbox.accept(edit("and <@U-BEN>?"))
    work_layer.adapter.names_available.set()

    assert await work_layer.adapter.shown(THREAD) == ["hello"]
    assert [call.messages[-1]["content"] for call in llm.calls] == ["and @Somebody?"]


@pytest.mark.parametrize("event", [deletion("1.0"), reset("2.0"), stop("2.0")], ids=["deletion", "reset", "stop"])
async def test_an_interruption_right_after_an_edit_leaves_no_fragment(
    database_url: str, llm: ScriptedLLM, clock: SettableClock, event: Event
) -> None:
    """A later event ends the turn before the attempt with the new text begins. That attempt removes the fragment."""
    store = InterferedStore(database_url)
    work_layer = WorkLayer(store, llm, clock)

    async def accept_event() -> None:
        del store.before[claims.settle]
        await work_layer.inbox.accept(event)

    store.before[claims.settle] = accept_event
    await running(work_layer, llm)
    await work_layer.inbox.accept(edit("hi there"))
    await work_layer.leases.poll_interruptions()
    await work_layer.worker.idle()
    await store.close()

    attempts = [(target.message_id, target.attempt) for target in work_layer.adapter.targets]
    assert attempts[:2] == [("1.0", 1), ("1.0", 2)]
    assert len(llm.calls) == 1


@pytest.mark.parametrize("event", [reset("2.0"), deletion("1.0")], ids=["reset", "deletion"])
async def test_a_reset_is_effective_on_every_replica(
    store: Store, llm: ScriptedLLM, clock: SettableClock, event: Event
) -> None:
    """A late answer is discarded, even if its worker has not noticed the reset yet."""
    here, there = WorkLayer(store, llm, clock, owner="here"), WorkLayer(store, Echo(), clock, owner="there")
    hold = await running(here, llm, "see")
    await there.inbox.accept(event)
    hold.release()
    await here.worker.idle()
    await there.worker.idle()

    assert here.adapter.replies[THREAD][0] == "Let me see"
    first = (await here.turns())[0]
    assert (first.state, first.answer) == ("superseded", None)


async def test_a_late_interruption_does_not_end_the_next_turn(
    database_url: str, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """An interruption belongs to one claim, and does not end a later turn."""
    store = InterferedStore(database_url)
    work_layer, driver = WorkLayer(store, llm, clock), StoreDriver(store, clock)
    first = await running(work_layer, llm, "see")
    await work_layer.inbox.accept(reply("and?", "2.0"))
    await driver.accept_stop(stop("3.0"))
    second = PausedStep()
    llm.script("hel", second, "lo")

    async def the_next_turn_runs(polled: Sequence[object]) -> None:
        assert polled
        first.release()
        await second.reached()

    store.after[leases.interruptions] = the_next_turn_runs
    await work_layer.leases.poll_interruptions()
    second.release()
    await work_layer.worker.idle()
    await store.close()

    assert work_layer.adapter.replies[THREAD] == ["Let me see", "hello"]


async def test_a_turn_whose_lease_was_lost_ends_silently(
    store: Store, driver: StoreDriver, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """When another worker has the turn, the model's stream is closed and nothing more is shown."""
    work_layer = WorkLayer(store, llm, clock)
    await running(work_layer, llm)
    await driver.lapse()
    theirs = await driver.claimed(1, "another")
    await work_layer.leases.renew()
    await work_layer.worker.idle()

    assert (llm.closed_early, work_layer.adapter.replies[THREAD]) == (1, [])
    assert await driver.claim(1, "a third") is None
    assert await driver.settle(theirs)


async def test_a_worker_that_has_not_noticed_its_lost_lease_settles_nothing(
    store: Store, driver: StoreDriver, llm: ScriptedLLM, clock: SettableClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The late answer is not stored, and the turn stays the other worker's."""
    caplog.set_level("INFO")
    work_layer = WorkLayer(store, llm, clock)
    hold = await running(work_layer, llm, "see")
    await driver.lapse()
    theirs = await driver.claimed(1, "another")
    hold.release()
    await work_layer.worker.idle()

    assert "answer_discarded" in caplog.messages
    assert await driver.settle(theirs, "in time")
    assert [turn.answer for turn in await work_layer.turns()] == ["in time"]


async def test_a_renewal_that_comes_between_two_turns_ends_neither(
    database_url: str, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """A renewal that began in one turn and returns in the next one ends neither of them."""
    store = InterferedStore(database_url)
    work_layer = WorkLayer(store, llm, clock)
    first, second = await running(work_layer, llm, "see"), PausedStep()

    async def the_first_ends() -> None:
        first.release()
        await work_layer.worker.idle()

    async def the_second_begins(held: set[int]) -> None:
        assert held == set()
        llm.script("hel", second, "lo")
        await work_layer.inbox.accept(reply("and?", "2.0"))
        await second.reached()

    store.before[leases.renew], store.after[leases.renew] = the_first_ends, the_second_begins
    await work_layer.leases.renew()
    second.release()
    await work_layer.worker.idle()
    await store.close()

    assert work_layer.adapter.replies[THREAD] == ["Let me see", "hello"]


async def test_a_renewal_that_comes_as_a_turn_ends_loses_nothing(
    database_url: str, llm: ScriptedLLM, clock: SettableClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A lease that was released during a renewal does not count as lost, and the worker answers the next messages."""
    store = InterferedStore(database_url)
    work_layer = WorkLayer(store, llm, clock)
    hold = await running(work_layer, llm, "see")
    await work_layer.inbox.accept(reply("and?", "2.0"))
    llm.script("hello")
    store.after[claims.settle] = lambda _: work_layer.leases.renew()
    hold.release()
    await work_layer.worker.idle()
    await store.close()

    assert work_layer.adapter.replies[THREAD] == ["Let me see", "hello"]
    assert "lease_lost" not in caplog.messages


async def test_a_takeover_of_a_reset_turn_leaves_no_fragment(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """The takeover of a turn that was reset posts nothing, and removes the fragment."""
    await driver.claimed(await driver.accepted(mention("hi", "1.0")), "somebody who dies")
    await work_layer.inbox.accept(reset("2.0"))
    await work_layer.worker.idle()
    assert work_layer.adapter.targets == []
    await driver.lapse()
    await work_layer.worker.poll()
    await work_layer.worker.idle()

    assert [(target.message_id, target.attempt) for target in work_layer.adapter.targets] == [("1.0", 2), ("2.0", 1)]
    assert work_layer.adapter.replies[THREAD] == [texts.reset(ResetOutcome.DONE)]
    assert llm.calls == []


async def test_a_stop_while_the_platform_is_away_is_confirmed_when_it_is_back(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """The next attempt at a postponed turn confirms the stop, and does not call the model."""
    work_layer.adapter.failures = [PlatformUnavailable("the platform cannot be reached")]
    await work_layer.inbox.accept(mention("hi", "1.0"))
    await work_layer.worker.idle()
    await work_layer.inbox.accept(stop("2.0"))
    await driver.lapse()
    await work_layer.worker.poll()

    assert await work_layer.adapter.shown(THREAD) == [STOPPED]
    assert llm.calls == []


async def test_a_lease_that_is_not_renewed_in_time_ends_the_turn(
    store: Store, llm: ScriptedLLM, clock: SettableClock
) -> None:
    """A process that cannot renew its lease ends the turn before the lease runs out."""
    work_layer = WorkLayer(store, llm, clock, lease=timedelta(seconds=3))
    hold = PausedStep()
    llm.script(hold, "never said")
    await work_layer.inbox.accept(mention("hello"))
    await hold.reached()
    await work_layer.worker.idle()

    assert llm.closed_early == 1
    assert [turn.state for turn in await work_layer.turns()] == ["running"]
    assert not any(work_layer.adapter.replies.values())
