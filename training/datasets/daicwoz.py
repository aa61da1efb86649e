"""DAIC-WOZ: 189 interviews by a virtual agent, with PHQ-8 scores (Gratch et al. 2014; split of AVEC 2017).

How to get it: sign the agreement at https://dcapswoz.ict.usc.edu/. Terms: academic and other non-profit research only,
no redistribution, no attempt to identify anybody. The videos themselves are not handed out, only what OpenFace's CLNF
tracker saw in them, so these sessions serve to test ideas about features, not to run Sentry's perception.

The official layout, all below `root`::

    train_split_Depression_AVEC2017.csv, dev_split_Depression_AVEC2017.csv    Participant_ID, PHQ8_Binary, PHQ8_Score
    full_test_split.csv                                                       Participant_ID, PHQ_Binary, PHQ_Score
    test_split_Depression_AVEC2017.csv            participant_ID, no scores: read if full_test_split.csv is absent
    300_P/300_CLNF_AUs.txt, 300_CLNF_features.txt, 300_CLNF_gaze.txt, 300_CLNF_pose.txt, 300_TRANSCRIPT.csv, ...

Every participant was recorded once. ``PHQ8_Binary`` contradicts the score for one participant of the official training
part, so depression here is what the score says: 10 or more (Kroenke et al. 2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from sentry_proto.questionnaires import PHQ8
from sentry_proto.types import Float32
from training.datasets.layout import DatasetError, expect_files, expect_folder, number, read_csv
from training.datasets.recordings import Recording, Recordings

NAME = "DAIC-WOZ"
DEPRESSED_FROM = 10
CLNF_FILES = ("CLNF_AUs.txt", "CLNF_features.txt", "CLNF_gaze.txt", "CLNF_pose.txt")
_SPLITS = {"train": "train_split_Depression_AVEC2017.csv", "val": "dev_split_Depression_AVEC2017.csv"}
_TEST, _TEST_WITHOUT_SCORES = "full_test_split.csv", "test_split_Depression_AVEC2017.csv"
_STAMPS = ("frame", "timestamp", "confidence", "success")


def load_daicwoz(root: Path, needed: Sequence[str] = CLNF_FILES) -> Recordings:
    """Find the sessions of the AVEC 2017 split below `root`.

    Args:
        root: holds the split files and the folders of the participants.
        needed: ends of the files each participant must have, for example ``TRANSCRIPT.csv``.

    Returns:
        Recordings with `needed` as files and the scores ``phq8`` (0 to 24) and ``depressed`` (0 or 1).

    Raises:
        DatasetError: the data set is missing or half-copied, a score is outside its range, or one participant is in two
            parts.
    """
    expect_folder(root, NAME)
    parts = {part: _read_split(root / file, "PHQ8") for part, file in _SPLITS.items()}
    scored = (root / _TEST).is_file() or not (root / _TEST_WITHOUT_SCORES).is_file()
    parts["test"] = _read_split(root / _TEST, "PHQ") if scored else _read_split(root / _TEST_WITHOUT_SCORES, None)
    sessions = [
        Recording(person, person, part, {end: root / f"{person}_P" / f"{person}_{end}" for end in needed}, scores)
        for part, people in parts.items()
        for person, scores in people
    ]
    expect_files(NAME, [path for session in sessions for path in session.files.values()])
    return Recordings(NAME, tuple(sessions))


def _read_split(path: Path, prefix: str | None) -> list[tuple[str, dict[str, float]]]:
    """(Participant, scores) of each row; no scores without a `prefix` of their columns."""
    columns = ["Participant_ID", *([f"{prefix}_Binary", f"{prefix}_Score"] if prefix else [])]
    rows = []
    for line, row in enumerate(read_csv(path, NAME, columns)[columns].itertuples(index=False), start=2):
        where = f"{path}, line {line}"
        person = str(int(number(f"{where}, Participant_ID", row[0], 1, 99_999, whole=True)))
        scores: dict[str, float] = {}
        if prefix:
            number(f"{where}, {prefix}_Binary", row[1], 0, 1, whole=True)
            score = number(f"{where}, {prefix}_Score", row[2], 0, PHQ8.highest, whole=True)
            scores = {"phq8": score, "depressed": float(score >= DEPRESSED_FROM)}
        rows.append((person, scores))
    return rows


@dataclass(frozen=True)
class Track:
    """What CLNF saw, T video frames.

    Attributes:
        times: float64 [T], seconds from the start, never falling.
        tracked: bool [T]; where false, the values mean nothing.
        names: of the K columns, for example ``AU12_r`` or ``x_0``.
        values: float32 [T, K] in the units of OpenFace; NaN where the file has no number.
    """

    times: npt.NDArray[np.float64]
    tracked: npt.NDArray[np.bool_]
    names: tuple[str, ...]
    values: Float32


def read_track(path: Path) -> Track:
    """Read one of the CLNF text files.

    Raises:
        DatasetError: the file is missing, lacks its first four columns, or its time falls.
    """
    table = read_csv(path, NAME, ("frame", "timestamp", "confidence"))
    table = table.rename(columns={"detection_success": "success"})  # as the manual has it
    if "success" not in table.columns:
        raise DatasetError(f"{path}: expected the columns {', '.join(_STAMPS)}; missing success")
    # The tracker wrote "-1.#IND" where it had lost the face.
    numbers = table.apply(pd.to_numeric, errors="coerce")
    times = numbers["timestamp"].to_numpy(np.float64)
    if not (np.isfinite(times).all() and (np.diff(times) >= 0).all()):
        raise DatasetError(f"{path}: the column timestamp must hold seconds that never fall")
    values = numbers.drop(columns=list(_STAMPS))
    return Track(
        times=times,
        tracked=numbers["success"].to_numpy() == 1,
        names=tuple(map(str, values.columns)),
        values=values.to_numpy(np.float32),
    )
