"""Threads in which only mentions are answered, and messages that were not written to the bot."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, with defaults that the replicas of the previous version can leave out."""
    op.add_column("threads", sa.Column("quiet", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("threads", sa.Column("quiet_set_by", sa.String(64)))
    op.add_column("messages", sa.Column("overheard", sa.Boolean, nullable=False, server_default=sa.false()))
