"""EmoPain in the layout of its challenge, whole, half-copied, mislabelled, and with a person in two parts."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.io import savemat

from training.datasets.emopain import load_emopain, read_movement
from training.datasets.layout import DatasetError


def matrix(frames: int = 4) -> npt.NDArray[np.float64]:
    """Column i holds i everywhere, but for the labels."""
    data = np.tile(np.arange(78.0), (frames, 1))
    data[:, 70] = 3
    data[:, 72] = [1, *[0] * (frames - 1)]
    return data


def write_trial(root: Path, folder: str, name: str) -> Path:
    path = root / folder / f"{name}.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"data": matrix()})
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder, names in {"train": ("P113N", "P113D", "C382D"), "validation": ("P54N", "C202N")}.items():
        for name in names:
            write_trial(tmp_path, folder, name)
    return tmp_path


def test_the_layout_of_the_challenge(root: Path) -> None:
    data = load_emopain(root)
    assert data.summary() == "EmoPain: 3 train of 2 people, 2 val of 2 people"
    scores = {session.name: session.scores for session in data.sessions}
    assert scores["P113D"] == {"chronic_pain": 1, "difficult": 1}
    assert scores["C202N"] == {"chronic_pain": 0, "difficult": 0}
    assert data.sessions[0].files["movement"] == root / "train" / "C382D.mat"


def test_levels_of_pain_are_joined(root: Path) -> None:
    write_trial(root, "test", "P900N")  # its level is withheld
    rows = "P113N,1\nP113D,2\nC382D,0\nP54N,2\nC202N,0\n"
    (root / "pain_levels.csv").write_text(f"recording,level\n{rows}")
    pain = {session.name: session.scores.get("pain") for session in load_emopain(root).sessions}
    assert pain == {"P113N": 1, "P113D": 2, "C382D": 0, "P54N": 2, "C202N": 0, "P900N": None}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("P113N,3\n", r"line 2, level: expected a whole number from 0 to 2"),
        ("P113N,0\n", "line 2: level 0 is for healthy controls"),
        ("C382D,1\n", "line 2: level 0 is for healthy controls"),
        ("P113N,1\n", "no level for 4 recordings, the first of them C202N"),
    ],
)
def test_bad_levels_are_explained(rows: str, reason: str, root: Path) -> None:
    (root / "pain_levels.csv").write_text(f"recording,level\n{rows}")
    with pytest.raises(DatasetError, match=rf"pain_levels\.csv.*{reason}"):
        load_emopain(root)


def test_half_copied_data_is_explained(root: Path) -> None:
    for path in (root / "validation").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match=r"half-copied: expected files such as P113N\.mat in .*validation"):
        load_emopain(root)
    shutil.rmtree(root / "validation")
    with pytest.raises(DatasetError, match=r"expected the folder .*validation, which is not there"):
        load_emopain(root)


def test_bad_names_and_shared_people_are_refused(root: Path) -> None:
    write_trial(root, "validation", "P113D")
    with pytest.raises(DatasetError, match=r"1 people .*P113 in train and val"):
        load_emopain(root)
    write_trial(root, "train", "X1N")
    with pytest.raises(DatasetError, match=r"X1N\.mat: expected a name such as P113N\.mat"):
        load_emopain(root)


def test_movement_has_joints_muscles_and_labels(root: Path) -> None:
    movement = read_movement(root / "train" / "P113N.mat")
    assert movement.positions.shape == (4, 22, 3)
    assert movement.positions[0, 5].tolist() == [5, 27, 49]
    assert movement.emg[0].tolist() == [66, 67, 68, 69]
    assert movement.exercise.tolist() == [3, 3, 3, 3]
    assert movement.protective.tolist() == [True, False, False, False]


def test_bad_matrices_are_explained(tmp_path: Path) -> None:
    path = tmp_path / "P1N.mat"
    with pytest.raises(DatasetError, match=r"expected the file .*P1N\.mat, which is not there"):
        read_movement(path)
    path.write_bytes(b"no MATLAB file")
    with pytest.raises(DatasetError, match="expected a MATLAB file"):
        read_movement(path)
    savemat(path, {"other": matrix()})
    with pytest.raises(DatasetError, match="with a matrix named data"):
        read_movement(path)
    savemat(path, {"data": matrix()[:, :70]})
    with pytest.raises(DatasetError, match=r"at least 73 columns, found \(4, 70\)"):
        read_movement(path)
    data = matrix()
    data[1, 72] = 0.5
    savemat(path, {"data": data})
    with pytest.raises(DatasetError, match="column 73, protective behaviour, must hold 0 and 1 only"):
        read_movement(path)
