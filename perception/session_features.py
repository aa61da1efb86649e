"""The seconds of a session folder: `features.parquet` once it is closed, `features.arrows` while it is recorded.

Both hold the table of `perception.extract.to_table`. The second is an Arrow IPC stream with one record batch a second;
what was interrupted ends anywhere, and every whole batch before that counts.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from perception.fusion import Second
from sentry_proto.errors import InputError, StorageError
from sentry_proto.layout import LAYOUT_ID, MODALITIES, SECOND_FEATURES
from sentry_proto.types import CAMERA_STATES, CameraState, Float32

PARQUET = "features.parquet"
STREAM = "features.arrows"

UNREADABLE = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What pyarrow raises over bytes that are none of its files, and over names of columns that are no text."""

STATE_OF = {letter: state for state, letter in CAMERA_STATES.items()}


@dataclass(frozen=True, eq=False)
class Seconds:
    """S seconds of one session.

    Attributes:
        start: int64 [S], Unix seconds.
        values: float32 [S, N_SECOND], 0 where unseen.
        coverage: float32 [S, N_MODALITIES] in 0..1.
        camera_states: one letter of `CAMERA_STATES` per second.
        frames: int32 [S], how many frames each second is made of.
    """

    start: NDArray[np.int64]
    values: Float32
    coverage: Float32
    camera_states: str
    frames: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.start)

    def __iter__(self) -> Iterator[Second]:
        """Each second as the live pipeline knows it, for `perception.window.Windower`."""
        for i, letter in enumerate(self.camera_states):
            yield Second(int(self.start[i]), self.values[i], self.coverage[i], STATE_OF[letter], int(self.frames[i]))


def read_seconds(path: Path) -> Seconds:
    """Read a features file of either kind.

    Raises:
        InputError: it is no such file, its header is ruined, or it has another layout or other columns.
        StorageError: it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    try:
        table = read_stream(data) if path.name == STREAM else pq.read_table(io.BytesIO(data))
        table.validate(full=True)
        return from_table(table)
    except UNREADABLE as error:
        raise InputError(f"{path} is no features file, or its header is ruined: {error}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_stream(data: bytes) -> pa.Table:
    """The whole batches at the beginning of an Arrow IPC stream.

    Raises:
        one of UNREADABLE: not even the schema is whole.
    """
    reader = pa.ipc.open_stream(data)
    batches = []
    while True:
        try:
            batch = reader.read_next_batch()
            batch.validate(full=True)
            batches.append(batch)
        except (StopIteration, *UNREADABLE):  # the end, or where the writer was interrupted
            return pa.Table.from_batches(batches, reader.schema)


def from_table(table: pa.Table) -> Seconds:
    """Inverse of `perception.extract.to_table`.

    Raises:
        InputError: the layout is another one, or a column is missing, of another type, or empty where it must not be.
    """
    layout = (table.schema.metadata or {}).get(b"sentry_layout", b"none").decode(errors="replace")
    if layout != LAYOUT_ID:
        raise InputError(f"its features have layout {layout}, this version reads {LAYOUT_ID}; extract them again")
    states = _column(table, "camera_state", pa.string()).to_pylist()
    known = set(CameraState)
    for row, state in enumerate(states, 1):
        if state not in known:
            raise InputError(f"row {row}: camera_state knows no {state!r}")
    return Seconds(
        start=_column(table, "start", pa.int64()).to_numpy(),
        values=_matrix(table, [feature.name for feature in SECOND_FEATURES]),
        coverage=_matrix(table, [f"coverage_{name}" for name in MODALITIES]),
        camera_states="".join(CAMERA_STATES[CameraState(state)] for state in states),
        frames=_column(table, "frames", pa.int32()).to_numpy(),
    )


def _matrix(table: pa.Table, names: list[str]) -> Float32:
    columns = [_column(table, name, pa.float32()).fill_null(0).to_numpy() for name in names]
    return np.stack(columns, axis=1)


def _column(table: pa.Table, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    found = table.schema.get_all_field_indices(name)
    if len(found) != 1 or table.schema.field(found[0]).type != kind:
        raise InputError(f"it must have one column {name} of type {kind}")
    column = table.column(found[0])
    if column.null_count and kind != pa.float32():
        raise InputError(f"column {name} has empty cells")
    return column
