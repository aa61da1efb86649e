"""Migrations of the store, from the first schema on.

A store of an older version is copied and then migrated, in one transaction, when it is opened; one of a newer version
is refused. `versions/` holds one file per revision, numbered, so that later ones sort later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from sentry_proto.errors import StorageError
from trainer_service import schema
from trainer_service.database import Database, engine_of, name_of, reading, writing

log = logging.getLogger(__name__)

HERE = Path(__file__).parent


def prepare(engine: Engine, database: Database, copy: Callable[[str], Path]) -> None:
    """Bring a database to this version's schema; one that is there already is only looked at.

    Args:
        engine: its connections.
        database: where it is.
        copy: keeps a copy of it, named by the revision that it has.

    Raises:
        StorageError: if it was written by a newer version, or cannot be copied.
    """
    with reading(engine) as connection:
        found = revision_of(connection)
        empty = not inspect(connection).get_table_names()
    if found == schema.REVISION:
        return
    if found is not None and found > schema.REVISION:
        raise StorageError(
            f"{name_of(database)} was written by a newer version of Sentry (schema {found}; this one knows up to "
            f"{schema.REVISION}): install that version, or restore the copy that was made before the upgrade"
        )
    if empty:
        with writing(engine) as connection:
            upgrade(connection)
        return
    kept = copy(found or "unnumbered")
    log.info("migrating %s to schema %s; as it was, it is kept as %s", name_of(database), schema.REVISION, kept)
    alone = engine_of(database, foreign_keys=False)  # a table that is rebuilt must not cascade
    try:
        with writing(alone) as connection:
            upgrade(connection)
    finally:
        alone.dispose()


def revision_of(connection: Connection) -> str | None:
    """The revision that a database has; None if it has none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the migrations that are missing up to a revision, within the connection's transaction."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from alembic import command  # noqa: PLC0415 - needed only here, and slow to import
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
