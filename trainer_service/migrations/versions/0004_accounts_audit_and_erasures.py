"""Accounts and who is signed in, the audit log, withdrawn consents, and who was erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring the previous schema to this one."""
    op.create_table(
        "accounts",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("password", sa.String()),
        sa.Column("email", sa.String(), unique=True),
        sa.Column("created", sa.Float(), nullable=False),
    )
    op.create_table(
        "sign_ins",
        sa.Column("digest", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), sa.ForeignKey("accounts.name", ondelete="CASCADE"), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
    )
    op.create_index("ix_sign_ins_name", "sign_ins", ["name"])
    op.create_table(
        "audit",
        sa.Column("row", WHOLE, primary_key=True),
        sa.Column("time", sa.Float(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("participant", sa.String()),
        sa.Column("details", sa.String(), nullable=False),
    )
    op.create_index("ix_audit_participant", "audit", ["participant"])
    op.create_table(
        "withdrawals",
        sa.Column("participant", sa.String(), primary_key=True),
        sa.Column("time", sa.Float(), nullable=False),
    )
    op.create_table(
        "erasures",
        sa.Column("row", WHOLE, primary_key=True),
        sa.Column("digest", sa.String(), nullable=False, unique=True),
        sa.Column("time", sa.Float(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
    )
    # `remarks` had no index by participant, by which erasing and counting look for them.
    op.create_index("ix_remarks_participant", "remarks", ["participant"])
    op.create_index("ix_alerts_participant", "alerts", ["participant"])
