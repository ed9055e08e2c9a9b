"""The lock of this process, by which the others see that it lives; and the leases of processes that have ended.

Rule: a process writes only while the others surely see its lock. When it has lost the lock and taken it again, it
renews its leases first, so that it learns which of them another process has taken meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from bot.errors import StoreUnavailable
from bot.store import lease_clock
from bot.store.engine import Store
from bot.store.process_locks import free_leases, process_lock

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
RETRY_S = 0.2  # while the lock cannot be taken, and a turn waits to write

T = TypeVar("T")


class LockKeeper:
    """Holds this process's lock, and frees the leases of the processes whose locks have ended."""

    def __init__(self, store: Store, token: str) -> None:
        """`token` names the lock, and ends the name that this process has in its leases."""
        self._store = store
        self._lock = process_lock(store.engine, token)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="process-lock")  # the lock has a connection of its own
        self._renew: Callable[[], Awaitable[None]] | None = None
        self._taking = asyncio.Lock()
        self._sure_until = -math.inf  # by the lease clock

    @asynccontextmanager
    async def held(self, renew: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Hold the lock during the block. `renew` renews all leases, and ends the turns whose lease was lost."""
        self._renew = renew
        await self._take()
        try:
            yield
        finally:
            await self._run(self._lock.release)
            self._thread.shutdown(wait=False)

    async def until_sure(self) -> None:
        """Return when the other processes surely see the lock. Until then a turn writes nothing."""
        while not self._is_sure():
            async with self._taking:  # many turns may wait for the same answer
                sure = self._is_sure() or await self._take()
            if not sure:
                await asyncio.sleep(RETRY_S)

    async def free_leases(self) -> bool:
        """Check this process's lock, and free the leases of the processes that have ended; return whether any had."""
        async with self._taking:
            if not await self._take():
                return False
        ended = await self._run(self._lock.ended)
        if not ended:
            return False
        freed = await self._store.run_urgent(free_leases, ended)
        await self._run(lambda: self._lock.forget(ended))
        if freed:
            log.warning("process_ended", extra={"processes": len(ended), "leases": freed})
        return bool(freed)

    async def _take(self) -> bool:
        """Take the lock, or check that it is held; return whether the other processes see it."""
        requested_at, was_sure = lease_clock.now(), self._is_sure()
        seconds = await self._run(self._lock.hold)
        if not seconds:
            return False
        if self._lock.stood_still():
            was_sure, self._sure_until = False, -math.inf
        if not was_sure and self._renew is not None:
            try:
                await self._renew()
            except StoreUnavailable:
                return False
        self._sure_until = requested_at + seconds
        return self._is_sure()

    def _is_sure(self) -> bool:
        return lease_clock.now() < self._sure_until

    async def _run(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)
