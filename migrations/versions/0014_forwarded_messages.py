"""Forwarded messages, and the people whom the bot has greeted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, their indexes and the table."""
    where = sa.text("forwarded IS NOT NULL")
    for table in ("messages", "background"):
        op.add_column(table, sa.Column("forwarded", sa.JSON))
        op.create_index(f"ix_{table}_forwarded", table, ["id"], sqlite_where=where, postgresql_where=where)
    op.create_table(
        "greetings",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("platform", sa.String(32), nullable=False),
        sa.Column("workspace", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("greeted_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("platform", "workspace", "user_id"),
    )
