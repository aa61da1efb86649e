"""EmoPain, the movement part: people with and without chronic low back pain do exercises (Aung et al. 2016).

How to get it: sign the agreement of the EmoPain Challenge 2020, https://wangchongyang.ai/EmoPainChallenge2020/. Terms:
academic research only, no redistribution. The videos are not handed out.

The layout of the challenge's coordinate data::

    train/P113N.mat, train/C382D.mat, ...    validation/...    test/... (handed out later; may be absent)

P is a person with chronic pain, C a healthy control, the digits are the person, N is a normal and D a difficult trial.
Each file holds one matrix ``data`` at 60 frames a second, a row a frame, with at least 73 columns: 1-22, 23-44 and
45-66 the x, y and z of 22 joints; 67-70 muscle activity (upper envelope of the rectified EMG); 71 the exercise, 0 for
none; 73 whether most raters saw protective behaviour.

The self-reported level of pain is not in the matrix. If you have it, put it beside the folders as ``pain_levels.csv``
with the columns ``recording,level``: P113N, and 0 (healthy), 1 (low) or 2 (high), for all but the test part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from sentry_proto.types import Float32
from training.datasets.layout import DatasetError, expect_folder, number, read_csv
from training.datasets.recordings import Recording, Recordings

NAME = "EmoPain"
FRAMES_PER_SECOND = 60
JOINTS = 22
HIGHEST_LEVEL = 2
_FOLDERS = {"train": "train", "val": "validation", "test": "test"}
_FILE = re.compile(r"([CP]\d+)([ND])\.mat")
_EMG, _EXERCISE, _PROTECTIVE = slice(66, 70), 70, 72


def load_emopain(root: Path) -> Recordings:
    """Find the trials below `root`; the matrices stay on disk, see :func:`read_movement`.

    Returns:
        Recordings with the file ``movement`` and the scores ``chronic_pain`` (0 or 1), ``difficult`` (0 or 1) and,
        where there is a ``pain_levels.csv``, ``pain`` (0 to 2).

    Raises:
        DatasetError: the data set is missing or half-copied, a name or level is outside its definition, or one person
            is in two parts.
    """
    files = [(part, path) for part, folder in _FOLDERS.items() for path in _trials(root, folder, part == "test")]
    rated = [path.stem for part, path in files if part != "test"]
    levels = _levels(root / "pain_levels.csv", rated) if (root / "pain_levels.csv").is_file() else {}
    sessions = []
    for part, path in files:
        match = _FILE.fullmatch(path.name)
        if match is None:
            raise DatasetError(f"{path}: expected a name such as P113N.mat or C382D.mat")
        scores = {"chronic_pain": float(match[1][0] == "P"), "difficult": float(match[2] == "D")}
        if path.stem in levels:
            scores["pain"] = levels[path.stem]
        sessions.append(Recording(path.stem, match[1], part, {"movement": path}, scores))
    return Recordings(NAME, tuple(sessions))


def _trials(root: Path, folder: str, optional: bool) -> list[Path]:
    if optional and not (root / folder).is_dir():
        return []
    trials = sorted(expect_folder(root / folder, NAME).glob("*.mat"))
    if not trials:
        raise DatasetError(f"{NAME} is half-copied: expected files such as P113N.mat in {root / folder}")
    return trials


def _levels(path: Path, names: list[str]) -> dict[str, float]:
    table = read_csv(path, NAME, ("recording", "level"))
    levels = {}
    for line, (name, level) in enumerate(zip(table["recording"], table["level"], strict=True), start=2):
        levels[str(name)] = number(f"{path}, line {line}, level", level, 0, HIGHEST_LEVEL, whole=True)
        if (levels[str(name)] == 0) != str(name).startswith("C"):
            raise DatasetError(f"{path}, line {line}: level 0 is for healthy controls (C...) and for nobody else")
    if missing := sorted(set(names) - set(levels)):
        raise DatasetError(f"{path}: no level for {len(missing)} recordings, the first of them {missing[0]}")
    return levels


@dataclass(frozen=True)
class Movement:
    """One trial, T frames at 60 a second.

    Attributes:
        positions: float32 [T, 22, 3], joints in the unit of the file.
        emg: float32 [T, 4], muscle activity: the envelope, not the raw signal.
        exercise: int64 [T], number of the exercise; 0 between exercises.
        protective: bool [T], whether most raters saw protective behaviour.
    """

    positions: Float32
    emg: Float32
    exercise: npt.NDArray[np.int64]
    protective: npt.NDArray[np.bool_]


def read_movement(path: Path) -> Movement:
    """Read the matrix of one trial.

    Raises:
        DatasetError: the file is missing, no MATLAB file of a version before 7.3, or its matrix is of another form.
    """
    if not path.is_file():
        raise DatasetError(f"{NAME}: expected the file {path}, which is not there")
    try:
        data = loadmat(path)["data"].astype(np.float64)
    except (MatReadError, NotImplementedError, ValueError, KeyError, TypeError, OSError) as error:
        raise DatasetError(f"{path}: expected a MATLAB file (before 7.3) with a matrix named data") from error
    if data.ndim != 2 or data.shape[1] <= _PROTECTIVE:
        raise DatasetError(f"{path}: expected a matrix with at least {_PROTECTIVE + 1} columns, found {data.shape}")
    protective = data[:, _PROTECTIVE]
    if not np.isin(protective, (0, 1)).all():
        raise DatasetError(f"{path}: column {_PROTECTIVE + 1}, protective behaviour, must hold 0 and 1 only")
    return Movement(
        positions=data[:, : 3 * JOINTS].reshape(-1, 3, JOINTS).transpose(0, 2, 1).astype(np.float32),
        emg=data[:, _EMG].astype(np.float32),
        exercise=data[:, _EXERCISE].astype(np.int64),
        protective=protective == 1,
    )
