"""Summaries in parts, so that a changed text voids few of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the table. The store makes parts of the summaries that it finds."""
    op.create_table(
        "summary_parts",
        sa.Column("session_id", sa.String(36), nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("after", _ID, nullable=False),
        sa.Column("reaches", _ID, nullable=False),
        sa.Column("text", sa.Text),
        sa.Column("merged", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("session_id", "level", "reaches", name=op.f("pk_summary_parts")),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["summaries.session_id"],
            name=op.f("fk_summary_parts_session_id"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_summary_parts_loose", "summary_parts", ["session_id", "merged", "after"])
