"""Which expression model saw the face of a window."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Bring the previous schema to this one; a window that is there already does not say."""
    op.add_column("windows", sa.Column("expression", sa.String(), nullable=False, server_default=""))
