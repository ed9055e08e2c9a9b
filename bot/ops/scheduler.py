"""The scheduled jobs: expire, warn of it, erase, purge, vacuum, poll for work, renew and free leases, store counts.

Rule: a few interval jobs in memory. Each is a set-based sweep that every replica may run, never a job for one thread
(docs/decisions/0004-sweeps.md). The next run does the work that a run leaves undone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from bot.domain.sessions import IdleLimits
from bot.errors import StoreUnavailable
from bot.ops.expiry_warnings import ExpiryWarnings
from bot.store import closed_sessions, preferences, purge, sessions, unserved
from bot.store.engine import Store
from bot.store.pool import OF_OTHERS
from bot.turns.erased_files import ErasedFiles
from bot.turns.failed_deliveries import FailedDeliveries
from bot.turns.leases import POLL_INTERRUPTIONS_EVERY_S, RENEW_EVERY_S, LeaseKeeper
from bot.turns.lock_keeper import LOOK_EVERY_S
from bot.turns.worker import POLL_EVERY_S, Worker

log = logging.getLogger(__name__)

EXPIRE_EVERY_S = 60.0
WARN_EVERY_S = 30.0
STORE_COUNTS_EVERY_S = 10.0
ERASE_EVERY_S = 2.0
DELETE_FILES_EVERY_S = 2.0
EXPIRE_BATCH = 50  # sessions closed in one transaction
PURGE_EVERY_S = 900.0
UNDO_FOR = timedelta(days=1)  # then the text that the model replaced in a person's preferences is erased
PURGE_BATCH = 200  # sessions whose rows are deleted in one transaction
VACUUM_EVERY_S = 10.0
VACUUM_SHARE = 0.001  # the longest step takes at most this share of the time until the next pass


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
        """`retention`: the emptied rows of closed sessions are kept so long. `time`: a monotonic clock, in seconds."""
        self._store = store
        self._leases = leases
        self._worker: Worker | None = None
        self._clock = clock
        self._idle = idle
        self._retention = retention
        self._time = time
        self._vacuum_at = time()
        self._scheduler = AsyncIOScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        self._add("expire_sessions", self.expire, EXPIRE_EVERY_S)
        self._add("erase_closed_sessions", self.erase_closed_sessions, ERASE_EVERY_S)
        self._add("purge_rows", self.purge, PURGE_EVERY_S)
        self._add("vacuum", self.vacuum, VACUUM_EVERY_S)
        self._add("poll_interruptions", leases.poll_interruptions, POLL_INTERRUPTIONS_EVERY_S)
        self._add("renew_leases", leases.renew, RENEW_EVERY_S)
        self._add("free_leases", self.free_leases, LOOK_EVERY_S)

    def add_platform_jobs(
        self, failed_deliveries: FailedDeliveries, erased_files: ErasedFiles, warnings: ExpiryWarnings | None = None
    ) -> None:
        """Add the jobs that a chat platform needs."""
        self._add("delete_erased_files", erased_files.delete, DELETE_FILES_EVERY_S)
        self._add("store_failed_deliveries", failed_deliveries.save, STORE_COUNTS_EVERY_S)
        if warnings is not None:
            self._add("warn_of_expiry", warnings.warn, WARN_EVERY_S)

    def take_over(self, worker: Worker) -> None:
        """Take over the turns that other processes left, now and from now on."""
        self._worker = worker
        self._add("poll_for_work", worker.poll, POLL_EVERY_S, next_run_time=datetime.now(UTC))
        self._add("settle_unserved", partial(self.settle_unserved, worker), PURGE_EVERY_S)

    @property
    def running(self) -> bool:
        """Whether the jobs are started when they are due."""
        return bool(self._scheduler.running)

    def start(self) -> None:
        """Start the jobs on the running loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """Start no further job."""
        self._scheduler.shutdown(wait=False)

    async def expire(self) -> int:
        """Close every session that is idle for longer than its limit, in batches; return how many.

        First, it withdraws the HTTP questions whose process died, because they keep their sessions busy.
        """
        await self._leases.withdraw_abandoned()
        total = 0
        while closed := await self._store.run(sessions.expire, now=self._clock(), idle=self._idle, batch=EXPIRE_BATCH):
            total += closed
            await asyncio.sleep(0)  # running answers get their turn between the batches
        if total:
            log.info("sessions_expired", extra={"count": total})
        return total

    async def free_leases(self) -> None:
        """Free the leases of processes that have ended, and take their turns over at once."""
        if await self._leases.free_abandoned() and self._worker is not None:
            await self._worker.poll()

    async def erase_closed_sessions(self) -> None:
        """Erase the texts of closed sessions that held much text, in steps."""
        progress = None
        while progress := await self._store.run(closed_sessions.erase_next, progress):
            pass

    async def purge(self) -> int:
        """Delete the rows of sessions that closed before the retention began, in batches; return how many sessions."""
        total, before = 0, self._clock() - self._retention
        deleted = 1
        while deleted:
            while await self._store.run(purge.delete_old_turns, before=before, batch=PURGE_BATCH):
                pass
            deleted = await self._store.run(purge.delete_old_rows, before=before, batch=PURGE_BATCH)
            total += deleted
        await self._store.run(preferences.drop_earlier, before=self._clock() - UNDO_FOR)
        if total:
            log.info("rows_purged", extra={"count": total})
        return total

    async def settle_unserved(self, worker: Worker) -> None:
        """Settle messages that have waited for longer than the retention where this process does not answer.

        No process has answered them in all that time. Until then they hold up the expiry of their sessions.
        """
        now = self._clock()
        served, before = worker.places, now - self._retention
        while ids := await self._store.run(unserved.left_behind, served, before=before, now=now, batch=EXPIRE_BATCH):
            threads = await self._store.run(unserved.settle, ids, now=now)
            if not threads:  # processes have taken them meanwhile
                return
            log.warning("unserved_turns_settled", extra={"threads": threads})

    async def vacuum(self) -> None:
        """Remove erased words from the database's file. The longer a step blocks others, the later the next run."""
        if self._time() >= self._vacuum_at:
            seconds = await self._store.vacuum()
            self._vacuum_at = self._time() + seconds / VACUUM_SHARE

    def _add(self, name: str, job: Callable[[], Awaitable[object]], every_s: float, **how: Any) -> None:
        async def guarded() -> None:
            OF_OTHERS.set(True)  # for this run, which is a task of its own
            try:
                await job()
            except StoreUnavailable as error:
                log.warning("job_postponed", extra={"job": name, "error": str(error)})
            except asyncio.CancelledError:  # the process ends; APScheduler would log it as the job's failure
                if self._scheduler.running:
                    raise

        self._scheduler.add_job(guarded, "interval", seconds=every_s, jitter=every_s / 10, name=name, **how)
