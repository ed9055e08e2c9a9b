"""Who may be answered now: so many at once, in all, for one workspace and for one person; the others wait in line.

Rule: pure. The line is fair: people take turns, and nobody's many threads hold up somebody else's one.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TypeVar

from bot.store.leases import Owed


@dataclass(frozen=True, slots=True)
class Limits:
    """How many threads may be answered at once in this process, and how many may wait in its line."""

    total: int
    per_workspace: int
    per_person: int
    waiting: int


K = TypeVar("K")
Person = tuple[str, str]  # workspace and person


class FairQueue:
    """Counts who is inside, and keeps the line of those who wait."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._inside: Counter[Person] = Counter()
        self._workspaces: Counter[str] = Counter()
        self._line: dict[Person, deque[Owed]] = {}  # in the order in which people are next
        self._waiting: set[int] = set()

    @property
    def running(self) -> int:
        """How many are inside."""
        return self._workspaces.total()

    @property
    def waiting(self) -> int:
        """How many wait in line."""
        return len(self._waiting)

    def enter(self, owed: Owed) -> bool:
        """Whether this thread may be answered now. If not it waits; a line that is full turns it away."""
        if owed.thread_id in self._waiting:
            return False
        if self._may_enter(owed):
            self._go_in(owed)
            return True
        if len(self._waiting) < self._limits.waiting:
            self._waiting.add(owed.thread_id)
            self._line.setdefault(_person(owed), deque()).append(owed)
        return False

    def waits(self, owed: Owed) -> bool:
        """Whether this thread waits in line."""
        return owed.thread_id in self._waiting

    def admit(self, owed: Owed) -> None:
        """Let this thread in at once, also from the line and whatever the limits: for what takes no time."""
        if owed.thread_id in self._waiting:
            self._waiting.discard(owed.thread_id)
            left = {who: deque(o for o in line if o.thread_id != owed.thread_id) for who, line in self._line.items()}
            self._line = {who: line for who, line in left.items() if line}
        self._go_in(owed)

    def leave(self, owed: Owed) -> list[Owed]:
        """This thread was answered; who goes in now."""
        _decrease(self._inside, _person(owed))
        _decrease(self._workspaces, owed.workspace)
        entered = []
        while (found := self._next()) is not None:
            self._go_in(found)
            entered.append(found)
        return entered

    def _next(self) -> Owed | None:
        if self.running >= self._limits.total:
            return None
        for person, queue in self._line.items():
            if self._may_enter(queue[0]):
                found = queue.popleft()
                self._waiting.discard(found.thread_id)
                del self._line[person]
                if queue:
                    self._line[person] = queue  # behind everybody else
                return found
        return None

    def _may_enter(self, owed: Owed) -> bool:
        return (
            self.running < self._limits.total
            and self._workspaces[owed.workspace] < self._limits.per_workspace
            and self._inside[_person(owed)] < self._limits.per_person
        )

    def _go_in(self, owed: Owed) -> None:
        self._inside[_person(owed)] += 1
        self._workspaces[owed.workspace] += 1


def _decrease(counter: Counter[K], key: K) -> None:
    counter[key] -= 1
    if not counter[key]:  # or everybody who ever asked would stay in memory
        del counter[key]


def _person(owed: Owed) -> Person:
    return owed.workspace, owed.person
