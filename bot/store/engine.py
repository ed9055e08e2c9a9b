"""Store: runs a store function in one transaction, in the small pool of threads that owns the database.

Rule: on SQLite one thread, the one writer; on PostgreSQL a few (figures in docs/decisions/0002-synchronous-store.md).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from bot.errors import StartupError, StoreUnavailable
from bot.store.pool import Pool

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

POSTGRESQL_THREADS = 4
INSIST_FIRST_S, INSIST_MOST_S = 0.1, 5.0  # pauses between two tries, doubling
_BUSY_MS = 2_000  # for another process's lock: Slack waits for three seconds
IDLE_TRANSACTION_MS = 5_000  # ours wait for nothing but the database
WAL_PAUSE_S, WAL_MOST_S = 0.02, 1.0
MOST_WAITING = 5_000  # transactions; beyond that the database counts as unavailable


class Store:
    """The database. `await store.run(function, ...)` is one transaction, whole or not at all."""

    def __init__(self, url: str, *, there: bool = False) -> None:
        """Prepare the engine for a `sqlite:///` or `postgresql://` URL; nothing is opened yet.

        A SQLite file is made when there is none; with `there` that is a StartupError.
        """
        self.engine = _engine(url, there=there)
        threads = 1 if self.engine.dialect.name == "sqlite" else POSTGRESQL_THREADS
        self._pool = Pool(threads)
        self._waiting = 0

    async def run(self, function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result once its transaction is committed. Cancelling the wait does not tear it.

        Raises StoreUnavailable when the database refused or could not be reached; nothing was stored then.
        """
        return await self._stand_in_line(partial(self._transaction, function, *args, **kwargs), urgent=False)

    async def run_urgent(
        self, function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like run, but before all that has not begun yet: for what Slack waits for, and what keeps a lease."""
        return await self._stand_in_line(partial(self._transaction, function, *args, **kwargs), urgent=True)

    async def run_until_available(
        self, function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like run, but wait for a database that is not there, for as long as the caller is not cancelled.

        For what must not be lost any more: the caller's own work waits meanwhile. Raises StoreUnavailable only
        for what the database will never take, such as a value that does not fit.
        """
        pause_s = INSIST_FIRST_S
        while True:
            try:
                return await self.run(function, *args, **kwargs)
            except _Refused:
                raise
            except StoreUnavailable as error:
                log.warning("the database did not answer (%s); waiting for it", error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, INSIST_MOST_S)

    def _stand_in_line(self, transaction: Callable[[], T], *, urgent: bool) -> asyncio.Future[T]:
        if self._waiting >= MOST_WAITING:
            raise StoreUnavailable("too many transactions are waiting")
        self._waiting += 1
        done = asyncio.wrap_future(self._pool.submit(transaction, urgent=urgent))
        done.add_done_callback(self._done)
        return done

    def _done(self, _: object) -> None:
        self._waiting -= 1

    def _transaction(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            with self.engine.begin() as connection:
                return function(connection, *args, **kwargs)
        except (DataError, IntegrityError, ProgrammingError) as error:
            failure: StoreUnavailable = _Refused(type(error.orig).__name__)
        except DBAPIError as error:
            failure = StoreUnavailable(_reason(error.orig))
        # Raised out here, so that nothing leads back to the driver's error: it may repeat what people wrote.
        raise failure

    async def vacuum(self) -> float:
        """Have what was erased leave the database's file, too; the seconds for which nothing else could be stored.

        Best effort: it never raises, the next one makes up. On SQLite the file is written anew, which takes some 10 ms
        for each megabyte. PostgreSQL does it by itself (autovacuum).
        """
        seconds, _ = await self._stand_in_line(self._rewrite, urgent=False)
        return seconds

    async def vacuum_now(self, *, patience_s: float) -> bool:
        """Scrub, waiting for other processes for so long; whether nothing that was erased is left in the file."""
        _, clean = await self._stand_in_line(partial(self._rewrite, patience_s), urgent=False)
        return clean

    def _rewrite(self, patience_s: float = 0.0) -> tuple[float, bool]:
        if self.engine.dialect.name != "sqlite":
            return 0.0, True
        began, clean = time.perf_counter(), False
        try:
            with closing(self.engine.raw_connection()) as borrowed, closing(borrowed.cursor()) as cursor:
                clean = borrowed.info[_CLEAN] = borrowed.info.get(_CLEAN) or _is_written_anew(cursor, patience_s)
        except (sqlite3.Error, DBAPIError) as error:
            log.warning("the database's file could not be rewritten without what was erased: %s", _reason(error))
        return time.perf_counter() - began, clean

    async def check(self) -> None:
        """Raise StartupError, in one line with the remedy, when the database cannot be reached."""
        try:
            await self.run(lambda connection: connection.execute(sa.text("SELECT 1")))
        except StoreUnavailable as error:
            # Of the address only what can hold no part of a password, however it was written.
            where = self.engine.url.database if self.engine.dialect.name == "sqlite" else self._host()
            raise StartupError(
                f"The database at {where} cannot be reached ({error}). Check DATABASE_URL and that the server runs."
            ) from None

    def _host(self) -> str:
        return (self.engine.url.host or "the local socket").rpartition("@")[2]

    async def close(self) -> None:
        """Finish what runs, then close every connection."""
        await asyncio.to_thread(self._pool.close)
        self.engine.dispose()


_CLEAN = "clean"


def mark_dirty(connection: Connection) -> None:
    """Something is erased here: its words are still to leave the database's file (scrub)."""
    connection.info.pop(_CLEAN, None)


def _is_written_anew(cursor: Any, patience_s: float) -> bool:
    """Write the file anew, unless another process is at it for so long; whether nothing of the old one is left."""
    cursor.execute(f"PRAGMA busy_timeout={round(patience_s * 1000)}")  # nothing else is stored meanwhile
    try:
        # Not even secure_delete reaches what SQLite leaves behind when it moves rows from page to page.
        cursor.execute("VACUUM")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return not cursor.fetchone()[0]
    finally:
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")


class _Refused(StoreUnavailable):
    """The database took offence at the statement itself: the same again would fail again."""


def insert_or_ignore(connection: Connection, table: sa.Table, values: dict[str, Any]) -> int | None:
    """Insert a row unless a unique constraint has it already; its new id, or None when it was there."""
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite as dialect  # noqa: PLC0415 - the two dialects share the spelling
    else:
        from sqlalchemy.dialects import postgresql as dialect  # type: ignore[no-redef]  # noqa: PLC0415
    statement = dialect.insert(table).on_conflict_do_nothing().returning(table.c.id)
    found: int | None = connection.execute(statement, values).scalar()
    return found


# What drivers say that helps an operator and can hold nobody's words; anything else is told by its class alone.
_REASONS = (
    "authentication failed",
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
    "too many connections",
    "unable to open database file",
)


def _reason(error: BaseException | None) -> str:
    said = str(error).lower()
    return next((reason for reason in _REASONS if reason in said), type(error).__name__)


def _engine(url: str, *, there: bool) -> Engine:
    try:
        parsed = sa.make_url(url)
    except (SQLAlchemyError, ValueError):
        raise StartupError(
            "DATABASE_URL is not a database URL. Use for instance sqlite:///data/attendant.db."
        ) from None
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, there=there)
    engine = sa.create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=POSTGRESQL_THREADS,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,  # they hold what people wrote, and errors are logged
        # A server that vanishes without a word must not hold a thread for longer than this: seconds, milliseconds.
        connect_args={
            "connect_timeout": 5,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
        },
    )
    event.listen(engine, "connect", _set_up_postgresql)
    return engine


def _set_up_postgresql(connection: Any, _record: object) -> None:
    # A process that is frozen in the midst of a transaction must not keep its locks from the others.
    connection.execute(f"SET idle_in_transaction_session_timeout = {IDLE_TRANSACTION_MS}")
    connection.commit()


def _sqlite(url: sa.URL, *, there: bool) -> Engine:
    if url.database in {None, "", ":memory:"}:
        raise StartupError("DATABASE_URL names no file. Use for instance sqlite:///data/attendant.db.")
    file = Path(url.database or "").expanduser()
    if there and not file.exists():
        raise StartupError(f"There is no database at {file}. Check DATABASE_URL, and the folder that you are in.")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)  # it will hold what people wrote
    except OSError as error:
        raise StartupError(f"The file of DATABASE_URL cannot be made: {error.strerror}. Check its folder.") from None
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


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # WAL: readers never wait, and a killed process never corrupts. The driver must not open transactions itself.
    connection.isolation_level = None
    _write_ahead(connection)
    # secure_delete: what is erased is overwritten.
    for pragma in ("synchronous=NORMAL", f"busy_timeout={_BUSY_MS}", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: Any) -> None:
    # Of several processes that change a new file's journal at the same moment SQLite refuses some without any wait.
    give_up_at = time.monotonic() + WAL_MOST_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > give_up_at:
                raise
            time.sleep(WAL_PAUSE_S)
        else:
            return


def _begin_immediate(connection: Connection) -> None:
    # Take the write lock at once: a transaction that turns from reader to writer can fail half-way.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
