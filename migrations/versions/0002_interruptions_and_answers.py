"""Interruptions that reach every replica, and a table of the messages that hold an answer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INTERRUPTED = sa.text("interrupted IS NOT NULL")


def upgrade() -> None:
    """Add the columns and the table, and move the turns' `answer_id` into it."""
    op.add_column("threads", sa.Column("interrupted", sa.String(16)))
    op.create_index(
        "ix_threads_interrupted",
        "threads",
        ["lease_owner"],
        sqlite_where=_INTERRUPTED,
        postgresql_where=_INTERRUPTED,
    )
    op.add_column("turns", sa.Column("postponed", sa.Integer, server_default="0", nullable=False))
    op.add_column("messages", sa.Column("deleted_at", sa.DateTime(timezone=True)))
    op.create_table(
        "answers",
        sa.Column("id", _ID, nullable=False),
        sa.Column("thread_id", _ID, nullable=False),
        sa.Column("turn_id", _ID, nullable=False),
        sa.Column("answer_id", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["thread_id"], ["threads.id"], name=op.f("fk_answers_thread_id")),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name=op.f("fk_answers_turn_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answers")),
        sa.UniqueConstraint("thread_id", "answer_id", name=op.f("uq_answers_thread_id_answer_id")),
    )
    op.create_index("ix_answers_turn", "answers", ["turn_id"])
    op.execute(
        "INSERT INTO answers (thread_id, turn_id, answer_id) "
        "SELECT thread_id, id, answer_id FROM turns WHERE answer_id IS NOT NULL"
    )
    op.drop_column("turns", "answer_id")
