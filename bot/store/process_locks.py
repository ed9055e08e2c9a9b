"""Process locks: each process holds one, by which the others see that it lives. It ends with the process.

Rule: an absent lock proves an end only where the process itself would stop writing first. A locked file is unlocked by
the system alone. A session of PostgreSQL can be lost by a process that lives, so its lock must be absent for a while.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from bot.store import lease_clock, leases
from bot.store.lock_file import TOKEN, LockFile

SURE_S = 0.8  # after PostgreSQL has confirmed the lock, this process may write for so long
STILL_S = 1.0  # clocks drift by less between two looks
ABSENT_S = 2.0  # a session's lock must be absent for so long; longer than SURE_S by a call of the platform in flight


class ProcessLock(Protocol):
    """The lock of this process, and its view on the other processes' locks. A token names a lock."""

    def hold(self) -> float:
        """Take the lock, or check that it is still held. Return for how many seconds the others surely see it."""

    def stood_still(self) -> bool:
        """Return whether this process's clock stood still before the last `hold`, while the database's went on.

        Others may have taken its leases over meanwhile, although it has held its lock all the time.
        """

    def ended(self) -> set[str]:
        """Return the tokens of processes that have ended without releasing their locks."""

    def forget(self, tokens: Iterable[str]) -> None:
        """Note that the leases of these processes are free."""

    def release(self) -> None:
        """Release the lock."""


def process_lock(engine: Engine, token: str) -> ProcessLock:
    """Return the lock that suits the database. It is not held yet."""
    if engine.dialect.name == "sqlite":
        return LockFile(Path(f"{engine.url.database}-lock-"), token)
    return SessionLock(engine, token)


class SessionLock:
    """A shared advisory lock in a session of PostgreSQL. The server releases it when the connection ends.

    The lock is shared, so that a pool between this process and the server may change the session. A transaction that
    frees the leases of a process takes its lock exclusively.
    """

    def __init__(self, engine: Engine, token: str, *, clock: Callable[[], float] = lease_clock.now) -> None:
        """`clock` never goes back, and is in seconds."""
        self._engine = engine
        self._token = token
        self._clock = clock
        self._connection: Connection | None = None
        self._known: set[str] | None = None  # None: this session has not looked yet
        self._absent_since: dict[str, float] = {}
        self._looked_at = -math.inf
        self._ahead = -math.inf  # how much the database's clock was ahead of this process's at the last `hold`
        self._stood_still = False

    def hold(self) -> float:
        """See ProcessLock."""
        try:
            held, database_time = self._connected().execute(_HOLD, {"key": _key(self._token)}).one()
        except DBAPIError as error:
            self._disconnect()
            return SURE_S if _refuses_everybody(error) else 0.0
        before, self._ahead = self._ahead, float(database_time) - self._clock()
        self._stood_still = -math.inf < before < self._ahead - STILL_S
        return SURE_S if held else 0.0

    def stood_still(self) -> bool:
        """See ProcessLock."""
        return self._stood_still

    def ended(self) -> set[str]:
        """See ProcessLock."""
        try:
            held, known = self._look()
        except DBAPIError:
            self._disconnect()
            return set()
        now = self._clock()
        if now - self._looked_at > ABSENT_S / 2:  # a lock may have been there meanwhile
            self._absent_since.clear()
        self._looked_at, self._known = now, known | held
        absent = self._known - held - {self._token}
        self._absent_since = {token: self._absent_since.get(token, now) for token in absent}
        return {token for token, since in self._absent_since.items() if now - since >= ABSENT_S}

    def forget(self, tokens: Iterable[str]) -> None:
        """See ProcessLock."""
        if self._known is not None:
            self._known.difference_update(tokens)

    def release(self) -> None:
        """See ProcessLock."""
        self._disconnect()

    def _look(self) -> tuple[set[str], set[str]]:
        """Return the tokens of the locks that are held, and the tokens that are to be watched."""
        connection = self._connected()
        known = self._known
        if known is None:
            known = {token for owner in leases.owners(connection) if (token := token_of(owner))}
        held = {f"{row.classid << 32 | row.objid:016x}" for row in connection.execute(_HELD)}
        return held, known

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
        self._connection, self._known, self._absent_since = None, None, {}


def token_of(owner: str) -> str | None:
    """Return the token of a lease's owner; None for an owner that holds no lock."""
    token = owner.rpartition(":")[2]
    return token if TOKEN.fullmatch(token) else None


def free_leases(connection: Connection, tokens: Iterable[str]) -> int:
    """Free the leases of these processes; return how many. A process that holds its lock again keeps its leases."""
    if connection.dialect.name == "postgresql":
        tokens = [token for token in tokens if connection.execute(_EXCLUDE, {"key": _key(token)}).scalar()]
    return leases.free_those_of(connection, [f":{token}" for token in tokens])


# The server says so itself, so that the other processes cannot reach the database either, and take nothing over.
_REFUSALS = ("the database system is", "is not currently accepting connections")


def _refuses_everybody(error: DBAPIError) -> bool:
    return any(words in str(error.orig) for words in _REFUSALS)


def _key(token: str) -> int:
    number = int(token, 16)
    return number - (1 << 64) if number >> 63 else number  # a signed bigint


_HOLD = sa.select(
    sa.func.pg_try_advisory_lock_shared(sa.bindparam("key", type_=sa.BigInteger)),
    sa.extract("epoch", sa.func.clock_timestamp()),
)
_EXCLUDE = sa.select(sa.func.pg_try_advisory_xact_lock(sa.bindparam("key", type_=sa.BigInteger)))
_HELD = sa.text(
    "SELECT CAST(classid AS bigint) AS classid, CAST(objid AS bigint) AS objid FROM pg_locks"
    " WHERE locktype = 'advisory' AND objsubid = 1 AND mode = 'ShareLock' AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
