"""The thread context of a session, display names, and the warning before a session expires."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_OPEN = sa.text("closed_at IS NULL")
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns and tables. The context of threads that exist already is never read."""
    op.add_column("threads", sa.Column("begun", sa.Boolean, server_default=sa.false(), nullable=False))
    op.execute(sa.text("UPDATE threads SET begun = true"))
    op.add_column("sessions", sa.Column("channel", sa.String(64), server_default="", nullable=False))
    op.execute("UPDATE sessions SET channel = (SELECT channel FROM threads WHERE threads.id = sessions.thread_id)")
    op.create_index("ix_sessions_channel", "sessions", ["channel"], sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.add_column("sessions", sa.Column("warned_at", sa.DateTime(timezone=True)))
    op.add_column("sessions", sa.Column("background", sa.String(16)))
    op.add_column("sessions", sa.Column("background_turn_id", _ID))
    op.create_table(
        "background",
        sa.Column("id", _ID, nullable=False),
        sa.Column("thread_id", _ID, nullable=False),
        sa.Column("session_id", sa.String(36), nullable=False),
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("author_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("by", sa.String(8)),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("attachments", sa.JSON, nullable=False),
        sa.ForeignKeyConstraint(["thread_id"], ["threads.id"], name=op.f("fk_background_thread_id")),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_background_session_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_background")),
        sa.UniqueConstraint("thread_id", "message_id", name=op.f("uq_background_thread_id_message_id")),
    )
    op.create_index("ix_background_session", "background", ["session_id"])
    op.create_index("ix_background_author", "background", ["author_id"])
    op.create_table(
        "names",
        sa.Column("id", _ID, nullable=False),
        sa.Column("session_id", sa.String(36), nullable=False),
        sa.Column("person_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_names_session_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_names")),
        sa.UniqueConstraint("session_id", "person_id", name=op.f("uq_names_session_id_person_id")),
    )
    op.create_index("ix_names_person", "names", ["person_id"])
