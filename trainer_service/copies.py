"""Copies of the database, taken while it is in use: one file each, whole or absent.

SQLite is copied by its online backup, PostgreSQL by `pg_dump` in the custom format. Either is one consistent view.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sentry_proto.durable import give_to_owner, make_folders, sync_folder
from sentry_proto.errors import MissingDependency, StorageError
from trainer_service.database import Database, address_of, name_of


def copy_database(database: Database, out: Path) -> Path:
    """Write a copy of a database that may be in use; returns its path.

    Raises:
        StorageError: if it cannot be read, or the copy cannot be written.
        MissingDependency: if `pg_dump` is not installed.
    """
    with _whole(out) as temporary:
        if isinstance(database, str):
            _run_tool("pg_dump", database, "--format=custom", "--no-owner", f"--file={temporary}")
        else:
            _copy_file(database, temporary)
    return out


def restore_database(copy: Path, database: Database) -> None:
    """Put a copy where no database is yet.

    Raises:
        StorageError: if something is there, or the copy is damaged.
        MissingDependency: if `pg_restore` is not installed.
    """
    if isinstance(database, str):
        _run_tool("pg_restore", database, "--single-transaction", "--no-owner", "--exit-on-error", str(copy))
        return
    if database.exists():
        raise StorageError(f"{database} is there already; move it away first")
    with _whole(database) as temporary:
        _copy_file(copy, temporary)


def _copy_file(source: Path, out: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as old,
            closing(sqlite3.connect(out)) as new,
        ):
            old.backup(new)
            verdict = new.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise StorageError(f"cannot copy {source}: {error}") from error
    if verdict != "ok":
        raise StorageError(f"{source} is damaged: {verdict}")


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A file to write to that becomes `out`, on the disk, if the block succeeds; only its owner may read it."""
    try:
        make_folders(out.parent, 0o700)
        handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(out)
            give_to_owner(out)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(out.parent)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror}") from error


def _run_tool(tool: str, database: str, *options: str) -> None:
    """Run one of PostgreSQL's tools; the password goes by its environment, where no list of processes shows it."""
    path = shutil.which(tool)
    if path is None:
        raise MissingDependency(f"{tool} is needed to copy {name_of(database)}: install PostgreSQL's client programs")
    url = address_of(database)
    plain = url.set(drivername="postgresql", password=None).render_as_string()
    environment = {**os.environ, **({"PGPASSWORD": url.password} if url.password else {})}
    done = subprocess.run(
        [path, f"--dbname={plain}", *options], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StorageError(f"{tool} of {name_of(database)} failed: {done.stderr.strip()}")
