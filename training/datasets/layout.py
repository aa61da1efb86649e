"""What every loader shares: its error, and sentences that say which file was expected where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from sentry_proto.errors import InputError


class DatasetError(InputError):
    """A data set is missing, half-copied, or not what its loader documents."""


def expect_folder(path: Path, dataset: str) -> Path:
    """The folder itself.

    Raises:
        DatasetError: it is not there.
    """
    if not path.is_dir():
        raise DatasetError(f"{dataset}: expected the folder {path}, which is not there")
    return path


def expect_files(dataset: str, paths: Iterable[Path]) -> None:
    """Refuse a half-copied data set. Each folder is listed once: a data set may hold 10^6 files.

    Raises:
        DatasetError: files are missing; the message counts them and names the first.
    """
    wanted = list(paths)
    listed = {
        folder: {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
        for folder in {path.parent for path in wanted}
    }
    if missing := [path for path in wanted if path.name not in listed[path.parent]]:
        raise DatasetError(
            f"{dataset} is half-copied: {len(missing)} of {len(wanted)} files are missing; expected {missing[0]}"
        )


def read_csv(path: Path, dataset: str, columns: Sequence[str]) -> pd.DataFrame:
    """A table whose header may differ from `columns` in case and in blanks around the names.

    Raises:
        DatasetError: the file is missing, is no table, or lacks a column.
    """
    if not path.is_file():
        raise DatasetError(f"{dataset}: expected the file {path}, which is not there")
    try:
        table = pd.read_csv(path, skipinitialspace=True)
    except (ValueError, OSError) as error:  # pandas' parse errors are ValueErrors
        raise DatasetError(f"{path}: not a readable csv file ({error})") from error
    proper = {name.lower(): name for name in columns}
    table.columns = [proper.get(str(name).strip().lower(), str(name).strip()) for name in table.columns]
    if missing := [name for name in columns if name not in table.columns]:
        raise DatasetError(f"{path}: expected the columns {', '.join(columns)}; missing {', '.join(missing)}")
    return table


def number(where: str, value: object, low: float, high: float, whole: bool = False) -> float:
    """A number that stands in a label file.

    Raises:
        DatasetError: `value` is no number, outside `low` to `high`, or not whole where it has to be.
    """
    try:
        found = float(str(value))
    except ValueError:
        found = float("nan")
    if not low <= found <= high or (whole and found != round(found)):
        kind = "a whole number" if whole else "a number"
        raise DatasetError(f"{where}: expected {kind} from {low:g} to {high:g}, not {str(value)[:20]!r}")
    return found
