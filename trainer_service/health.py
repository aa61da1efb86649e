"""How the trainer's machine and its update repository are: room on the disk, sizes, and when signatures run out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from trainer_service import expiries
from trainer_service.database import Database
from trainer_service.keyring import Home


def describe(folder: Path | None, database: Database) -> dict[str, Any]:
    """Bytes free, in all, and of the database; and by role when signatures run out, in Unix seconds.

    Args:
        folder: the trainer's; without one nothing but the database is known.
        database: where it is; its size is None for PostgreSQL.
    """
    if folder is None:
        return {"free": None, "total": None, "database": _size(database), "expires": {}}
    disk = shutil.disk_usage(folder)
    signed = {one.role: one.expires.timestamp() for one in expiries.of(Home(folder))}
    return {"free": disk.free, "total": disk.total, "database": _size(database), "expires": signed}


def _size(database: Database) -> int | None:
    if isinstance(database, str):
        return None
    return sum(path.stat().st_size for path in database.parent.glob(f"{database.name}*"))
