"""Store: runs a store function in one transaction, in the small pool of threads that owns the database.

Rule: SQLite has one thread, the only writer. PostgreSQL has a few (docs/decisions/0002-synchronous-store.md).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from bot.errors import NoDatabase, StartupError, StoreUnavailable
from bot.store import postgresql, sqlite_file
from bot.store.pool import OF_OTHERS, Pool
from bot.store.sqlite_file import OpenFile
from bot.store.vacuum import CLEAN, Vacuum

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

RETRY_FIRST_S, RETRY_MAX_S = 0.1, 5.0  # the pause between two attempts doubles
_BUSY_MS = 2_000  # waiting for another process's lock: Slack waits for three seconds
IDLE_TRANSACTION_S = 5.0  # our transactions wait for nothing but the database
WAL_RETRY_S, WAL_TIMEOUT_S = 0.02, 1.0
MAX_QUEUED = 5_000  # transactions; with more, the database counts as unavailable
MAX_QUEUED_OF_OTHERS = 2_000  # likewise of API callers: their queue must leave room for Slack's events


class Store:
    """The database. `await store.run(function, ...)` is one transaction, whole or not at all."""

    def __init__(self, url: str, *, must_exist: bool = False, idle_transaction_s: float = IDLE_TRANSACTION_S) -> None:
        """Prepare the engine for a `sqlite:///` or `postgresql://` URL. It does not connect yet.

        A missing SQLite file is created; with `must_exist`, that raises NoDatabase instead. PostgreSQL ends a
        transaction in which this process does nothing for `idle_transaction_s`.
        """
        self.engine = _engine(url, must_exist=must_exist, idle_transaction_s=idle_transaction_s)
        self._file = _open_file(self.engine)
        threads = 1 if self.engine.dialect.name == "sqlite" else postgresql.THREADS
        self._pool = Pool(threads)
        self._queued: Counter[bool] = Counter()  # by whether they are of others than Slack
        self._closed = False

    async def run(self, function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the function's result once its transaction is committed. Cancelling the await does not interrupt it.

        Raises StoreUnavailable when the database refused or could not be reached. Nothing is stored then.
        """
        return await self._enqueue(partial(self._transaction, function, *args, **kwargs), urgent=False)

    async def run_urgent(
        self, function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like run, but ahead of the queue: for events that Slack awaits an ack of, and for renewing leases."""
        return await self._enqueue(partial(self._transaction, function, *args, **kwargs), urgent=True)

    async def run_until_available(
        self, function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like run, but retry until the database is available or the caller is cancelled.

        For writes that must not be lost, such as a finished answer. Raises StoreUnavailable only for a statement
        that the database will never accept, such as a value that is too long.
        """
        pause_s = RETRY_FIRST_S
        while True:
            try:
                return await self.run(function, *args, **kwargs)
            except _StatementRefused:
                raise
            except StoreUnavailable as error:
                log.warning("database_unavailable", extra={"error": str(error), "retry_in_s": pause_s})
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_MAX_S)

    def _enqueue(self, transaction: Callable[[], T], *, urgent: bool) -> asyncio.Future[T]:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        of_others = OF_OTHERS.get() and not urgent
        if self._queued[of_others] >= (MAX_QUEUED_OF_OTHERS if of_others else MAX_QUEUED):
            raise StoreUnavailable("too many transactions are waiting")
        self._queued[of_others] += 1
        result = asyncio.wrap_future(self._pool.submit(transaction, urgent=urgent))
        result.add_done_callback(lambda _: self._queued.subtract([of_others]))
        return result

    def _transaction(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            with self.engine.begin() as connection:
                return function(connection, *args, **kwargs)
        except (DataError, IntegrityError, ProgrammingError) as error:
            failure: StoreUnavailable = _StatementRefused(type(error.orig).__name__)
        except DBAPIError as error:
            failure = StoreUnavailable(_reason(error.orig))
        # Raised outside of the except block: the driver's error may quote people's texts and must not be chained.
        raise failure

    async def vacuum(self) -> float:
        """Remove erased text from the database's file. Return for how many seconds it blocked the store at once.

        It never raises: the next vacuum catches up. PostgreSQL does it by itself (autovacuum).
        """
        longest_s, _ = await self._vacuum(lock_timeout_s=0.0)
        return longest_s

    async def vacuum_now(self, *, lock_timeout_s: float) -> bool:
        """Vacuum, waiting for other processes' locks. Return whether the file is free of erased text."""
        _, clean = await self._vacuum(lock_timeout_s=lock_timeout_s)
        return clean

    async def _vacuum(self, *, lock_timeout_s: float) -> tuple[float, bool]:
        """Return the seconds that the longest step took, and whether the file is clean."""
        if self._file is None:
            return 0.0, True
        timeouts_ms = (round(lock_timeout_s * 1000), _BUSY_MS)
        longest_s = 0.0
        vacuum = Vacuum(self.engine.raw_connection, self._file, busy_timeouts_ms=timeouts_ms)
        try:
            while not vacuum.ended:  # other transactions run between the steps
                longest_s = max(longest_s, await self._enqueue(vacuum.step, urgent=False))
        except StoreUnavailable:  # the store is closed, or too many transactions wait
            return longest_s, False
        except (sqlite3.Error, DBAPIError, OSError) as error:
            log.warning("vacuum_failed", extra={"error": _reason(error)})
        return longest_s, vacuum.clean

    async def check(self) -> None:
        """Raise StartupError, one line with the remedy, when the database cannot be reached."""
        try:
            await self.run(lambda connection: connection.execute(sa.text("SELECT 1")))
        except StoreUnavailable as error:
            problem = f"The database at {self.location} cannot be reached ({error})."
            raise StartupError(f"{problem} Check DATABASE_URL and that the server runs.") from None

    @property
    def location(self) -> str:
        """The file's path, or the server's host: no part of the URL that may hold a password, even a mistyped one."""
        if self.engine.dialect.name == "sqlite":
            return str(self.engine.url.database)
        return (self.engine.url.host or "the local socket").rpartition("@")[2]

    async def close(self) -> None:
        """Finish all queued transactions, then close every connection."""
        self._closed = True
        await asyncio.to_thread(self._pool.close)
        self.engine.dispose()
        if self._file is not None:
            sqlite_file.release(self._file)
            self._file = None


def mark_dirty(connection: Connection) -> None:
    """Note that this transaction erases text, which the next vacuum must remove from the database's file."""
    connection.info.pop(CLEAN, None)


class _StatementRefused(StoreUnavailable):
    """The database refused the statement itself: a retry would fail too."""


def insert_or_ignore(connection: Connection, table: sa.Table, values: dict[str, Any]) -> int | None:
    """Insert a row and return its id, or None when a unique constraint shows that it exists."""
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite as dialect  # noqa: PLC0415 - both dialects spell it alike
    else:
        from sqlalchemy.dialects import postgresql as dialect  # type: ignore[no-redef]  # noqa: PLC0415
    statement = dialect.insert(table).on_conflict_do_nothing().returning(table.c.id)
    row_id: int | None = connection.execute(statement, values).scalar()
    return row_id


# Parts of drivers' messages that help an operator and never quote a row. For any other error only its class is shown.
_SAFE_REASONS = (
    "authentication failed",
    "certificate verify failed",
    "connection refused",
    "connection timeout expired",
    "could not translate host name",
    "database is locked",
    "database or disk is full",
    "disk i/o error",
    "does not exist",
    "failed to resolve host",
    "file is not a database",
    "no such table",
    "no space left on device",
    "permission denied",
    "readonly database",
    "server closed the connection",
    "server does not support ssl",
    "too many connections",
    "unable to open database file",
)


def _reason(error: BaseException | None) -> str:
    message = str(error).lower()
    return next((reason for reason in _SAFE_REASONS if reason in message), type(error).__name__)


def _engine(url: str, *, must_exist: bool, idle_transaction_s: float) -> Engine:
    try:
        parsed = sa.make_url(url)
    except (SQLAlchemyError, ValueError):
        raise StartupError(
            "DATABASE_URL is not a database URL. Use for instance sqlite:///data/attendant.db."
        ) from None
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, must_exist=must_exist)
    return postgresql.open_engine(parsed, idle_transaction_s=idle_transaction_s)


def _sqlite(url: sa.URL, *, must_exist: bool) -> Engine:
    if url.database in {None, "", ":memory:"}:
        raise StartupError("DATABASE_URL names no file. Use for instance sqlite:///data/attendant.db.")
    file = Path(url.database or "").expanduser()
    if must_exist and not file.exists():
        raise NoDatabase(f"There is no database at {file}. Check DATABASE_URL and the current folder.")
    engine = sa.create_engine(
        url.set(database=str(file)),
        pool_size=1,
        max_overflow=0,
        hide_parameters=True,
        connect_args={"timeout": 2},  # seconds: Slack waits for three
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _open_file(engine: Engine) -> OpenFile | None:
    if engine.dialect.name != "sqlite":
        return None
    try:
        return sqlite_file.acquire(Path(str(engine.url.database)))
    except OSError as error:
        raise StartupError(f"The file of DATABASE_URL cannot be created: {error.strerror}. Check its folder.") from None


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not open transactions by itself
    _set_wal_mode(connection)
    # secure_delete overwrites deleted rows with zeros.
    for pragma in ("synchronous=NORMAL", f"busy_timeout={_BUSY_MS}", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _set_wal_mode(connection: Any) -> None:
    # With a write-ahead log, readers never wait and a killed process never corrupts the file.
    # When several processes set the mode of a new file at once, SQLite refuses some of them without waiting.
    deadline = time.monotonic() + WAL_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(WAL_RETRY_S)
        else:
            return


def _begin_immediate(connection: Connection) -> None:
    # Take the write lock at once: a transaction that starts as a reader can fail when it wants to write.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
