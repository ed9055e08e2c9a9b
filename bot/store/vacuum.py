"""Vacuum: one pass over a SQLite file that removes erased text from its bytes, in steps of a few milliseconds.

SQLite's own VACUUM rewrites the whole file in one transaction, and no message is stored meanwhile: five seconds for
500 MB (docs/decisions/0011-edits-and-erasure.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import PoolProxiedConnection

from bot.store.sqlite_file import OpenFile, SqliteFile

CLEAN = "clean"  # in a connection's info: no text was erased since the last vacuum
PAGES_PER_STEP = 250
_ATTEMPTS = 5


class Vacuum:
    """The steps of one pass. Between two steps, other transactions run."""

    def __init__(
        self, connect: Callable[[], PoolProxiedConnection], file: OpenFile, *, busy_timeouts_ms: tuple[int, int]
    ) -> None:
        """`busy_timeouts_ms`: how long to wait for other processes' locks in a step, and in transactions again."""
        self._connect = connect
        self._log = Path(f"{file.path}-wal")
        self._descriptor = file.descriptor
        self._busy_ms, self._usual_busy_ms = busy_timeouts_ms
        self._file: SqliteFile | None = None
        self._next_page = 1
        self.ended = False
        self.clean = False  # once it has ended: whether no erased text is left

    def step(self) -> float:
        """Clean the next pages, in the store's thread. Return how many seconds it took."""
        started = time.perf_counter()
        self.ended = True  # unless the step succeeds
        with closing(self._connect()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(f"PRAGMA busy_timeout={self._busy_ms}")
            try:
                self.clean = self._go_on(connection.info, cursor)
            finally:
                if self.ended and not self.clean:
                    connection.info.pop(CLEAN, None)
                cursor.execute(f"PRAGMA busy_timeout={self._usual_busy_ms}")
        return time.perf_counter() - started

    def _go_on(self, info: dict[Any, Any], cursor: Any) -> bool:
        """Do one step. Return whether no erased text is left."""
        if self._file is None:
            if CLEAN in info:
                return True
            return self._begin(info, cursor)
        if not self._clean_pages(cursor, self._file):
            return False
        self._next_page += PAGES_PER_STEP
        if self._next_page <= self._file.pages:
            self.ended = False
            return False
        return _empty_log(cursor) and CLEAN in info

    def _begin(self, info: dict[Any, Any], cursor: Any) -> bool:
        if _empty_log(cursor):  # the file now has every page as the last erasure left it
            self._file = SqliteFile.read(self._descriptor)
            info[CLEAN] = True  # a transaction that erases more removes it
            self.ended = False
        return False

    def _clean_pages(self, cursor: Any, file: SqliteFile) -> bool:
        """Overwrite the remains in the next pages; False when other processes are in the way."""
        for _ in range(_ATTEMPTS):
            numbers = file.pages_with_remains(self._next_page, PAGES_PER_STEP)
            if not numbers:
                return True
            if not _empty_log(cursor):
                return False
            cursor.execute("BEGIN IMMEDIATE")
            try:
                if self._log.stat().st_size == 0:
                    file.overwrite(numbers)
            finally:
                cursor.execute("COMMIT")
            cursor.execute("PRAGMA shrink_memory")  # this connection drops the pages that it has read
            if not _empty_log(cursor):  # and so do those of other processes, because the log begins anew
                return False
        return False


def _empty_log(cursor: Any) -> bool:
    """Copy the write-ahead log into the file, and truncate it; False while another process reads or writes."""
    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return not cursor.fetchone()[0]
