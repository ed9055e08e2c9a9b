"""Line: who asks here. So many at once, and in each session one after the other, first come first served."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from bot.domain.events import Thread
from bot.errors import Overloaded, SessionBusy


class SessionLocks:
    """Counts who is inside, waiting or being answered, and lets them pass."""

    def __init__(self, *, most: int, most_of_one: int, wait_s: float) -> None:
        """At `most` so many are inside, in all and of one owner.

        `wait_s`: for how long one waits for the question before one's own in the same session.
        """
        self._most = most
        self._most_of_one = most_of_one
        self._wait_s = wait_s
        self._inside: Counter[str] = Counter()  # by owner
        self._tasks: set[asyncio.Task[Any]] = set()  # who waits inside
        self._sessions: dict[Thread, _Waiting] = {}

    @property
    def length(self) -> int:
        """How many are inside."""
        return self._inside.total()

    @contextmanager
    def inside(self, owner: str) -> Iterator[None]:
        """Count somebody while the block runs. Raises Overloaded when there are too many already."""
        if self._inside.total() >= self._most or self._inside[owner] >= self._most_of_one:
            raise Overloaded("too many questions are being answered here")
        self._inside[owner] += 1
        self._tasks.add(task := _this_task())
        try:
            yield
        finally:
            self._tasks -= {task, _this_task()}  # a stream may be read on in another task
            self._inside[owner] -= 1
            if not self._inside[owner]:
                del self._inside[owner]

    @contextmanager
    def aside(self) -> Iterator[None]:
        """While the block runs, whoever is inside is at work of its own, and is not to be cancelled."""
        self._tasks.discard(_this_task())
        try:
            yield
        finally:
            self._tasks.add(_this_task())

    async def dissolve(self) -> None:
        """Cancel everybody who waits inside, but for the caller; return when they have gone."""
        while others := {task for task in self._tasks - {_this_task()} if not task.done()}:
            for task in others:
                task.cancel()
            await asyncio.wait(others)

    @asynccontextmanager
    async def alone(self, thread: Thread) -> AsyncIterator[float]:
        """Inside the block nobody else here asks in this session; until when, by the loop's time, to wait in all.

        Raises SessionBusy when that is over.
        """
        until = asyncio.get_running_loop().time() + self._wait_s
        waiting = self._sessions.setdefault(thread, _Waiting())
        waiting.people += 1
        try:
            await _acquire(waiting.lock, until)
            try:
                yield until
            finally:
                waiting.lock.release()
        finally:
            waiting.people -= 1
            if not waiting.people:
                del self._sessions[thread]


@dataclass(slots=True)
class _Waiting:
    """Those who ask in one session."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    people: int = 0


def _this_task() -> asyncio.Task[Any]:
    if (task := asyncio.current_task()) is None:
        raise RuntimeError("asked outside of a task")
    return task


async def _acquire(lock: asyncio.Lock, until: float) -> None:
    try:
        async with asyncio.timeout_at(until):
            await lock.acquire()
    except TimeoutError:
        raise SessionBusy("another question is being answered") from None
