"""The agent's data folder: private, writable, and one agent's only."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from sentry_proto.durable import make_folders
from sentry_proto.errors import StorageError


def make_folder(folder: Path) -> None:
    """Make a data folder that only its owner may read.

    Raises:
        StorageError: if it cannot be made or written.
    """
    try:
        make_folders(folder, 0o700)
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
