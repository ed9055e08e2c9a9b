"""What stood in a person's preferences before the model changed them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("preferences", sa.Column("before", sa.JSON))
    op.add_column("preferences", sa.Column("changed_by_turn_id", sa.BigInteger))
