"""How much text each session holds, and the sessions of a key together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_OPEN = sa.text("closed_at IS NULL")
_UNERASED = sa.text("closed_at IS NOT NULL AND stored_bytes > 0")
_ROW_BYTES = 300  # as bot.store.stored_bytes counted when this migration was written


def upgrade() -> None:
    """Add the columns and the indexes, and measure the open sessions."""
    op.add_column("sessions", sa.Column("owner", sa.String(64), nullable=False, server_default=""))
    op.add_column("sessions", sa.Column("stored_bytes", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("keys", sa.Column("stored_bytes", sa.BigInteger, nullable=False, server_default="0"))
    length = "octet_length({})" if op.get_bind().dialect.name == "postgresql" else "length(CAST({} AS BLOB))"
    of_messages = f"SELECT coalesce(sum({length.format('text')} + {_ROW_BYTES}), 0) FROM messages"  # noqa: S608
    of_turns = f"SELECT coalesce(sum({length.format('answer')}), 0) FROM turns"  # noqa: S608
    op.execute(
        f"UPDATE sessions SET stored_bytes = ({of_messages} WHERE session_id = sessions.id)"  # noqa: S608
        f" + ({of_turns} WHERE session_id = sessions.id), "
        "owner = coalesce((SELECT author_id FROM messages WHERE session_id = sessions.id ORDER BY id LIMIT 1), '') "
        "WHERE closed_at IS NULL"
    )
    op.execute(
        "UPDATE keys SET stored_bytes = "
        "(SELECT coalesce(sum(stored_bytes), 0) FROM sessions WHERE owner = keys.id AND closed_at IS NULL)"
    )
    op.create_index(
        "ix_sessions_owner", "sessions", ["owner", "last_active_at"], sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_index("ix_sessions_unerased", "sessions", ["id"], sqlite_where=_UNERASED, postgresql_where=_UNERASED)
