"""More work than a worker may do at once: people take turns, who waits is told, and everybody is answered."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from bot.domain import texts
from bot.domain.events import MessageDeleted, MessageReceived
from bot.domain.sessions import StopOutcome
from bot.store.engine import Store
from bot.store.inbox import accept
from bot.testing import SettableClock
from bot.turns.adapter import AnswerTarget
from bot.turns.fair_queue import Limits
from bot.turns.worker import POLLED_AT_ONCE
from tests.support.builders import ANA, BEN, DAY, NOON, THREAD, mention, reply, stop, thread
from tests.support.work_layer import WIDE, Desk, Echo

Opened = Callable[..., Desk]


@pytest.fixture
def opened(store: Store, clock: SettableClock) -> Opened:
    """A desk with limits of its own, whose adapter holds every answer until it is told to go on."""

    def open_(limits: Limits = WIDE, **narrower: int) -> Desk:
        desk = Desk(store, Echo(), clock, limits=dataclasses.replace(limits, **narrower))
        desk.adapter.open.clear()
        return desk

    return open_


async def finish(desk: Desk) -> None:
    """Let every answer go on, and wait until nothing runs."""
    desk.adapter.open.set()
    await desk.worker.idle()


async def test_whoever_waits_is_told_where_they_asked(opened: Opened) -> None:
    """At once; who is answered now is not, and in the end all are answered."""
    desk = opened(total=1)
    await desk.inbox.accept(mention("hi", "1.0", in_=thread(1)))
    await desk.inbox.accept(mention("hi", "2.0", by=BEN, in_=thread(2)))
    await desk.adapter.until(lambda: bool(desk.adapter.told_to_wait))

    assert desk.adapter.told_to_wait == [AnswerTarget(thread(2), BEN, "2.0")]
    assert (desk.worker.running, desk.worker.waiting) == (1, 1)
    await finish(desk)
    assert len(desk.adapter.replies) == 2
    assert (desk.worker.running, desk.worker.waiting) == (0, 0)


async def test_whoever_writes_again_in_a_thread_that_is_being_answered_is_not_told(opened: Opened) -> None:
    """The next turn of that thread follows by itself."""
    desk = opened(total=1)
    await desk.inbox.accept(mention("hi", "1.0"))
    await desk.adapter.until(lambda: desk.adapter.running == 1)
    await desk.inbox.accept(reply("and?", "2.0"))
    await finish(desk)

    assert desk.adapter.told_to_wait == []
    assert desk.adapter.replies[THREAD] == ["hi", "and?"]


async def test_to_tell_somebody_delays_nobody(opened: Opened) -> None:
    """A platform that takes its time over a status holds up neither the door nor the work."""
    desk = opened(total=1)
    desk.adapter.patient.clear()
    for number in range(3):
        assert await desk.inbox.accept(mention("hi", in_=thread(number)))
    await finish(desk)

    assert len(desk.adapter.replies) == 3
    await desk.worker.stop(drain_seconds=0)


async def test_whoever_is_not_answered_here_waits_no_more(opened: Opened) -> None:
    """What a full replica shows is taken back when another one was quicker, or the question was deleted meanwhile."""
    desk, other = opened(total=1), opened()
    for number in range(4):
        await desk.inbox.accept(mention("hi", f"{number}.0", in_=thread(number)))
    await desk.inbox.accept(MessageDeleted(thread(1), "1.0"))
    await desk.adapter.until(lambda: len(desk.adapter.told_to_wait) == 3)
    other.adapter.open.set()
    await other.worker.poll()
    await other.worker.idle()
    await finish(desk)

    assert len(other.adapter.replies) == 2
    assert desk.adapter.told_no_more == desk.adapter.told_to_wait


async def test_people_take_turns(opened: Opened) -> None:
    """Whoever asks one thing waits for one answer of somebody who asked many."""
    desk = opened(total=1)
    for number in range(4):
        await desk.inbox.accept(mention("hi", by=ANA, in_=thread(number)))
    await desk.inbox.accept(mention("hi", by=BEN, in_=thread(9)))
    await finish(desk)

    assert [asked.author for asked in desk.adapter.asked] == [ANA, ANA, BEN, ANA, ANA]


@pytest.mark.parametrize(
    ("limit", "other"),
    [
        ("per_person", mention("hi", by=BEN, in_=thread(9))),
        ("per_workspace", mention("hi", in_=dataclasses.replace(THREAD, workspace="T2"))),
    ],
)
async def test_one_who_asks_much_leaves_room_for_others(opened: Opened, limit: str, other: MessageReceived) -> None:
    """A person, or a workspace, has so many answers at once, while another is answered right away."""
    desk = opened(**{limit: 2})
    for number in range(5):
        await desk.inbox.accept(mention("hi", by=ANA, in_=thread(number)))
    await desk.adapter.until(lambda: desk.adapter.running == 2)
    assert await desk.inbox.accept(other)
    await desk.adapter.until(lambda: desk.adapter.running == 3)
    assert desk.worker.waiting == 3
    await finish(desk)

    assert desk.adapter.most_running == 3
    assert len(desk.adapter.replies) == 6


async def test_whoever_finds_the_line_full_is_answered_all_the_same(opened: Opened) -> None:
    """They are accepted and told; a look finds them when there is room."""
    desk = opened(total=1, waiting=1)
    for number in range(6):
        assert await desk.inbox.accept(mention("hi", in_=thread(number)))
    assert (desk.worker.running, desk.worker.waiting) == (1, 1)
    for _ in range(6):
        await finish(desk)
        await desk.worker.poll()

    assert len(desk.adapter.told_to_wait) == 5
    assert desk.adapter.replies == {thread(number): ["hi"] for number in range(6)}


async def test_a_busy_thread_holds_nobody_up(opened: Opened) -> None:
    """Whoever writes on and on in one thread goes to the end of the line after each answer."""
    desk = opened(total=1)
    order: list[str] = []
    desk.adapter.afterwards = order.append
    await desk.inbox.accept(mention("one", "1.0", in_=thread(1)))
    await desk.adapter.until(lambda: desk.adapter.running == 1)
    await desk.inbox.accept(mention("other", "2.0", by=BEN, in_=thread(2)))
    await desk.inbox.accept(reply("two", "3.0", in_=thread(1)))
    await finish(desk)

    assert order == ["one", "other", "two"]


async def test_a_look_sees_everybody(opened: Opened) -> None:
    """Hundreds of threads of one person, left behind by a replica that died, hide nobody else's."""
    desk = opened(per_person=1)
    for number in range(1, POLLED_AT_ONCE + 10):
        await desk.store.run(accept, mention("hi", in_=thread(number)), now=NOON, new_id=f"s{number}", idle_after=DAY)
    await desk.store.run(accept, mention("hi", by=BEN, in_=thread(999)), now=NOON, new_id="ben's", idle_after=DAY)
    await desk.worker.poll()
    await desk.adapter.until(lambda: desk.adapter.running == 2)

    await desk.worker.stop(drain_seconds=0)


async def test_a_command_does_not_wait_in_line(opened: Opened) -> None:
    """Whoever stops what has not begun reads so at once, while somebody else is answered."""
    desk = opened(total=1)
    await desk.inbox.accept(mention("hi", "1.0", in_=thread(1)))
    await desk.adapter.until(lambda: desk.adapter.running == 1)
    await desk.inbox.accept(mention("hi", "2.0", by=BEN, in_=thread(2)))
    await desk.inbox.accept(stop("3.0", in_=thread(2)))
    await desk.adapter.until(lambda: desk.adapter.running == 2)
    await finish(desk)

    assert desk.adapter.replies[thread(2)] == [texts.fixed_reply(StopOutcome.NOT_BEGUN)]
    assert (desk.worker.running, desk.worker.waiting) == (0, 0)
