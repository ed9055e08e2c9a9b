"""APScheduler's jobs: expire idle sessions, look for what is owed, hear what is to end, renew leases.

Rule: a few interval jobs in memory, each a set-based sweep that is safe to run on every replica, never a job per
thread (docs/decisions/0004-sweeps.md). What a job does not do in time is done by the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from bot.errors import StoreUnavailable
from bot.held import HEAR_EVERY_S, RENEW_EVERY_S
from bot.store import exchanges
from bot.store import sessions as session_rows
from bot.store.engine import Store
from bot.worker import LOOK_EVERY_S, Worker

log = logging.getLogger(__name__)

EXPIRE_EVERY_S = 60.0
EXPIRE_BATCH = 1_000  # sessions closed in one transaction


class Scheduler:
    """Runs the jobs from start() to stop()."""

    def __init__(self, store: Store, worker: Worker, *, clock: Callable[[], datetime], idle_after: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._idle_after = idle_after
        self._scheduler = AsyncIOScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        self._add("expire idle sessions", self.expire, EXPIRE_EVERY_S)
        self._add("look for owed answers", worker.look, LOOK_EVERY_S)
        self._add("hear interruptions", worker.hear, HEAR_EVERY_S)
        self._add("renew leases", worker.renew, RENEW_EVERY_S)

    @property
    def running(self) -> bool:
        """Whether jobs are started when they are due."""
        return bool(self._scheduler.running)

    def start(self) -> None:
        """Start the jobs on the running loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """Start no further job."""
        self._scheduler.shutdown(wait=False)

    async def expire(self) -> int:
        """Close every session idle for longer than the limit, batch by batch; how many."""
        await self._store.run(exchanges.withdraw_abandoned, now=self._clock(), batch=EXPIRE_BATCH)
        total = 0
        while closed := await self._store.run(
            session_rows.expire, now=self._clock(), idle_after=self._idle_after, batch=EXPIRE_BATCH
        ):
            total += closed
            await asyncio.sleep(0)  # answers go between the batches
        if total:
            log.info("idle sessions expired", extra={"count": total})
        return total

    def _add(self, name: str, job: Callable[[], Awaitable[object]], every_s: float) -> None:
        async def guarded() -> None:
            try:
                await job()
            except StoreUnavailable as error:
                log.warning("job %r found the database unavailable: %s", name, error)

        self._scheduler.add_job(guarded, "interval", seconds=every_s, jitter=every_s / 10, name=name)
