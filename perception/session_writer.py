"""Writes a session folder so that a kill at any moment leaves it whole up to the last second.

begin     features.arrows with its schema, the CSV files with their header, then session.json: a folder with a
          session.json has them all
second    one record batch appended and forced to the disk
label     one line appended and forced to the disk
close     features.parquet, then session.json with `ended`, then features.arrows is removed
"""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import replace
from pathlib import Path

from perception.extract import table_metadata, to_table, write_parquet
from perception.fusion import Second, absent
from perception.session_features import PARQUET, STREAM, read_stream
from perception.session_folder import LABELS, QUESTIONNAIRES
from perception.session_metadata import FILE, SessionMetadata, check_folder_name
from perception.session_rows import (
    LABEL_COLUMNS,
    QUESTIONNAIRE_COLUMNS,
    QuestionnaireResult,
    SessionLabel,
    label_row,
    questionnaire_row,
    to_csv,
)
from sentry_proto.durable import sync_folder, write_durable
from sentry_proto.errors import StorageError


def new_session_id(started: float) -> str:
    """A session's name from its beginning in UTC, and six hex digits: `20261122-204641-a1b2c3`."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(started))}-{uuid.uuid4().hex[:6]}"


class AppendedFile:
    """A file that grows by whole pieces: after a failure it ends where it ended before.

    Args:
        path: of a file that does not exist yet.
        head: its first piece.

    Raises:
        StorageError: it cannot be made, or the disk is full.
    """

    def __init__(self, path: Path, head: bytes) -> None:
        self._path, self._size = path, 0
        try:
            path.touch(exist_ok=False)
        except OSError as error:
            raise StorageError(f"cannot make {path}: {error.strerror}") from error
        self.append(head)

    def append(self, piece: bytes) -> None:
        """Add a piece and force it to the disk.

        Raises:
            StorageError: the disk is full, or the file cannot be written.
        """
        try:
            with self._path.open("r+b", buffering=0) as file:
                try:
                    file.seek(self._size)
                    rest = memoryview(piece)
                    while rest:
                        rest = rest[file.write(rest) :]
                    os.fsync(file.fileno())
                except OSError:
                    os.truncate(self._path, self._size)
                    raise
        except OSError as error:
            raise StorageError(f"cannot write {self._path}: {error.strerror}") from error
        self._size += len(piece)


class SessionWriter:
    """One session folder while it is recorded.

    Args:
        root: the folder of all sessions, such as `custom_sessions`.
        metadata: of a session that begins now; the software, layout and models are filled in.

    Attributes:
        path: of the folder, `<root>/<participant>/<session id>`.
        metadata: as it stands in `session.json`.
        seconds, labels, questionnaires: how many were written.

    Raises:
        InputError: the participant's name cannot be a folder's.
        StorageError: the folder cannot be made, exists already, or the disk is full.
    """

    def __init__(self, root: Path, metadata: SessionMetadata) -> None:
        check_folder_name("participant", metadata.participant)
        self.path = root / metadata.participant / metadata.session_id
        self.seconds = self.labels = self.questionnaires = 0
        self._end = int(metadata.started)
        described = table_metadata()
        self.metadata = replace(
            metadata,
            layout_id=described["sentry_layout"],
            software=described["sentry_version"],
            models={key.removeprefix("sha256_"): value for key, value in described.items() if "sha256_" in key},
        )
        _make(self.path)
        self._stream = AppendedFile(self.path / STREAM, to_table([absent(0)]).schema.serialize().to_pybytes())
        self._labels = AppendedFile(self.path / LABELS, to_csv([LABEL_COLUMNS]).encode())
        self._questionnaires = AppendedFile(self.path / QUESTIONNAIRES, to_csv([QUESTIONNAIRE_COLUMNS]).encode())
        self._save_metadata()

    def add_seconds(self, seconds: list[Second]) -> None:
        """Append seconds, each as a batch of its own.

        Raises:
            StorageError: the disk is full; what was written before stays whole.
        """
        for second in seconds:
            (batch,) = to_table([second]).to_batches()
            self._stream.append(batch.serialize().to_pybytes())
            self._end = second.start + 1
            self.seconds += 1

    def add_label(self, label: SessionLabel) -> None:
        """Append a label; errors as of `add_seconds`, and LabelFileError for a field that is not one line."""
        self._labels.append(to_csv([label_row(label)]).encode())
        self.labels += 1

    def add_questionnaire(self, result: QuestionnaireResult) -> None:
        """Append a filled questionnaire; errors as of `add_label`."""
        self._questionnaires.append(to_csv([questionnaire_row(result)]).encode())
        self.questionnaires += 1

    @property
    def end(self) -> float:
        """Unix seconds at which the last second that was written ends."""
        return float(self._end)

    def close(self) -> None:
        """Put Parquet in the place of the stream and note the end.

        Raises:
            StorageError: the disk is full; the folder stays as readable as an interrupted one.
        """
        stream = self.path / STREAM
        write_parquet(read_stream(stream.read_bytes()), self.path / PARQUET)
        self.metadata = replace(self.metadata, ended=self.end)
        self._save_metadata()
        stream.unlink()

    def _save_metadata(self) -> None:
        write_durable(self.path / FILE, self.metadata.to_json().encode())


def _make(folder: Path) -> None:
    """Make a session's folder, which only its owner may read, and those above it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(mode=0o700)
        sync_folder(folder.parent)
    except OSError as error:
        raise StorageError(f"cannot make the session folder {folder}: {error.strerror}") from error
