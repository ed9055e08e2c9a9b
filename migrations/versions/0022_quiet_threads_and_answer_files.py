"""Threads in which only mentions are answered, messages that were not written to the bot, and the files of answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the table, and the columns with defaults that the replicas of the previous version can leave out."""
    op.add_column("threads", sa.Column("quiet", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("threads", sa.Column("quiet_set_by", sa.String(64)))
    op.add_column("messages", sa.Column("overheard", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "answer_files",
        sa.Column("id", _ID, nullable=False),
        sa.Column("turn_id", _ID, nullable=False),
        sa.Column("file_id", sa.String(64), nullable=False),
        sa.Column("doomed", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answer_files")),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name=op.f("fk_answer_files_turn_id"), ondelete="CASCADE"),
        sa.UniqueConstraint("turn_id", "file_id", name=op.f("uq_answer_files_turn_id_file_id")),
    )
    op.create_index("ix_answer_files_file", "answer_files", ["file_id"])
    doomed = sa.text("doomed")
    op.create_index("ix_answer_files_doomed", "answer_files", ["id"], sqlite_where=doomed, postgresql_where=doomed)
