"""`attendant backup`: a copy of the SQLite database, beside a running bot or without one."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from bot.config.settings import Settings
from bot.errors import AttendantError
from bot.store import sqlite_backup
from bot.store.engine import Store


def backup_command(settings: Settings, options: argparse.Namespace) -> int:
    """`attendant backup`."""
    target: Path = options.file.expanduser()
    size = asyncio.run(backup(settings, target))
    print(f"Backed up {size / 1e6:.1f} MB to {target}.")
    return 0


async def backup(settings: Settings, target: Path) -> int:
    """Write the backup and return its size in bytes. The schema stays as it is, so that an update can come after it.

    Raises AttendantError for PostgreSQL, and when the backup cannot be written.
    """
    store = Store(settings.database_url.get_secret_value(), must_exist=True)
    try:
        if store.engine.dialect.name != "sqlite":
            raise AttendantError("This command copies a SQLite file. Back PostgreSQL up with pg_dump.")
        return await asyncio.to_thread(sqlite_backup.write, Path(store.location), target)
    finally:
        await store.close()
