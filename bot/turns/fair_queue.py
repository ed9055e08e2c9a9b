"""Which threads are answered now, within limits in all, for one workspace and for one person; the others queue.

Rule: pure. The queue is fair: people take turns, so that one person's many threads do not delay another's one.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TypeVar

from bot.store.leases import QueueEntry


@dataclass(frozen=True, slots=True)
class Limits:
    """How many threads may be answered at once in this process, and how many may queue."""

    total: int
    per_workspace: int
    per_person: int
    waiting: int


K = TypeVar("K")
Person = tuple[str, str]  # workspace and person


class FairQueue:
    """Counts the threads that are answered, and queues the others."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._running: Counter[Person] = Counter()
        self._workspaces: Counter[str] = Counter()
        self._queues: dict[Person, deque[QueueEntry]] = {}  # in the order in which people are next
        self._waiting: set[int] = set()

    @property
    def running(self) -> int:
        """How many threads are answered."""
        return self._workspaces.total()

    @property
    def waiting(self) -> int:
        """How many threads queue."""
        return len(self._waiting)

    def enter(self, entry: QueueEntry) -> bool:
        """Return whether this thread may be answered now. Otherwise queue it, unless the queue is full."""
        if entry.thread_id in self._waiting:
            return False
        if self._has_room(entry):
            self._start(entry)
            return True
        if len(self._waiting) < self._limits.waiting:
            self._waiting.add(entry.thread_id)
            self._queues.setdefault(_person(entry), deque()).append(entry)
        return False

    def is_waiting(self, entry: QueueEntry) -> bool:
        """Return whether this thread queues."""
        return entry.thread_id in self._waiting

    def admit(self, entry: QueueEntry) -> None:
        """Start this thread at once, also from the queue and beyond the limits: for a reply that takes no time."""
        if entry.thread_id in self._waiting:
            self._waiting.discard(entry.thread_id)
            others = {
                person: deque(other for other in queue if other.thread_id != entry.thread_id)
                for person, queue in self._queues.items()
            }
            self._queues = {person: queue for person, queue in others.items() if queue}
        self._start(entry)

    def leave(self, entry: QueueEntry) -> list[QueueEntry]:
        """End this thread's turn; return the threads that start now."""
        _decrease(self._running, _person(entry))
        _decrease(self._workspaces, entry.workspace)
        started = []
        while (following := self._next()) is not None:
            self._start(following)
            started.append(following)
        return started

    def _next(self) -> QueueEntry | None:
        if self.running >= self._limits.total:
            return None
        for person, queue in self._queues.items():
            if self._has_room(queue[0]):
                entry = queue.popleft()
                self._waiting.discard(entry.thread_id)
                del self._queues[person]
                if queue:
                    self._queues[person] = queue  # behind everybody else
                return entry
        return None

    def _has_room(self, entry: QueueEntry) -> bool:
        return (
            self.running < self._limits.total
            and self._workspaces[entry.workspace] < self._limits.per_workspace
            and self._running[_person(entry)] < self._limits.per_person
        )

    def _start(self, entry: QueueEntry) -> None:
        self._running[_person(entry)] += 1
        self._workspaces[entry.workspace] += 1


def _decrease(counter: Counter[K], key: K) -> None:
    counter[key] -= 1
    if not counter[key]:  # otherwise the counter would grow with every person
        del counter[key]


def _person(entry: QueueEntry) -> Person:
    return entry.workspace, entry.person
