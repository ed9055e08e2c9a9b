"""APScheduler's jobs: expire, warn, delete old rows, scrub, look for what is owed, hear, renew leases, keep counts.

Rule: a few interval jobs in memory, each a set-based sweep that is safe to run on every replica, never a job per
thread (docs/decisions/0004-sweeps.md). What a job does not do in time is done by the next one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from bot.domain.sessions import IdleLimits
from bot.errors import StoreUnavailable
from bot.ops.expiry_warnings import ExpiryWarnings
from bot.store import chat_turns, purge
from bot.store import sessions as session_rows
from bot.store.engine import Store
from bot.turns.failed_deliveries import FailedDeliveries
from bot.turns.leases import POLL_INTERRUPTIONS_EVERY_S, RENEW_EVERY_S, LeaseKeeper
from bot.turns.worker import POLL_EVERY_S, Worker

log = logging.getLogger(__name__)

EXPIRE_EVERY_S = 60.0
WARN_EVERY_S = 30.0
KEEP_EVERY_S = 10.0
EXPIRE_BATCH = 1_000  # sessions closed in one transaction
EXPUNGE_EVERY_S = 900.0
EXPUNGE_BATCH = 200  # sessions whose rows are deleted in one transaction
SCRUB_EVERY_S = 10.0
SCRUB_SHARE = 0.001  # of the time at most, however large the file has become


class Scheduler:
    """Runs the jobs from start() to stop()."""

    def __init__(
        self,
        store: Store,
        leases: LeaseKeeper,
        *,
        clock: Callable[[], datetime],
        idle: IdleLimits,
        retention: timedelta,
        time: Callable[[], float] = time.monotonic,
    ) -> None:
        """`retention`: for how long the emptied rows of closed sessions are kept. `time` in seconds, to measure by."""
        self._store = store
        self._clock = clock
        self._idle = idle
        self._retention = retention
        self._time = time
        self._scrub_at = time()
        self._scheduler = AsyncIOScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        self._add("expire idle sessions", self.expire, EXPIRE_EVERY_S)
        self._add("delete old rows", self.expunge, EXPUNGE_EVERY_S)
        self._add("scrub the database's file", self.vacuum, SCRUB_EVERY_S)
        self._add("hear interruptions", leases.poll_interruptions, POLL_INTERRUPTIONS_EVERY_S)
        self._add("renew leases", leases.renew, RENEW_EVERY_S)

    def add_platform_jobs(
        self, worker: Worker, failed_deliveries: FailedDeliveries, forewarning: ExpiryWarnings | None = None
    ) -> None:
        """Add the jobs that a chat platform needs."""
        self._add("look for owed answers", worker.poll, POLL_EVERY_S)
        self._add("keep the count of refusals", failed_deliveries.keep, KEEP_EVERY_S)
        if forewarning is not None:
            self._add("warn of expiry", forewarning.warn, WARN_EVERY_S)

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
        """Close every session idle for longer than the limit, batch by batch; how many.

        What callers whose process died had asked is withdrawn first: until then their sessions are busy.
        """
        await self._store.run(chat_turns.withdraw_abandoned, now=self._clock(), batch=EXPIRE_BATCH)
        total = 0
        while closed := await self._store.run(
            session_rows.expire, now=self._clock(), idle=self._idle, batch=EXPIRE_BATCH
        ):
            total += closed
            await asyncio.sleep(0)  # answers go between the batches
        if total:
            log.info("idle sessions expired", extra={"count": total})
        return total

    async def expunge(self) -> int:
        """Delete the rows of sessions that closed longer ago than they are kept, batch by batch; how many."""
        total, before = 0, self._clock() - self._retention
        while deleted := await self._store.run(purge.expunge, before=before, batch=EXPUNGE_BATCH):
            total += deleted
            await asyncio.sleep(0)  # answers go between the batches
        if total:
            log.info("old rows deleted", extra={"count": total})
        return total

    async def vacuum(self) -> None:
        """Have what was erased leave the database's file; the longer that takes, the less often."""
        if self._time() >= self._scrub_at:
            seconds = await self._store.vacuum()
            self._scrub_at = self._time() + seconds / SCRUB_SHARE

    def _add(self, name: str, job: Callable[[], Awaitable[object]], every_s: float) -> None:
        async def guarded() -> None:
            try:
                await job()
            except StoreUnavailable as error:
                log.warning("job %r found the database unavailable: %s", name, error)

        self._scheduler.add_job(guarded, "interval", seconds=every_s, jitter=every_s / 10, name=name)
