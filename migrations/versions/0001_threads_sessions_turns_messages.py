"""The first four tables: threads, sessions, turns, messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)
_OPEN = sa.text("closed_at IS NULL")
_OWED = sa.text("turn_id IS NULL")
_RUNNING = sa.text("state = 'running'")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "threads",
        sa.Column("id", _ID, nullable=False),
        sa.Column("platform", sa.String(32), nullable=False),
        sa.Column("workspace", sa.String(64), nullable=False),
        sa.Column("channel", sa.String(64), nullable=False),
        sa.Column("root", sa.String(64), nullable=False),
        sa.Column("direct", sa.Boolean(), nullable=False),
        sa.Column("engaged", sa.Boolean(), nullable=False),
        sa.Column("lease_owner", sa.String(64)),
        sa.Column("lease_until", _TIME),
        sa.Column("fence", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_threads")),
        sa.UniqueConstraint(
            "platform", "workspace", "channel", "root", name=op.f("uq_threads_platform_workspace_channel_root")
        ),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("thread_id", _ID, nullable=False),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("last_active_at", _TIME, nullable=False),
        sa.Column("closed_at", _TIME),
        sa.Column("closed_why", sa.String(16)),
        sa.Column("follows_expired", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["thread_id"], ["threads.id"], name=op.f("fk_sessions_thread_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
    )
    op.create_index("ix_sessions_idle", "sessions", ["last_active_at"], sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.create_index("ix_sessions_thread", "sessions", ["thread_id", "opened_at"])
    op.create_index(
        "uq_sessions_open", "sessions", ["thread_id"], unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_table(
        "turns",
        sa.Column("id", _ID, nullable=False),
        sa.Column("thread_id", _ID, nullable=False),
        sa.Column("session_id", sa.String(36)),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("answer_id", sa.String(64)),
        sa.Column("answer", sa.Text()),
        sa.Column("trouble", sa.String(32)),
        sa.Column("model", sa.String(200)),
        sa.Column("prompt_tokens", sa.Integer()),
        sa.Column("cached_tokens", sa.Integer()),
        sa.Column("completion_tokens", sa.Integer()),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("finished_at", _TIME),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_turns_session_id")),
        sa.ForeignKeyConstraint(["thread_id"], ["threads.id"], name=op.f("fk_turns_thread_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turns")),
    )
    op.create_index("ix_turns_session", "turns", ["session_id", "id"])
    op.create_index(
        "uq_turns_running", "turns", ["thread_id"], unique=True, sqlite_where=_RUNNING, postgresql_where=_RUNNING
    )
    op.create_table(
        "messages",
        sa.Column("id", _ID, nullable=False),
        sa.Column("thread_id", _ID, nullable=False),
        sa.Column("message_id", sa.String(64), nullable=False),
        sa.Column("session_id", sa.String(36)),
        sa.Column("turn_id", _ID),
        sa.Column("author_id", sa.String(64), nullable=False),
        sa.Column("author_workspace", sa.String(64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("attachments", sa.JSON(), nullable=False),
        sa.Column("client_id", sa.String(64)),
        sa.Column("fixed_reply", sa.String(32)),
        sa.Column("accepted_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_messages_session_id")),
        sa.ForeignKeyConstraint(["thread_id"], ["threads.id"], name=op.f("fk_messages_thread_id")),
        sa.ForeignKeyConstraint(["turn_id"], ["turns.id"], name=op.f("fk_messages_turn_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("thread_id", "message_id", name=op.f("uq_messages_thread_id_message_id")),
    )
    op.create_index("ix_messages_author", "messages", ["author_id", "session_id"])
    op.create_index("ix_messages_client", "messages", ["client_id"])
    op.create_index("ix_messages_owed", "messages", ["thread_id"], sqlite_where=_OWED, postgresql_where=_OWED)
    op.create_index("ix_messages_session", "messages", ["session_id"])
    op.create_index("ix_messages_turn", "messages", ["turn_id"])
