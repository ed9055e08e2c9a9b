"""`attendant backup`: a whole copy for this user only, which replaces nothing and carries no erased word."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bot.cli.backup import backup
from bot.config.settings import Settings
from bot.errors import AttendantError


@pytest.fixture
def database(migrated_file: Path, tmp_path: Path) -> Path:
    """A migrated database in WAL mode with words in its pages and in its log."""
    file = tmp_path / "attendant.db"
    file.write_bytes(migrated_file.read_bytes())
    return file


def back_up(database: Path, target: Path) -> int:
    """Back this database up, as the command does."""
    return asyncio.run(backup(Settings.load({"DATABASE_URL": f"sqlite:///{database}"}), target))


@contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    """Open a database as another process does."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        yield connection


def test_a_backup_is_whole_and_private(database: Path, tmp_path: Path) -> None:
    """It holds what was committed, also in the log, for this user only. A transaction that runs is not in it."""
    target = tmp_path / "copy.db"
    with opened(database) as writer:
        writer.execute("CREATE TABLE words (text)")
        writer.execute("INSERT INTO words VALUES ('committed')")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO words VALUES ('running')")
        size = back_up(database, target)
        writer.execute("COMMIT")

    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("SELECT text FROM words").fetchall() == [("committed",)]
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert target.stat().st_mode & 0o777 == 0o600
    assert target.stat().st_size == size


def test_erased_words_are_not_in_a_backup(database: Path, tmp_path: Path) -> None:
    """The copy is made of rows, so that bytes of deleted rows stay behind."""
    with opened(database) as writer:
        writer.execute("PRAGMA secure_delete=OFF")
        writer.execute("CREATE TABLE words (text)")
        writer.executemany("INSERT INTO words VALUES (?)", [(f"marked-{number}",) for number in range(500)])
        writer.execute("DELETE FROM words")
        assert b"marked-" in database.read_bytes() + Path(f"{database}-wal").read_bytes()
        back_up(database, tmp_path / "copy.db")

    assert b"marked-" not in (tmp_path / "copy.db").read_bytes()


def test_an_existing_file_is_not_replaced(database: Path, tmp_path: Path) -> None:
    """The error is one line, the file stays as it was, and nothing is left beside it."""
    target = tmp_path / "copy.db"
    target.write_text("an older backup")
    before = {*tmp_path.iterdir()}

    with pytest.raises(AttendantError, match=r"copy\.db exists\. Name a new file\.$"):
        back_up(database, target)
    assert target.read_text() == "an older backup"
    assert {*tmp_path.iterdir()} == before


def test_a_backup_that_fails_leaves_nothing(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk is full before the copy is safe, no half file stays, under no name."""

    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    before = {*tmp_path.iterdir()}
    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(AttendantError, match=r"^The backup cannot be written: No space left on device\.$"):
        back_up(database, tmp_path / "copy.db")
    assert {*tmp_path.iterdir()} - before <= {Path(f"{database}{end}") for end in ("-wal", "-shm")}


@pytest.mark.parametrize(
    ("url", "target", "problem"),
    [
        ("sqlite:///{here}/none.db", "copy.db", "There is no database at"),
        ("sqlite:///{here}/notes.txt", "copy.db", "SQLITE_NOTADB"),
        ("sqlite:///{here}/attendant.db", "none/copy.db", "Check the folder"),
        ("postgresql://127.0.0.1:1/none", "copy.db", "with pg_dump"),
    ],
)
def test_a_backup_that_cannot_be_made_is_one_line(
    database: Path, tmp_path: Path, url: str, target: str, problem: str
) -> None:
    """The line says what is wrong: no database, no folder, or another kind of database."""
    database.with_name("notes.txt").write_text("not a database\n" * 100)
    with pytest.raises(AttendantError, match=rf"^[^\n]*{problem}[^\n]*$"):
        asyncio.run(backup(Settings.load({"DATABASE_URL": url.format(here=tmp_path)}), tmp_path / target))

    assert not list(tmp_path.rglob("*copy.db*"))


def test_a_backup_changes_no_schema(database: Path, tmp_path: Path) -> None:
    """A backup before an update is of the old schema, and one of a newer schema can be made, too."""
    with opened(database) as writer:
        writer.execute("UPDATE alembic_version SET version_num = '9999'")
    back_up(database, tmp_path / "copy.db")

    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]
