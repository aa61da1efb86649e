"""Files that are whole after a crash: the old content or the new one, and on the disk."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO

from sentry_proto.errors import StorageError


def write_durable(path: Path, data: bytes) -> None:
    """Replace a file atomically and force it to the disk.

    Raises:
        StorageError: if the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a data folder that only its owner may read.

    Raises:
        StorageError: if it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError(f"cannot make the data folder {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"the data folder {folder} cannot be written")


def lock_folder(folder: Path) -> IO[str]:
    """Claim a data folder for this process; keep what is returned.

    Raises:
        StorageError: if another agent runs on it.
    """
    try:
        file = (folder / "lock").open("a")
    except OSError as error:
        raise StorageError(f"cannot use the data folder {folder}: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise StorageError(f"another agent is running on the data folder {folder}") from error
    return file
