"""Schema: migrate the database to the current version, or refuse a version that is not known."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.errors import StartupError
from bot.store.tables import metadata

_LOCK = 7_301_402  # any number, the same in all replicas
_VERSION = sa.Table(  # Alembic's own
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def upgrade(connection: Connection) -> bool:
    """Bring the schema up to date, one process at a time. Return whether the database was empty.

    Raises StartupError for an unknown schema.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    revision = check(connection)
    if revision is None:
        _create(connection)
    elif revision != revisions()[-1]:
        _migrate(connection)
    return revision is None


def check(connection: Connection) -> str | None:
    """Return the schema's revision; None for a database without tables.

    Raises StartupError when the database has a schema that this version does not know, or may not change.
    """
    revision, known = _revision(connection), revisions()
    if revision is None and not metadata.tables.keys().isdisjoint(sa.inspect(connection).get_table_names()):
        raise StartupError("The database holds another program's tables. Point DATABASE_URL at one of its own.")
    if revision is not None and revision not in known:
        raise StartupError(
            "The database was made by a newer version of Attendant. Update Attendant, or point DATABASE_URL elsewhere."
        )
    if revision != known[-1] and not _may_create(connection):
        raise StartupError(
            "The role in DATABASE_URL may not create tables. Grant it CREATE on the schema, or make it the owner."
        )
    return revision


def revisions() -> list[str]:
    """Return the revisions that this version knows, oldest first. Each migration's file name begins with its own."""
    return sorted(file.name.partition("_")[0] for file in (_folder() / "versions").glob("[0-9]*_*.py"))


def _revision(connection: Connection) -> str | None:
    # Read without Alembic, whose import is slow: most starts find nothing to migrate.
    if not sa.inspect(connection).has_table(_VERSION.name):
        return None
    revision: str | None = connection.execute(sa.select(_VERSION.c.version_num)).scalar()
    return revision


def _create(connection: Connection) -> None:
    """Create the newest tables in an empty database. The migrations make the same ones (a test compares them)."""
    metadata.create_all(connection, checkfirst=False)
    _VERSION.create(connection, checkfirst=True)
    connection.execute(sa.insert(_VERSION).values(version_num=revisions()[-1]))


def _may_create(connection: Connection) -> bool:
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.execute(sa.text("SELECT has_schema_privilege(current_schema(), 'CREATE')")).scalar())


def _migrate(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - only a schema that is behind needs it
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _folder() -> Path:
    package = Path(__file__).parents[1]  # the folder is inside the package in a wheel, beside it in a checkout
    inside = package / "migrations"
    return inside if inside.exists() else package.parent / "migrations"
