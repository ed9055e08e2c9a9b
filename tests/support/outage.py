"""Outages of the database: nobody can reach it, or SQLite's disk is full."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

import psycopg
import sqlalchemy as sa
from psycopg import conninfo, sql
from sqlalchemy import event

_MOST_PAGES = 4_294_967_294  # SQLite's own limit


@contextlib.contextmanager
def away(url: str) -> Iterator[None]:
    """Keep every bot from the database inside the block, by SQLite's write lock or by closing PostgreSQL."""
    with _locked(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else _closed(url):
        yield


@contextlib.contextmanager
def full_disk(engine: sa.Engine) -> Iterator[None]:
    """Keep the SQLite file of this engine from growing: a write that needs another page fails as on a full disk."""
    pages = [1]  # SQLite raises it to the present size

    def bound(connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages[0]}")

    event.listen(engine, "begin", bound)
    try:
        yield
    finally:
        pages[0] = _MOST_PAGES


@contextlib.contextmanager
def _locked(file: str) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@contextlib.contextmanager
def _closed(url: str) -> Iterator[None]:
    name = conninfo.conninfo_to_dict(url)["dbname"]
    statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with psycopg.connect(conninfo.make_conninfo(url, dbname="template1"), autocommit=True) as other:
        other.execute(statement.format(sql.Identifier(str(name)), sql.SQL("false")))
        try:
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            yield
        finally:
            other.execute(statement.format(sql.Identifier(str(name)), sql.SQL("true")))
