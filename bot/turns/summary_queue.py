"""Which summaries are written now: the platforms' first, then those of callers.

Rule: pure. Callers take turns, so that one caller's many sessions do not delay another's one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from bot.prompt.compose import Compaction
from bot.prompt.history import Turn

AT_ONCE = 8  # of platforms
OF_CALLERS_AT_ONCE = 2  # besides those
WAITING_OF_ONE = 20  # of one caller, or of the platforms; the others are written after a later turn of their session
WAITING = 200

Names = Callable[[Sequence[Turn]], Awaitable[Mapping[str, str]]]


@dataclass(frozen=True, slots=True)
class SummaryJob:
    """A session whose summary is to be written."""

    session_id: str
    compaction: Compaction
    names: Names  # finds the names that are read in some of its turns
    owner: str | None = None  # the caller who pays for it; None: a platform's session


class SummaryQueue:
    """Counts the sessions whose summaries are written, and queues the others."""

    def __init__(self) -> None:
        self._running: dict[str, SummaryJob] = {}  # by session
        self._waiting: set[str] = set()
        self._queues: dict[str | None, deque[SummaryJob]] = {}  # by owner, in the order in which owners are next

    def add(self, job: SummaryJob) -> None:
        """Queue a job, unless its session has one already, or too many wait."""
        queue = self._queues.get(job.owner, deque())
        is_known = job.session_id in self._waiting or job.session_id in self._running
        if not is_known and len(queue) < WAITING_OF_ONE and len(self._waiting) < WAITING:
            self._waiting.add(job.session_id)
            self._queues.setdefault(job.owner, queue).append(job)

    def start(self) -> SummaryJob | None:
        """Return a job to run now, if there is one. A caller's job waits while a platform's does."""
        of_callers = sum(job.owner is not None for job in self._running.values())
        if None in self._queues:
            owner, has_room = None, len(self._running) - of_callers < AT_ONCE
        else:
            owner, has_room = next(iter(self._queues), None), of_callers < OF_CALLERS_AT_ONCE
        if not has_room or owner not in self._queues:
            return None
        queue = self._queues.pop(owner)
        job = queue.popleft()
        if queue:
            self._queues[owner] = queue  # behind everybody else
        self._waiting.discard(job.session_id)
        self._running[job.session_id] = job
        return job

    def end(self, job: SummaryJob) -> None:
        """Count a job as done."""
        del self._running[job.session_id]

    def clear(self) -> None:
        """Drop the jobs that wait."""
        self._queues.clear()
        self._waiting.clear()
