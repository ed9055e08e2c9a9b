"""The installation's secret. The names of API callers' sessions and idempotency keys become keyed hashes."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

BATCH = 1_000


def upgrade() -> None:
    """Create the secret, and replace each SHA-256 hash by its HMAC."""
    installation = op.create_table(
        "installation",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("secret", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    secret = secrets.token_hex(32)
    op.execute(sa.insert(installation).values(id=1, secret=secret))
    connection = op.get_bind()
    threads = sa.table("threads", sa.column("id"), sa.column("platform"), sa.column("root"))
    of_callers = threads.c.platform == "gateway"
    _replace(connection, bytes.fromhex(secret), threads, ("root",), of_callers)
    turns = sa.table("turns", sa.column("id"), sa.column("idempotency_key"), sa.column("request_digest"))
    keyed = turns.c.idempotency_key.is_not(None)
    _replace(connection, bytes.fromhex(secret), turns, ("idempotency_key", "request_digest"), keyed)


def _replace(
    connection: sa.Connection,
    secret: bytes,
    table: sa.TableClause,
    columns: Sequence[str],
    condition: sa.ColumnElement[bool],
) -> None:
    """Replace the hashes in these columns, in batches."""
    after = 0
    hashes = sa.select(table.c.id, *(table.c[name] for name in columns)).where(condition)
    update = sa.update(table).where(table.c.id == sa.bindparam("row_id"))
    while rows := connection.execute(hashes.where(table.c.id > after).order_by(table.c.id).limit(BATCH)).all():
        values = [
            {"row_id": row.id, **{name: _keyed(secret, row._mapping[name]) for name in columns}}  # noqa: SLF001 - its public name
            for row in rows
        ]
        connection.execute(update.values({name: sa.bindparam(name) for name in columns}), values)
        after = rows[-1].id


def _keyed(secret: bytes, digest: str | None) -> str | None:
    return hmac.new(secret, digest.encode(), hashlib.sha256).hexdigest() if digest is not None else None
