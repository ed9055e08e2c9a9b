"""One lock for each session, so that its questions are answered one after the other, in the order of their arrival."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bot.domain.events import Thread
from bot.errors import SessionBusy


class SessionLocks:
    """The locks of the sessions that have a running or waiting question."""

    def __init__(self, *, timeout_s: float) -> None:
        """`timeout_s`: the longest wait for the earlier questions of a session."""
        self._timeout_s = timeout_s
        self._locks: dict[Thread, _SessionLock] = {}

    @asynccontextmanager
    async def lock(self, thread: Thread) -> AsyncIterator[float]:
        """Lock a session while the block runs. Raises SessionBusy after the timeout.

        The block gets the end of the timeout, by the loop's time: other processes may answer in the session as well.
        """
        until = asyncio.get_running_loop().time() + self._timeout_s
        entry = self._locks.setdefault(thread, _SessionLock())
        entry.users += 1
        try:
            await _acquire(entry.lock, until)
            try:
                yield until
            finally:
                entry.lock.release()
        finally:
            entry.users -= 1
            if not entry.users:
                del self._locks[thread]


@dataclass(slots=True)
class _SessionLock:
    """A lock, and how many questions hold it or wait for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


async def _acquire(lock: asyncio.Lock, until: float) -> None:
    try:
        async with asyncio.timeout_at(until):
            await lock.acquire()
    except TimeoutError:
        raise SessionBusy("another question is being answered") from None
