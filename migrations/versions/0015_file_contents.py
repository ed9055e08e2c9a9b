"""The contents of the files that people attach to messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "file_contents",
        sa.Column("id", _ID, nullable=False),
        sa.Column("thread_id", _ID, nullable=False),
        sa.Column("session_id", sa.String(36)),
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("file_id", sa.String(255), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("whole", sa.Boolean, nullable=False),
        sa.Column("image", sa.LargeBinary),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file_contents")),
        sa.ForeignKeyConstraint(["thread_id"], ["threads.id"], name=op.f("fk_file_contents_thread_id")),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name=op.f("fk_file_contents_session_id"), ondelete="CASCADE"
        ),
        sa.UniqueConstraint(
            "thread_id", "message_id", "file_id", name=op.f("uq_file_contents_thread_id_message_id_file_id")
        ),
    )
    op.create_index("ix_file_contents_session", "file_contents", ["session_id"])
    op.create_index("ix_file_contents_file", "file_contents", ["file_id"])
