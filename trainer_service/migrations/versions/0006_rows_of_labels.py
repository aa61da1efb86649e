"""A label's row is never given to another one, not even after the newest were erased."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Bring the previous schema to this one. PostgreSQL never gave a number twice."""
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("labels", recreate="always", table_kwargs={"sqlite_autoincrement": True}):
            pass
