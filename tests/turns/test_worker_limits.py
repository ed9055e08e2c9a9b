"""More work than a worker may do at once: people take turns, waiting is shown, and every message is answered."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta

import pytest

from bot.domain import texts
from bot.domain.events import MessageDeleted, MessageReceived
from bot.domain.sessions import StopOutcome
from bot.store.engine import Store
from bot.store.inbox import accept
from bot.testing import SettableClock
from bot.turns.adapter import AnswerTarget
from bot.turns.fair_queue import Limits
from bot.turns.waiting_statuses import RENEWED_AT_ONCE
from bot.turns.worker import POLLED_AT_ONCE
from tests.support.builders import ANA, BEN, DAY, NOON, THREAD, mention, reply, stop, thread
from tests.support.work_layer import WIDE, Echo, WorkLayer

Opened = Callable[..., WorkLayer]


@pytest.fixture
def opened(store: Store, clock: SettableClock) -> Opened:
    """Open a work layer with these limits, whose adapter pauses every answer."""

    def open_(limits: Limits = WIDE, **narrower: int) -> WorkLayer:
        work_layer = WorkLayer(store, Echo(), clock, limits=dataclasses.replace(limits, **narrower))
        work_layer.adapter.may_write.clear()
        return work_layer

    return open_


async def finish(work_layer: WorkLayer) -> None:
    """Release all answers, and wait until nothing runs."""
    work_layer.adapter.may_write.set()
    await work_layer.worker.idle()


async def test_a_waiting_message_gets_a_status(opened: Opened) -> None:
    """A waiting message gets a status at once, a running one does not, and all are answered."""
    work_layer = opened(total=1)
    await work_layer.inbox.accept(mention("hi", "1.0", in_=thread(1)))
    await work_layer.inbox.accept(mention("hi", "2.0", by=BEN, in_=thread(2)))
    await work_layer.adapter.until(lambda: bool(work_layer.adapter.shown_waiting))

    assert work_layer.adapter.shown_waiting == [AnswerTarget(thread(2), BEN, "2.0")]
    assert (work_layer.worker.running, work_layer.worker.waiting) == (1, 1)
    await finish(work_layer)
    assert len(work_layer.adapter.replies) == 2
    assert (work_layer.worker.running, work_layer.worker.waiting) == (0, 0)


async def test_a_message_in_a_running_thread_gets_no_waiting_status(opened: Opened) -> None:
    """A message in a running thread gets no waiting status, because its turn follows."""
    work_layer = opened(total=1)
    await work_layer.inbox.accept(mention("hi", "1.0"))
    await work_layer.adapter.until(lambda: work_layer.adapter.running == 1)
    await work_layer.inbox.accept(reply("and?", "2.0"))
    await finish(work_layer)

    assert work_layer.adapter.shown_waiting == []
    assert work_layer.adapter.replies[THREAD] == ["hi", "and?"]


async def test_a_slow_waiting_status_delays_nobody(opened: Opened) -> None:
    """A slow status call delays neither the inbox nor the answers."""
    work_layer = opened(total=1)
    work_layer.adapter.status_available.clear()
    for number in range(3):
        assert await work_layer.inbox.accept(mention("hi", in_=thread(number)))
    await finish(work_layer)

    assert len(work_layer.adapter.replies) == 3
    await work_layer.worker.stop(drain_seconds=0)


async def test_the_waiting_status_ends_without_an_answer(opened: Opened) -> None:
    """The waiting status ends if another replica answers, or if the question is deleted."""
    work_layer, other = opened(total=1), opened()
    for number in range(4):
        await work_layer.inbox.accept(mention("hi", f"{number}.0", in_=thread(number)))
    await work_layer.inbox.accept(MessageDeleted(thread(1), "1.0"))
    await work_layer.adapter.until(
        lambda: len(work_layer.adapter.shown_waiting) == 3 and work_layer.adapter.running == 1
    )
    other.adapter.may_write.set()
    await other.worker.poll()
    await other.worker.idle()
    await finish(work_layer)

    assert len(other.adapter.replies) == 2
    assert work_layer.adapter.ended_waiting == work_layer.adapter.shown_waiting


async def test_the_status_of_a_long_wait_is_renewed(opened: Opened, clock: SettableClock) -> None:
    """While messages wait in the queue, their statuses are renewed before Slack ends them, with the time waited."""
    work_layer = opened(total=1)
    for number in range(3):
        await work_layer.inbox.accept(mention("hi", f"{number}.0", in_=thread(number)))
    await work_layer.adapter.until(lambda: len(work_layer.adapter.shown_waiting) == 2)
    for passed in (60, 30, 30, 60):
        clock.advance(timedelta(seconds=passed))
        await work_layer.worker.poll()
    await work_layer.adapter.until(lambda: len(work_layer.adapter.shown_waiting) == 6)

    assert work_layer.adapter.waited == [timedelta(seconds=seconds) for seconds in (0, 0, 90, 90, 180, 180)]
    await finish(work_layer)
    clock.advance(timedelta(seconds=100))
    await work_layer.worker.poll()
    assert len(work_layer.adapter.shown_waiting) == 6


async def test_few_statuses_are_renewed_at_once(opened: Opened, clock: SettableClock) -> None:
    """Of many waiting messages, each poll renews the statuses of some, because Slack limits their rate."""
    work_layer = opened(total=1)
    for number in range(30):
        await work_layer.inbox.accept(mention("hi", f"{number}.0", in_=thread(number)))
    await work_layer.adapter.until(lambda: len(work_layer.adapter.shown_waiting) == 29)
    clock.advance(timedelta(seconds=100))
    await work_layer.worker.poll()
    await work_layer.adapter.until(lambda: len(work_layer.adapter.shown_waiting) == 29 + RENEWED_AT_ONCE)
    await work_layer.worker.poll()
    await work_layer.adapter.until(lambda: len(work_layer.adapter.shown_waiting) == 2 * 29)
    await finish(work_layer)


async def test_people_take_turns(opened: Opened) -> None:
    """A person with one question waits for at most one answer of a person with many."""
    work_layer = opened(total=1)
    for number in range(4):
        await work_layer.inbox.accept(mention("hi", by=ANA, in_=thread(number)))
    await work_layer.inbox.accept(mention("hi", by=BEN, in_=thread(9)))
    await finish(work_layer)

    assert [target.author for target in work_layer.adapter.targets] == [ANA, ANA, BEN, ANA, ANA]


@pytest.mark.parametrize(
    ("limit", "other"),
    [
        ("per_person", mention("hi", by=BEN, in_=thread(9))),
        ("per_workspace", mention("hi", in_=dataclasses.replace(THREAD, workspace="T2"))),
    ],
)
async def test_a_person_at_their_limit_does_not_delay_others(
    opened: Opened, limit: str, other: MessageReceived
) -> None:
    """A person or a workspace at its limit does not delay another one."""
    work_layer = opened(**{limit: 2})
    for number in range(5):
        await work_layer.inbox.accept(mention("hi", by=ANA, in_=thread(number)))
    await work_layer.adapter.until(lambda: work_layer.adapter.running == 2)
    assert await work_layer.inbox.accept(other)
    await work_layer.adapter.until(lambda: work_layer.adapter.running == 3)
    assert work_layer.worker.waiting == 3
    await finish(work_layer)

    assert work_layer.adapter.most_running == 3
    assert len(work_layer.adapter.replies) == 6


async def test_messages_beyond_a_full_queue_are_answered_later(opened: Opened) -> None:
    """Messages beyond a full queue are accepted and get a status. A poll finds them when there is room."""
    work_layer = opened(total=1, waiting=1)
    for number in range(6):
        assert await work_layer.inbox.accept(mention("hi", in_=thread(number)))
    assert (work_layer.worker.running, work_layer.worker.waiting) == (1, 1)
    for _ in range(6):
        await finish(work_layer)
        await work_layer.worker.poll()

    assert len(work_layer.adapter.shown_waiting) == 5
    assert work_layer.adapter.replies == {thread(number): ["hi"] for number in range(6)}


async def test_a_busy_thread_delays_nobody(opened: Opened) -> None:
    """A thread with more messages goes to the end of the queue after each answer."""
    work_layer = opened(total=1)
    order: list[str] = []
    work_layer.adapter.on_finish = order.append
    await work_layer.inbox.accept(mention("one", "1.0", in_=thread(1)))
    await work_layer.adapter.until(lambda: work_layer.adapter.running == 1)
    await work_layer.inbox.accept(mention("other", "2.0", by=BEN, in_=thread(2)))
    await work_layer.inbox.accept(reply("two", "3.0", in_=thread(1)))
    await finish(work_layer)

    assert order == ["one", "other", "two"]


async def test_a_poll_sees_everybody(opened: Opened) -> None:
    """Hundreds of abandoned threads of one person do not hide another person's thread from the poll."""
    work_layer = opened(per_person=1)
    for number in range(1, POLLED_AT_ONCE + 10):
        await work_layer.store.run(
            accept, mention("hi", in_=thread(number)), now=NOON, new_id=f"s{number}", idle_after=DAY
        )
    await work_layer.store.run(accept, mention("hi", by=BEN, in_=thread(999)), now=NOON, new_id="ben's", idle_after=DAY)
    await work_layer.worker.poll()
    await work_layer.adapter.until(lambda: work_layer.adapter.running == 2)

    await work_layer.worker.stop(drain_seconds=0)


async def test_a_command_skips_the_queue(opened: Opened) -> None:
    """The reply to a stop skips the queue."""
    work_layer = opened(total=1)
    await work_layer.inbox.accept(mention("hi", "1.0", in_=thread(1)))
    await work_layer.adapter.until(lambda: work_layer.adapter.running == 1)
    await work_layer.inbox.accept(mention("hi", "2.0", by=BEN, in_=thread(2)))
    await work_layer.inbox.accept(stop("3.0", by=BEN, in_=thread(2)))
    await work_layer.adapter.until(lambda: work_layer.adapter.running == 2)
    await finish(work_layer)

    assert work_layer.adapter.replies[thread(2)] == [texts.fixed_reply(StopOutcome.NOT_BEGUN)]
    assert (work_layer.worker.running, work_layer.worker.waiting) == (0, 0)
