"""A backup of a SQLite database: a whole copy of one moment, made while processes use the database.

`VACUUM INTO` (https://sqlite.org/lang_vacuum.html) reads in one transaction, which blocks no writer of a write-ahead
log. It copies rows, not pages, so that no remains of erased text come along.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from bot.errors import AttendantError

_BUSY_S = 15.0  # for another process that recovers the log after a crash


def write(database: Path, target: Path) -> int:
    """Copy the database to a new file that only this user can read. Return its size in bytes.

    The file appears when it is whole and on the disk. Raises AttendantError when it exists or cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # with mode 0600
    except OSError as error:
        raise AttendantError(f"The backup cannot be written: {error.strerror}. Check the folder.") from None
    try:
        _copy(database, name)
        os.fsync(descriptor)
        os.link(name, target)  # unlike a rename, this never replaces a file
        _sync_folder(target.parent)
        return os.fstat(descriptor).st_size
    except FileExistsError:
        problem = f"{target} exists. Name a new file."
    except OSError as error:
        problem = f"The backup cannot be written: {error.strerror}."
    except sqlite3.Error as error:
        problem = f"The backup cannot be written: {error.sqlite_errorname}. Check the disk and the database."
    finally:
        os.close(descriptor)
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
    # Raised outside of the handlers: an error of the driver may quote rows.
    raise AttendantError(problem)


def _copy(database: Path, name: str) -> None:
    uri = f"{database.absolute().as_uri()}?mode=rw"  # so that a missing file is an error
    with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)) as connection:
        connection.execute("VACUUM INTO ?", (name,))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
