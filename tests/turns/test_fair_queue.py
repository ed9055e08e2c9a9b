"""The fair queue: it keeps every limit, its length is bounded, and every thread is served."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.store.leases import QueueEntry
from bot.turns.fair_queue import FairQueue, Limits

WIDE = Limits(total=100, per_workspace=100, per_person=100, waiting=100)

small = st.integers(1, 4)
limits_of_any_size = st.builds(Limits, total=small, per_workspace=small, per_person=small, waiting=st.integers(1, 8))
people = st.tuples(st.sampled_from(["T1", "T2"]), st.sampled_from(["A", "B", "C"]))
comings_and_goings = st.lists(
    st.one_of(people, st.integers(0, 20)), max_size=80
)  # who comes; which of those running goes


def owed(number: int, person: str = "A", workspace: str = "T1") -> QueueEntry:
    """Return a queue entry."""
    return QueueEntry(number, workspace, person)


class Crowd:
    """A queue, and the state of each thread that entered it."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.queue = FairQueue(limits)
        self.running: list[QueueEntry] = []
        self.queued: set[QueueEntry] = set()
        self.served: Counter[int] = Counter()

    def comes(self, thread: QueueEntry) -> None:
        """Let a thread enter the queue."""
        before = self.queue.waiting
        if self.queue.enter(thread):
            self._start([thread])
        elif self.queue.waiting > before:
            self.queued.add(thread)
        self.check()

    def goes(self, index: int) -> None:
        """End the turn of one running thread."""
        entered = self.queue.leave(self.running.pop(index % len(self.running)))
        self.queued -= set(entered)
        self._start(entered)
        self.check()

    def check(self) -> None:
        """Check that no limit is exceeded, and that no thread waits which may run."""
        workspaces = Counter(each.workspace for each in self.running)
        persons = Counter((each.workspace, each.person) for each in self.running)
        assert self.queue.running == len(self.running) <= self.limits.total
        assert self.queue.waiting == len(self.queued) <= self.limits.waiting
        assert max([*workspaces.values(), 0]) <= self.limits.per_workspace
        assert max([*persons.values(), 0]) <= self.limits.per_person
        for each in self.queued if len(self.running) < self.limits.total else ():
            full = workspaces[each.workspace] == self.limits.per_workspace
            assert full or persons[each.workspace, each.person] == self.limits.per_person

    def _start(self, entered: Sequence[QueueEntry]) -> None:
        self.running += entered
        self.served.update(each.thread_id for each in entered)


@given(limits=limits_of_any_size, steps=comings_and_goings)
def test_no_limit_is_exceeded_and_every_thread_is_served_once(
    limits: Limits, steps: list[tuple[str, str] | int]
) -> None:
    """In any order of arrivals and departures, each thread that ran or queued is served once."""
    crowd, expected = Crowd(limits), set()
    for number, step in enumerate(steps):
        if isinstance(step, tuple):
            newcomer = owed(number, step[1], step[0])
            crowd.comes(newcomer)
            expected |= {newcomer.thread_id} if newcomer in {*crowd.queued, *crowd.running} else set()
        elif crowd.running:
            crowd.goes(step)
    while crowd.running:
        crowd.goes(0)

    assert crowd.queue.waiting == 0
    assert crowd.served == dict.fromkeys(expected, 1)


@given(arrivals=st.lists(st.sampled_from("ABCD"), min_size=1, max_size=30), total=small)
def test_nobody_is_overtaken_twice_by_the_same_person(arrivals: list[str], total: int) -> None:
    """People take turns. Between two threads of one person, each other waiting person is served."""
    queue = FairQueue(dataclasses.replace(WIDE, total=total))
    running = [each for number, who in enumerate(arrivals) if queue.enter(each := owed(number, who))]
    order: list[str] = []
    while running:
        entered = queue.leave(running.pop(0))
        order += [each.person for each in entered]
        running += entered

    for person in set(order):
        gaps = "".join(order).split(person)[:-1]  # the people who start before each of this person's threads
        assert all(max(Counter(gap).values(), default=0) <= 1 for gap in gaps)


def test_a_thread_below_the_limits_starts_at_once() -> None:
    """A thread runs at once below the limit. The next one queues, and runs when another has ended."""
    queue = FairQueue(dataclasses.replace(WIDE, total=2))
    assert [queue.enter(owed(number)) for number in (1, 2, 3)] == [True, True, False]

    assert queue.leave(owed(1)) == [owed(3)]
    assert (queue.running, queue.waiting) == (2, 0)


def test_one_persons_many_threads_do_not_delay_anothers_one() -> None:
    """A person with ten threads waits for their own limit. Another person's thread runs at once, or next."""
    queue = FairQueue(dataclasses.replace(WIDE, total=3, per_person=2))
    for number in range(10):
        queue.enter(owed(number, "A"))
    assert queue.enter(owed(10, "B"))
    queue.enter(owed(11, "C"))

    assert queue.leave(owed(10, "B")) == [owed(11, "C")]
    assert queue.leave(owed(0, "A")) == [owed(2, "A")]


def test_one_workspaces_many_people_do_not_delay_another_workspace() -> None:
    """A full workspace delays only itself, and a person's id counts only within its workspace."""
    queue = FairQueue(dataclasses.replace(WIDE, per_workspace=1, per_person=1))
    assert queue.enter(owed(1, "A", "T1"))
    assert not queue.enter(owed(2, "B", "T1"))

    assert queue.enter(owed(3, "A", "T2"))


def test_a_thread_queues_once() -> None:
    """A thread that enters again while it queues has one place."""
    queue = FairQueue(dataclasses.replace(WIDE, total=1))
    queue.enter(owed(1))
    assert [queue.enter(owed(2)) for _ in range(3)] == [False] * 3

    assert queue.waiting == 1
    assert queue.leave(owed(1)) == [owed(2)]
    assert queue.leave(owed(2)) == []


def test_a_full_queue_rejects_threads() -> None:
    """A full queue rejects threads. They are accepted later, when there is room."""
    queue = FairQueue(dataclasses.replace(WIDE, total=1, waiting=1))
    for number in (1, 2, 3):
        queue.enter(owed(number))
    assert queue.waiting == 1
    assert queue.leave(owed(1)) == [owed(2)]
    queue.enter(owed(3))

    assert queue.leave(owed(2)) == [owed(3)]


@pytest.mark.parametrize("queued_people", [1, 500])
def test_counters_of_people_without_threads_are_deleted(queued_people: int) -> None:
    """The counters of a person without threads are deleted, so that memory does not grow."""
    queue = FairQueue(WIDE)
    for number in range(queued_people):
        assert queue.enter(owed(number, f"U{number}", f"T{number}"))
        queue.leave(owed(number, f"U{number}", f"T{number}"))

    kept = [value for value in vars(queue).values() if value is not WIDE]
    assert [len(value) for value in kept] == [0] * len(kept)
