"""The schema: migrations make exactly the tables, run once, and refuse what they do not know. On both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, event

from bot.errors import StartupError
from bot.store import schema
from bot.store.engine import Store
from bot.store.tables import metadata

CORNER = "a_corner_of_its_own"  # a PostgreSQL schema, so that the other tests keep their tables


@pytest.fixture(params=["sqlite", "postgres"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'bare.db'}"
    url: str = request.getfixturevalue("postgres_url")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {CORNER} CASCADE")
        connection.execute(f"CREATE SCHEMA {CORNER}")
    return f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{CORNER}"


@pytest.fixture
async def bare(bare_url: str) -> AsyncIterator[Store]:
    """A store on such a database."""
    store = Store(bare_url)
    yield store
    await store.close()


def set_revision(connection: Connection, revision: str) -> None:
    """Pretend that another version made the database."""
    connection.execute(sa.text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


async def test_the_migrations_make_the_tables(bare: Store) -> None:
    """A migrated database differs in nothing from what the code takes it to be."""
    await bare.run(schema.upgrade)

    assert await bare.run(lambda found: compare_metadata(MigrationContext.configure(found), metadata)) == []
    assert set(await bare.run(lambda found: sa.inspect(found).get_table_names())) > set(metadata.tables)


async def test_indexes_of_a_part_are_of_that_part_in_both(bare: Store) -> None:
    """The comparison does not look at the conditions of partial indexes, so they are compared here."""
    await bare.run(schema.upgrade)
    migrated = await bare.run(conditions)
    await bare.run(metadata.drop_all)
    await bare.run(metadata.create_all)

    assert len(migrated) == 4
    assert await bare.run(conditions) == migrated


async def test_an_upgrade_of_a_database_up_to_date_changes_nothing(bare: Store) -> None:
    """The second start finds what the first one left."""
    await bare.run(schema.upgrade)
    statements: list[str] = []
    event.listen(bare.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    await bare.run(schema.upgrade)

    assert [statement for statement in statements if statement.startswith(("CREATE", "ALTER", "INSERT"))] == []


@pytest.mark.parametrize("ask", [schema.upgrade, schema.check], ids=["upgrade", "check"])
async def test_a_database_of_a_newer_version_is_refused(bare: Store, ask: Callable[[Connection], None]) -> None:
    """An older program does not touch what it does not know; the line names the remedy."""
    await bare.run(schema.upgrade)
    await bare.run(set_revision, "9999")

    with pytest.raises(StartupError, match=r"^[^\n]*newer version[^\n]*DATABASE_URL[^\n]*$"):
        await bare.run(ask)


async def test_a_bare_database_passes_the_check(bare: Store) -> None:
    """What is not there yet is no failure: the start makes it."""
    await bare.run(schema.check)


async def test_replicas_that_start_at_once_upgrade_it_once(bare_url: str) -> None:
    """Each of them finds the database up to date in the end, and none fails."""
    replicas = [Store(bare_url) for _ in range(3)]
    await asyncio.gather(*(replica.run(schema.upgrade) for replica in replicas))
    await asyncio.gather(*(replica.run(schema.check) for replica in replicas))

    for replica in replicas:
        await replica.close()


def conditions(connection: Connection) -> dict[str, str]:
    """The condition of every partial index, as the database tells it."""
    if connection.dialect.name == "postgresql":
        query = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()"
    else:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    found = [(name, " ".join(text.split())) for name, text in connection.execute(sa.text(query))]
    return {name: text.partition("WHERE")[2] for name, text in found if "WHERE" in text}
