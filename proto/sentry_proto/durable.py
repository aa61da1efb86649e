"""Files that are whole after a crash: the old content or the new one, and on the disk.

A technician may run a command as root on what belongs to a service's own user. So a file that is replaced keeps its
owner and mode, and what root makes anew belongs to the owner of the folder: else the service could no longer read it.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from sentry_proto.errors import StorageError


def write_durable(path: Path, data: bytes) -> None:
    """Replace a file atomically and force it to the disk; only its owner may read a new one.

    Raises:
        StorageError: if the disk is full or the folder cannot be written.
    """
    try:
        make_folders(path.parent)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                _keep_owner(file.fileno(), path)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def make_folders(folder: Path, mode: int = 0o777) -> None:
    """Make a folder, and those above it with it; what root makes belongs to the owner of the one above."""
    if not folder.is_dir():
        make_folders(folder.parent)
        folder.mkdir(mode, exist_ok=True)
        give_to_owner(folder)


def give_to_owner(path: Path) -> None:
    """As root, let what was just made belong to the owner of the folder that it lies in."""
    if os.geteuid() == 0:
        above = path.parent.stat()
        os.chown(path, above.st_uid, above.st_gid)


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _keep_owner(handle: int, path: Path) -> None:
    """Give the file that will replace `path` the owner and mode of what is there."""
    try:
        before = path.stat()
    except FileNotFoundError:
        before = None
    if os.geteuid() == 0:
        owner = before or path.parent.stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)
    if before is not None:
        os.fchmod(handle, before.st_mode & 0o777)
