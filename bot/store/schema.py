"""The schema's version: bring the database up to date, or refuse one that this version does not know."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection

from bot.errors import StartupError

_LOCK = 7_301_402  # any number that all our replicas agree on


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, one process at a time. Raises StartupError for an unknown schema."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    config = Config()
    config.set_main_option("script_location", str(_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError:
        raise StartupError(
            "The database was made by a newer version of Attendant. Update Attendant, or point DATABASE_URL elsewhere."
        ) from None


def _folder() -> Path:
    package = Path(__file__).parents[1]  # a wheel carries the folder inside the package, a checkout beside it
    inside = package / "migrations"
    return inside if inside.exists() else package.parent / "migrations"
