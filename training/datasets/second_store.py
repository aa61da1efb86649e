"""Seconds of many sessions in files that are mapped, not read: memory does not grow with the number of sessions."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sentry_proto.errors import StorageError

INDEX = "index.json"
OLD = "old"


@dataclass(frozen=True)
class Column:
    """One array on disk: its rows' shape and type."""

    shape: tuple[int, ...]
    dtype: str


class Appender:
    """Writes a store's arrays row by row.

    Args:
        folder: that exists and is empty.
        columns: name -> form of a row.
    """

    def __init__(self, folder: Path, columns: dict[str, Column]) -> None:
        self._folder, self._columns = folder, columns
        self._files = {name: (folder / name).open("wb") for name in columns}
        self.rows = dict.fromkeys(columns, 0)

    def append(self, **arrays: NDArray[Any]) -> None:
        """Add rows to some of the arrays."""
        for name, array in arrays.items():
            column = self._columns[name]
            if array.shape[1:] != column.shape:
                raise ValueError(f"{name} has rows of shape {column.shape}, not {array.shape[1:]}")
            self._files[name].write(np.ascontiguousarray(array, column.dtype).tobytes())
            self.rows[name] += len(array)

    def close(self, index: dict[str, Any]) -> None:
        """Finish the arrays and write what is known about them."""
        for file in self._files.values():
            file.close()
        described = {name: asdict(column) | {"rows": self.rows[name]} for name, column in self._columns.items()}
        (self._folder / INDEX).write_text(json.dumps(index | {"arrays": described}))


@dataclass(frozen=True)
class Store:
    """A finished store.

    Attributes:
        folder: where it lies.
        index: what its maker noted, read from `index.json`.
    """

    folder: Path
    index: dict[str, Any]

    @classmethod
    def open(cls, folder: Path, key: str) -> Self | None:
        """The store in a folder; None if there is none, it has another key, or it is torn."""
        try:
            index = json.loads((folder / INDEX).read_text())
            store = cls(folder, index)
            whole = index["key"] == key and all(store._whole(name) for name in index["arrays"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return store if whole else None

    def _whole(self, name: str) -> bool:
        entry = self.index["arrays"][name]
        row_bytes = int(np.prod(entry["shape"], dtype=np.int64)) * np.dtype(entry["dtype"]).itemsize
        return bool((self.folder / name).stat().st_size == row_bytes * entry["rows"])

    def array(self, name: str) -> NDArray[Any]:
        """One of the arrays, mapped read-only."""
        entry = self.index["arrays"][name]
        shape = (entry["rows"], *entry["shape"])
        if not entry["rows"]:
            return np.zeros(shape, entry["dtype"])
        return np.memmap(self.folder / name, entry["dtype"], "r", shape=shape)


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A new folder that takes the place of `folder` once the block is left without an error.

    Whoever has mapped files of the old one keeps them.

    Raises:
        StorageError: the disk is full, or the folder above cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            yield fresh
            if folder.exists():
                folder.replace(fresh / OLD)
            fresh.replace(folder)
            shutil.rmtree(folder / OLD, ignore_errors=True)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise StorageError(f"cannot write the cache {folder}: {error.strerror or error}.") from error
