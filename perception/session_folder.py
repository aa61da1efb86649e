"""A recorded session on disk, version 1, as it is read; `perception.session_writer` writes it.

    <participant>/<session id>/
    |- session.json         what it is (`perception.session_metadata`)
    |- features.parquet     one row a second; features.arrows in its place while recording
    |- labels.csv           what was said about stretches of it (`perception.session_rows`)
    |- questionnaires.csv   what was filled in
    `- video.mkv            only with a consent that covers video

All but session.json may be absent. docs/session-format.md has the columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from perception.session_features import PARQUET, STREAM, Seconds, read_seconds
from perception.session_metadata import FILE, SessionMetadata, load_metadata
from perception.session_rows import QuestionnaireResult, SessionLabel, level_labels, read_labels, read_questionnaires
from sentry_proto.errors import InputError, LabelFileError, StorageError

LABELS = "labels.csv"
QUESTIONNAIRES = "questionnaires.csv"

RowType = TypeVar("RowType", SessionLabel, QuestionnaireResult)


def find_sessions(root: Path) -> list[Path]:
    """The session folders below a folder such as `custom_sessions`, in the order of their names."""
    return sorted(path.parent for path in root.glob(f"*/*/{FILE}"))


@dataclass(frozen=True)
class SessionFolder:
    """One session that lies on disk.

    Attributes:
        path: of the folder.
        metadata: its `session.json`.
    """

    path: Path
    metadata: SessionMetadata

    @classmethod
    def open(cls, path: Path) -> SessionFolder:
        """Open a session folder.

        Raises:
            InputError: it is none, or of another format version.
            StorageError: it cannot be read.
        """
        return cls(path, load_metadata(path / FILE))

    @property
    def interrupted(self) -> bool:
        """Whether a recording was never closed: it was killed, or is still running. It is whole up to there."""
        return self.metadata.ended is None and (self.path / STREAM).exists()

    @property
    def features(self) -> Path | None:
        """The file with the seconds; None without one."""
        return next((self.path / name for name in (PARQUET, STREAM) if (self.path / name).exists()), None)

    @property
    def video(self) -> Path | None:
        """The video; None without one."""
        path = self.path / (self.metadata.video or "")
        return path if self.metadata.video and path.is_file() else None

    def seconds(self) -> Seconds:
        """Every whole second.

        Raises:
            InputError: there are no features, or their file is not readable as such.
            StorageError: the file cannot be read.
        """
        if self.features is None:
            raise InputError(f"{self.path} has no features: neither {PARQUET} nor {STREAM}")
        return read_seconds(self.features)

    def labels(self, problems: list[str] | None = None) -> list[SessionLabel]:
        """Every label; whether a task knows its value is for the caller to say.

        What the questionnaires say is written as labels when a session is closed. Of one that was interrupted it is
        worked out here, for the seconds that there are.

        Args:
            problems: if given, malformed rows are left out and described here.

        Raises:
            LabelFileError: a row is malformed (without `problems`), or the file is.
            StorageError: the file cannot be read.
        """
        labels = self._rows(LABELS, read_labels, problems)
        results = self.questionnaires(problems) if self.interrupted else []
        if not results:
            return labels
        starts = self.seconds().start
        begin, end = self.metadata.started, float(starts[-1] + 1) if len(starts) else self.metadata.started
        known = {(label.task, label.created) for label in labels}  # where it was interrupted while it was being closed
        levels = level_labels(results, begin, end, self.metadata.participant)
        return labels + [label for label in levels if (label.task, label.created) not in known]

    def questionnaires(self, problems: list[str] | None = None) -> list[QuestionnaireResult]:
        """Every filled questionnaire; arguments and errors as of `labels`."""
        return self._rows(QUESTIONNAIRES, read_questionnaires, problems)

    def _rows(
        self, name: str, read: Callable[..., Iterator[RowType | LabelFileError]], problems: list[str] | None
    ) -> list[RowType]:
        path = self.path / name
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}") from error
        rows: list[RowType] = []
        try:
            for row in read(data, interrupted=self.interrupted):
                if not isinstance(row, LabelFileError):
                    rows.append(row)
                elif problems is None:
                    raise row
                else:
                    problems.append(f"{path}, {row}")
        except LabelFileError as error:
            raise LabelFileError(f"{path}, {error}") from error
        return rows
