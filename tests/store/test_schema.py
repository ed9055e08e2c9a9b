"""Schema: migrations create exactly the tables, run once, and refuse an unknown version. On both databases."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event

from bot.errors import StartupError
from bot.prompt.history import Turn, Utterance
from bot.store import installation, posted_messages, schema, tables
from bot.store.engine import Store
from bot.store.repeated_turns import IdempotencyKey
from bot.store.stored_bytes import ROW_BYTES
from bot.store.tables import SESSIONS, metadata
from bot.testing import SettableClock
from bot.turns.caller_places import CallerPlaces
from tests.support.builders import NOON
from tests.support.store_driver import LONG_AGO, StoreDriver, texts

CORNER = "a_corner_of_its_own"  # a PostgreSQL schema, so that the other tests keep their tables


@pytest.fixture(params=["sqlite", "postgres"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables."""
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
    """Pretend that another version created the database."""
    connection.execute(sa.text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


async def test_the_migrations_make_the_tables(bare: Store) -> None:
    """A migrated database equals the tables in the code."""
    await bare.run(upgrade_to, "head")

    assert await bare.run(lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)) == []
    assert set(await bare.run(lambda connection: sa.inspect(connection).get_table_names())) > set(metadata.tables)


async def test_partial_indexes_have_equal_conditions(bare: Store) -> None:
    """The test compares the conditions of partial indexes, because Alembic does not."""
    await bare.run(upgrade_to, "head")
    migrated = await bare.run(conditions)
    await bare.run(metadata.drop_all)
    await bare.run(metadata.create_all)

    assert len(migrated) == 14
    assert await bare.run(conditions) == migrated


async def test_a_new_database_has_the_newest_tables_at_once(bare: Store) -> None:
    """A new database is at the newest revision. Alembic finds nothing to do."""
    await bare.run(schema.upgrade)
    made = await bare.run(conditions)

    assert await bare.run(schema.check) == schema.revisions()[-1]
    assert await bare.run(lambda found: compare_metadata(MigrationContext.configure(found), metadata)) == []
    await bare.run(upgrade_to, "head")
    assert await bare.run(conditions) == made


async def test_an_up_to_date_database_is_not_changed(bare: Store) -> None:
    """The second start changes nothing."""
    await bare.run(schema.upgrade)
    statements: list[str] = []
    event.listen(bare.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    await bare.run(schema.upgrade)

    assert [statement for statement in statements if statement.startswith(("CREATE", "ALTER", "INSERT"))] == []


@pytest.mark.parametrize("ask", [schema.upgrade, schema.check], ids=["upgrade", "check"])
async def test_a_database_of_a_newer_version_is_refused(bare: Store, ask: Callable[[Connection], None]) -> None:
    """An older program does not touch an unknown schema. The error names the remedy."""
    await bare.run(schema.upgrade)
    await bare.run(set_revision, "9999")

    with pytest.raises(StartupError, match=r"^[^\n]*newer version[^\n]*DATABASE_URL[^\n]*$"):
        await bare.run(ask)


async def test_an_empty_database_passes_the_check(bare: Store) -> None:
    """Missing tables are no error, because the start creates them."""
    await bare.run(schema.check)


@pytest.mark.parametrize("table", ["threads", "messages", "preferences"])
@pytest.mark.parametrize("ask", [schema.upgrade, schema.check], ids=["upgrade", "check"])
async def test_another_programs_tables_are_not_touched(
    bare: Store, ask: Callable[[Connection], None], table: str
) -> None:
    """A database with any table of the same name is refused with the remedy. Nothing is created in it."""
    await bare.run(lambda connection: connection.exec_driver_sql(f"CREATE TABLE {table} (theirs INTEGER)"))

    with pytest.raises(StartupError, match=r"^[^\n]*another program[^\n]*DATABASE_URL[^\n]*$"):
        await bare.run(ask)
    assert await bare.run(lambda connection: sa.inspect(connection).get_table_names()) == [table]


async def test_replicas_that_start_at_once_upgrade_it_once(bare_url: str) -> None:
    """Each replica finds the database up to date, and none fails."""
    replicas = [Store(bare_url) for _ in range(3)]
    await asyncio.gather(*(replica.run(schema.upgrade) for replica in replicas))
    await asyncio.gather(*(replica.run(schema.check) for replica in replicas))

    for replica in replicas:
        await replica.close()


async def test_rows_of_the_first_schema_are_carried_over(bare: Store) -> None:
    """After an update the turns keep their posted messages and can be taken over."""
    await bare.run(upgrade_to, "0001")
    await bare.run(fill, ROWS_OF_0001)
    await bare.run(schema.upgrade)
    driver = StoreDriver(bare, SettableClock())
    claim = await driver.claimed(1)

    assert (claim.attempt, texts(claim), claim.interrupted) == (2, ["and?"], None)
    assert await bare.run(posted_messages.of_turn, claim) == ["A2"]
    assert await bare.run(posted_messages.of_other_turns, claim, ["A1", "A2", "A3"]) == {"A1"}
    assert await driver.past(claim) == [Turn((Utterance("U-ANA", "hi"),), "hello")]
    assert [(row.owner, row.stored_bytes) for row in await driver.rows(SESSIONS)] == [
        ("U-ANA", 2 * ROW_BYTES + len("hi" + "hello" + "and?"))
    ]
    assert await driver.settle(claim)
    assert await bare.run(lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)) == []


async def test_callers_sessions_are_found_by_keyed_names(bare: Store) -> None:
    """After an update no unkeyed hash of a caller's name is left, and the caller's session and answer are found."""
    await bare.run(upgrade_to, "0008")
    rows = {name: [{**row} for row in ROWS_OF_0001[name]] for name in ("threads", "sessions", "turns")}
    name, key, request = (hashlib.sha256(text).hexdigest() for text in (b"customer-4711", b"order-1", b"{}"))
    of_caller = {"platform": "gateway", "workspace": "key-1", "channel": "", "root": name}
    rows["threads"] += [{**rows["threads"][0], **of_caller}]
    rows["turns"] = [{**TURN, "state": "answered", "answer": "hi", "idempotency_key": key, "request_digest": request}]
    await bare.run(fill, rows)
    await bare.run(schema.upgrade)
    places = CallerPlaces(await bare.run(installation.secret))
    driver = StoreDriver(bare, SettableClock())
    threads, (turn,) = await driver.rows(tables.THREADS), await driver.rows(tables.TURNS)

    assert [row.root for row in threads] == ["1.0", places.session("key-1", "customer-4711").root]
    stored = IdempotencyKey(turn.idempotency_key, turn.request_digest)
    assert stored == places.idempotency_key("order-1", request)
    assert not {name, key, request} & {threads[1].root, stored.hash, stored.digest}


PLACE = {"platform": "chat", "workspace": "T1", "channel": "C1", "root": "1.0", "direct": False, "engaged": True}
OF_ANA = {"thread_id": 1, "session_id": "s1", "author_id": "U-ANA", "author_workspace": "T1", "accepted_at": NOON}
TURN = {"thread_id": 1, "session_id": "s1", "attempt": 1, "started_at": NOON}
ROWS_OF_0001: dict[str, list[dict[str, object]]] = {
    "threads": [{**PLACE, "lease_owner": "gone", "lease_until": LONG_AGO, "fence": 2}],
    "sessions": [{"id": "s1", "thread_id": 1, "opened_at": NOON, "last_active_at": NOON, "follows_expired": False}],
    "turns": [
        {**TURN, "state": "answered", "answer_id": "A1", "answer": "hello"},
        {**TURN, "state": "running", "answer_id": "A2", "answer": None},
        {**TURN, "state": "answered", "answer_id": None, "answer": None, "session_id": None},
    ],
    "messages": [
        {**OF_ANA, "turn_id": 1, "message_id": "1.0", "text": "hi", "attachments": []},
        {**OF_ANA, "turn_id": 2, "message_id": "2.0", "text": "and?", "attachments": []},
    ],
}


def fill(connection: Connection, rows: dict[str, list[dict[str, object]]]) -> None:
    """Insert rows into the tables of an older schema."""
    for name, values in rows.items():
        connection.execute(sa.insert(sa.Table(name, sa.MetaData(), autoload_with=connection)), values)


def upgrade_to(connection: Connection, revision: str) -> None:
    """Migrate the database to an older version of the schema."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[2] / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def conditions(connection: Connection) -> dict[str, str]:
    """Return the condition of every partial index in the database."""
    if connection.dialect.name == "postgresql":
        query = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()"
    else:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    indexes = [(name, " ".join(text.split())) for name, text in connection.execute(sa.text(query))]
    return {name: text.partition("WHERE")[2] for name, text in indexes if "WHERE" in text}


def test_the_newest_revision_is_known_without_alembic() -> None:
    """The revisions in the names of the migration files are the revisions that Alembic reads in the files."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[2] / "migrations"))
    scripts = ScriptDirectory.from_config(config)

    assert schema.revisions() == [script.revision for script in scripts.walk_revisions()][::-1]
    assert schema.revisions()[-1] == scripts.get_current_head()


@pytest.mark.parametrize(("revision", "imported"), [(None, False), ("0007", True), ("head", False)])
async def test_alembic_is_imported_only_for_an_old_schema(
    tmp_path: Path, revision: str | None, *, imported: bool
) -> None:
    """A start on a new or an up-to-date database does not import Alembic."""
    url = f"sqlite:///{tmp_path / 'attendant.db'}"
    if revision is not None:
        store = Store(url)
        await store.run(upgrade_to, revision)
        await store.close()
    script = f"""
import asyncio, sys
from bot.store import schema
from bot.store.engine import Store
asyncio.run(Store({url!r}).run(schema.upgrade))
print("alembic" in sys.modules)
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=subprocess.PIPE)
    output, _ = await process.communicate()

    assert output.decode().strip() == str(imported)
