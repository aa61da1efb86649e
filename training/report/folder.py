"""Where a report may be written: checked before a run of hours, not after it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sentry_proto.errors import InputError, StorageError

PAGE, PICTURES = "index.html", "pictures"
GENERATOR = '<meta name="generator" content="sentry-train crossval">'
"""What tells a report of ours from a page of somebody else."""

_HEAD_BYTES = 1_000


def prepare_folder(folder: Path) -> None:
    """Make the folder if need be, and see that a report can be written into it.

    Raises:
        InputError: something else is there.
        StorageError: it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"the report needs a folder, and {folder} is a file")
    try:
        if folder.exists() and any(folder.iterdir()) and not _is_report(folder):
            raise InputError(
                f"{folder} holds other files: name a new or empty folder for the report, or an older report"
            )
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageError(f"cannot write a report into {folder}: {error.strerror}") from error


def write_files(folder: Path, page: str, pictures: Mapping[str, str]) -> Path:
    """Write a page and its pictures in place of those that are there.

    Returns:
        The path of the page.

    Raises:
        StorageError: they cannot be written.
    """
    path = folder / PAGE
    try:
        shutil.rmtree(folder / PICTURES, ignore_errors=True)
        (folder / PICTURES).mkdir(parents=True)
        for name, picture in pictures.items():
            (folder / PICTURES / name).write_text(picture, encoding="utf-8")
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write the report {path}: {error.strerror}") from error
    return path


def _is_report(folder: Path) -> bool:
    path = folder / PAGE
    return path.is_file() and GENERATOR.encode() in path.read_bytes()[:_HEAD_BYTES]
