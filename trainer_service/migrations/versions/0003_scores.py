"""Scores, which rates are counted from, in place of the draws of audit windows; and whom each label is about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SHARED = ("window_id", "agent", "participant", "session", "start", "model_version", "stratum")
AT_ONCE = 2_000

metadata = sa.MetaData()
windows = sa.Table(
    "windows",
    metadata,
    sa.Column("row", WHOLE, primary_key=True),
    *(sa.Column(name, sa.String()) for name in ("window_id", "agent", "participant", "session", "stratum")),
    sa.Column("start", sa.Float()),
    sa.Column("model_version", WHOLE),
    sa.Column("predictions", sa.JSON()),
)
audit_draws = sa.Table(
    "audit_draws", metadata, sa.Column("window_id", sa.String()), sa.Column("probability", sa.Float())
)
labels = sa.Table("labels", metadata, sa.Column("window_id", sa.String()), sa.Column("participant", sa.String()))


def upgrade() -> None:
    """Bring the previous schema to this one."""
    scores = op.create_table(
        "scores",
        sa.Column("row", WHOLE, primary_key=True),
        sa.Column("window_id", sa.String(), sa.ForeignKey("windows.window_id", ondelete="CASCADE"), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("participant", sa.String(), nullable=False),
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("start", sa.Float(), nullable=False),
        sa.Column("model_version", WHOLE, nullable=False),
        sa.Column("stratum", sa.String(), nullable=False),
        sa.Column("draw", sa.Float()),
        sa.Column("probabilities", sa.JSON(), nullable=False),
        sa.Column("entropy", sa.Float(), nullable=False),
        sa.Column("alerting", sa.Boolean(), nullable=False),
        sa.Column("generic_alerting", sa.Boolean()),
        sa.UniqueConstraint("window_id", "task"),
    )
    for some in _windows(op.get_bind()):
        rows = [_score(window, said) for window in some for said in window.predictions]
        if rows:
            op.bulk_insert(scores, rows)
    op.create_index("ix_scores_stratum", "scores", ["task", "stratum", "row"])
    op.create_index("ix_scores_version", "scores", ["task", "model_version", "stratum"])
    op.drop_table("audit_draws")
    op.add_column("labels", sa.Column("participant", sa.String(), nullable=False, server_default=""))
    whom = sa.select(windows.c.participant).where(windows.c.window_id == labels.c.window_id).scalar_subquery()
    op.execute(labels.update().values(participant=whom))
    op.create_index("ix_labels_participant", "labels", ["participant", "withdrawn"])


def _windows(connection: sa.Connection) -> Iterator[list[Any]]:
    """All windows by the thousands, each with the probability of its draw."""
    chosen = (
        sa.select(windows, audit_draws.c.probability)
        .outerjoin_from(windows, audit_draws, audit_draws.c.window_id == windows.c.window_id)
        .order_by(windows.c.row)
        .limit(AT_ONCE)
    )
    last = 0
    while some := list(connection.execute(chosen.where(windows.c.row > last))):
        yield some
        last = some[-1].row


def _score(window: Any, said: dict[str, Any]) -> dict[str, Any]:
    personal = said.get("personal")
    return {
        **{name: getattr(window, name) for name in SHARED},
        "task": said["task"],
        "draw": window.probability,
        "probabilities": personal or said["probabilities"],
        "entropy": said["entropy"],
        "alerting": said["alerting"],
        "generic_alerting": said.get("generic_alerting", False) if personal else None,
    }
