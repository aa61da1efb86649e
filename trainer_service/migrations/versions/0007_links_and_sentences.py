"""Links by which participants answer, and what they say in their own words."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Bring the previous schema to this one."""
    op.create_table(
        "links",
        sa.Column("participant", sa.String(), primary_key=True),
        sa.Column("digest", sa.String(), nullable=False, unique=True),
        sa.Column("created", sa.Float(), nullable=False),
    )
    op.add_column("self_reports", sa.Column("words", sa.String(), nullable=False, server_default=""))
