"""API keys, and idempotency keys of requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_KEYED = sa.text("idempotency_key IS NOT NULL")


def upgrade() -> None:
    """Add the table, the columns and the index."""
    op.create_table(
        "keys",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("revoked_at", _TIME),
        sa.Column("requests_per_minute", sa.Integer),
        sa.Column("tokens_per_minute", sa.Integer),
        sa.Column("minute", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("requests", sa.Integer, server_default="0", nullable=False),
        sa.Column("tokens", sa.BigInteger, server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
    )
    op.add_column("turns", sa.Column("idempotency_key", sa.String(64)))
    op.add_column("turns", sa.Column("request_digest", sa.String(64)))
    op.add_column("turns", sa.Column("truncated", sa.Boolean))
    op.create_index(
        "ix_turns_request", "turns", ["thread_id", "idempotency_key"], sqlite_where=_KEYED, postgresql_where=_KEYED
    )
