"""The bytes of a SQLite file: erased text is overwritten, and every row stays."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.store import sqlite_file
from bot.store.sqlite_file import SqliteFile

WORD = b"pelargonium"
PAGE_SIZES = st.sampled_from([512, 1024, 4096, 65_536])
STEPS = st.lists(st.tuples(st.integers(1, 60), st.sampled_from([0, 1, 20, 60, 200, 700])), min_size=1, max_size=120)


@contextmanager
def database(*pragmas: str) -> Iterator[tuple[Path, sqlite3.Connection]]:
    """Open a new database."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for pragma in (*pragmas, "secure_delete=ON"):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT, name TEXT)")
            connection.execute("CREATE INDEX by_name ON texts (name)")
            yield path, connection


def overwrite(path: Path) -> None:
    """Overwrite all remains in a file that nobody else uses."""
    opened = sqlite_file.acquire(path)
    file = SqliteFile.read(opened.descriptor)
    for first in range(1, file.pages + 1, 100):
        file.overwrite(file.pages_with_remains(first, 100))
    assert file.pages_with_remains(1, file.pages) == []
    sqlite_file.release(opened)


@settings(max_examples=60, deadline=None)
@given(PAGE_SIZES, st.sampled_from(["NONE", "INCREMENTAL"]), STEPS)
def test_erased_text_is_overwritten_and_all_else_stays(
    page_size: int, auto_vacuum: str, steps: list[tuple[int, int]]
) -> None:
    """After any changes of rows, for any size of pages, the file holds no erased word, and its rows are intact."""
    with database(f"page_size={page_size}", f"auto_vacuum={auto_vacuum}") as (path, connection):
        for row_id, times in steps:
            word = (WORD.decode() if row_id % 2 else "geranium") + " "
            row = (row_id, word * times, word * min(times, 5))
            connection.execute("INSERT OR REPLACE INTO texts VALUES (?, ?, ?)", row)
        connection.execute("UPDATE texts SET text = '', name = NULL WHERE id % 2")
        kept = connection.execute("SELECT * FROM texts ORDER BY id").fetchall()
        connection.close()
        overwrite(path)

        assert WORD not in path.read_bytes()
        with closing(sqlite3.connect(path)) as again:
            assert again.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert again.execute("SELECT * FROM texts ORDER BY id").fetchall() == kept


def test_text_that_looks_like_a_page_is_not_touched() -> None:
    """A text on pages of its own may hold the bytes of a page's header."""
    with database() as (path, connection):
        blob = bytes([13, 0, 0, 0, 0, 0, 100, 0]) + b"x" * 4088
        connection.execute("INSERT INTO texts (text) VALUES (?)", (blob * 20,))
        connection.close()
        before = path.read_bytes()
        overwrite(path)

        assert path.read_bytes() == before


def test_the_locks_of_another_store_are_kept(tmp_path: Path) -> None:
    """A store that is closed does not drop the locks of the other stores of its process."""
    path = tmp_path / "x.db"
    first, second = sqlite_file.acquire(path), sqlite_file.acquire(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE texts (text)")
        connection.execute("BEGIN EXCLUSIVE")
        sqlite_file.release(second)

        assert tries_to_write(path) == "database is locked"
        connection.execute("COMMIT")
    sqlite_file.release(first)
    assert tries_to_write(path) == ""


def tries_to_write(path: Path) -> str:
    """Write from another process; return the error."""
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('INSERT INTO texts VALUES (1)')"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    return done.stderr.strip().rpartition("Error: ")[2]


@pytest.mark.parametrize("content", [b"", b"\x0d" * 4096])
def test_pages_that_are_cut_or_wrong_are_not_touched(tmp_path: Path, content: bytes) -> None:
    """Bytes that are no whole page of SQLite are left as they are."""
    path = tmp_path / "x.db"
    path.write_bytes(content)
    opened = sqlite_file.acquire(path)
    file = SqliteFile(opened.descriptor, 4096, 4096, pages=2, has_pointer_map=False)

    assert file.pages_with_remains(1, 2) == []
    sqlite_file.release(opened)
