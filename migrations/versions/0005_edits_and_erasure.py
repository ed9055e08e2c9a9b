"""The time of an edit, and indexes that find the rows to purge."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_CLOSED = sa.text("closed_at IS NOT NULL")
_APART = sa.text("session_id IS NULL")


def upgrade() -> None:
    """Add the column and the indexes."""
    op.add_column("messages", sa.Column("edited_at", sa.DateTime(timezone=True)))
    op.create_index("ix_messages_apart", "messages", ["accepted_at"], sqlite_where=_APART, postgresql_where=_APART)
    op.create_index("ix_sessions_closed", "sessions", ["closed_at"], sqlite_where=_CLOSED, postgresql_where=_CLOSED)
    op.create_index("ix_turns_thread", "turns", ["thread_id"])
