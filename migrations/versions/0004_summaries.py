"""Summaries of long sessions, and an index that finds the waiting messages of a thread of any length."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_OWED = sa.text("turn_id IS NULL")
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table, and rebuild the index with the message id."""
    op.create_table(
        "summaries",
        sa.Column("session_id", sa.String(36), nullable=False),
        sa.Column("shown_after", _ID, nullable=False),
        sa.Column("reaches", _ID, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("several", sa.Boolean(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_summaries_session_id")),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_summaries")),
    )
    op.drop_index("ix_messages_owed", "messages")
    op.create_index(
        "ix_messages_owed", "messages", ["thread_id", "message_id"], sqlite_where=_OWED, postgresql_where=_OWED
    )
