"""Schema: migrate the database to the current version, or refuse a version that is not known."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from bot.errors import StartupError

_LOCK = 7_301_402  # any number, the same in all replicas


def upgrade(connection: Connection) -> None:
    """Run the missing migrations, one process at a time. Raises StartupError for an unknown schema."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    check(connection)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def check(connection: Connection) -> None:
    """Raise StartupError when the schema is unknown to this version, or cannot be migrated by this role."""
    scripts = ScriptDirectory.from_config(_config())
    current = MigrationContext.configure(connection).get_current_revision()
    if current is None and sa.inspect(connection).has_table("threads"):
        raise StartupError("The database holds another program's tables. Point DATABASE_URL at one of its own.")
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise StartupError(
            "The database was made by a newer version of Attendant. Update Attendant, or point DATABASE_URL elsewhere."
        )
    if current != scripts.get_current_head() and not _may_create(connection):
        raise StartupError(
            "The role in DATABASE_URL may not create tables. Grant it CREATE on the schema, or make it the owner."
        )


def _may_create(connection: Connection) -> bool:
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.execute(sa.text("SELECT has_schema_privilege(current_schema(), 'CREATE')")).scalar())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_folder()).replace("%", "%%"))
    return config


def _folder() -> Path:
    package = Path(__file__).parents[1]  # the folder is inside the package in a wheel, beside it in a checkout
    inside = package / "migrations"
    return inside if inside.exists() else package.parent / "migrations"
