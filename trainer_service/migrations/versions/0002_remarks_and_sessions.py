"""Remarks, and windows found by their session; a store from before there were numbers may have them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring the previous schema to this one."""
    op.create_table(
        "remarks",
        sa.Column("row", WHOLE, primary_key=True),
        sa.Column("remark_id", sa.String(), nullable=False, unique=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("participant", sa.String(), nullable=False),
        sa.Column("time", sa.Float(), nullable=False),
        sa.Column("rater", sa.String(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("window_id", sa.String(), sa.ForeignKey("windows.window_id", ondelete="CASCADE")),
        sa.Column("words", sa.String(), nullable=False),
        sa.Column("received", sa.Float(), nullable=False),
        sa.Column("withdrawn", sa.Float()),
        if_not_exists=True,
    )
    op.create_index("ix_remarks_window", "remarks", ["window_id", "task"], if_not_exists=True)
    op.create_index("ix_windows_session", "windows", ["session", "end"], if_not_exists=True)
