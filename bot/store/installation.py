"""The secret of the installation: all replicas on a database share it. It is created at the first start."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from sqlalchemy import Connection

from bot.store.engine import insert_or_ignore
from bot.store.tables import INSTALLATION

SECRET_BYTES = 32
_ROW = 1  # the only row


def secret(connection: Connection) -> bytes:
    """Return the secret. If several replicas start at once on a new database, they get the same one."""
    stored = sa.select(INSTALLATION.c.secret).where(INSTALLATION.c.id == _ROW)
    if (found := connection.execute(stored).scalar()) is None:
        insert_or_ignore(connection, INSTALLATION, {"id": _ROW, "secret": secrets.token_hex(SECRET_BYTES)})
        found = connection.execute(stored).scalar_one()
    return bytes.fromhex(found)
