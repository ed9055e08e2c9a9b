"""The queue of summaries: the platforms' first, and callers by turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from bot.prompt.compose import Compaction
from bot.prompt.history import Turn
from bot.turns.summary_queue import AT_ONCE, OF_CALLERS_AT_ONCE, WAITING, WAITING_OF_ONE, SummaryJob, SummaryQueue


async def nobody(_: Sequence[Turn]) -> Mapping[str, str]:
    """Return no names."""
    return {}


def job(session_id: str, owner: str | None = None) -> SummaryJob:
    """Return a job of this session."""
    return SummaryJob(session_id, Compaction(1, several=False), nobody, owner)


@pytest.fixture
def queue() -> SummaryQueue:
    """Return an empty queue."""
    return SummaryQueue()


def started(queue: SummaryQueue) -> list[str]:
    """Start all jobs that may run now; return their sessions."""
    jobs = iter(queue.start, None)
    return [each.session_id for each in jobs if each is not None]


def test_a_platforms_summary_waits_for_no_callers_summary(queue: SummaryQueue) -> None:
    """Callers' summaries have room of their own. However many wait, a platform's starts at once."""
    for number in range(WAITING_OF_ONE):
        queue.add(job(f"c{number}", "key"))
    assert started(queue) == [f"c{number}" for number in range(OF_CALLERS_AT_ONCE)]
    for number in range(AT_ONCE):
        queue.add(job(f"p{number}"))

    assert started(queue) == [f"p{number}" for number in range(AT_ONCE)]


def test_a_callers_summary_waits_for_those_of_platforms(queue: SummaryQueue) -> None:
    """While a platform's summary waits, no caller's starts, although there is room for it."""
    jobs = [job(f"p{number}") for number in range(AT_ONCE + 1)]
    for each in [*jobs, job("c", "key")]:
        queue.add(each)
    assert started(queue) == [each.session_id for each in jobs[:AT_ONCE]]
    queue.end(jobs[0])

    assert started(queue) == ["p8", "c"]


def test_callers_take_turns(queue: SummaryQueue) -> None:
    """One caller's many sessions do not delay another's one."""
    for session_id in ("a1", "a2", "a3", "a4"):
        queue.add(job(session_id, "a"))
    queue.add(job("b1", "b"))

    assert started(queue) == ["a1", "b1"]


def test_a_session_has_one_job(queue: SummaryQueue) -> None:
    """A session whose summary is being written, or waits, is not queued again."""
    for _ in range(2):
        queue.add(job("one"))
    assert started(queue) == ["one"]
    queue.add(job("one"))

    assert started(queue) == []


def test_the_queue_is_bounded(queue: SummaryQueue) -> None:
    """It takes a few jobs of one caller, and a limited number of all."""
    for number in range(WAITING_OF_ONE + 1):
        queue.add(job(f"a{number}", "a"))
    for number in range(2 * WAITING):
        queue.add(job(f"{number}", f"key {number}"))
    ran = []
    while (each := queue.start()) is not None:
        ran.append(each)
        queue.end(each)

    assert len(ran) == WAITING
    assert sum(each.owner == "a" for each in ran) == WAITING_OF_ONE


def test_a_cleared_queue_starts_nothing(queue: SummaryQueue) -> None:
    """At a shutdown the waiting jobs are dropped."""
    queue.add(job("one"))
    queue.clear()

    assert started(queue) == []
