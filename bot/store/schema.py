"""The schema's version: bring the database up to date, or refuse one that this version does not know."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.errors import StartupError

_LOCK = 7_301_402  # any number that all our replicas agree on


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, one process at a time. Raises StartupError for an unknown schema."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    if not check(connection):
        _migrate(connection)


def check(connection: Connection) -> bool:
    """Return whether the schema is the newest one that this version knows.

    Raises StartupError when the database has a schema that this version does not know, or may not change.
    """
    current, known = _current(connection), revisions()
    if current is None and sa.inspect(connection).has_table("threads"):
        raise StartupError("The database holds another program's tables. Point DATABASE_URL at one of its own.")
    if current is not None and current not in known:
        raise StartupError(
            "The database was made by a newer version of Attendant. Update Attendant, or point DATABASE_URL elsewhere."
        )
    if current != known[-1] and not _may_create(connection):
        raise StartupError(
            "The role in DATABASE_URL may not create tables. Grant it CREATE on the schema, or make it the owner."
        )
    return current == known[-1]


def revisions() -> list[str]:
    """Return the revisions that this version knows, oldest first. Each migration's file name begins with its own."""
    return sorted(file.name.partition("_")[0] for file in (_folder() / "versions").glob("[0-9]*_*.py"))


def _current(connection: Connection) -> str | None:
    # Alembic's own table, read without Alembic: most starts find nothing to migrate, and its import is slow.
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return revision


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
    package = Path(__file__).parents[1]  # a wheel carries the folder inside the package, a checkout beside it
    inside = package / "migrations"
    return inside if inside.exists() else package.parent / "migrations"
