"""DAIC-WOZ in its official layout, whole, half-copied, mislabelled, and with a participant in two parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.datasets.daicwoz import CLNF_FILES, load_daicwoz, read_track
from training.datasets.layout import DatasetError

TRAIN = "train_split_Depression_AVEC2017.csv"
DEV = "dev_split_Depression_AVEC2017.csv"
TEST = "test_split_Depression_AVEC2017.csv"
HEADER = "Participant_ID,PHQ8_Binary,PHQ8_Score,Gender,PHQ8_NoInterest"
AUS = """frame, timestamp, confidence, success, AU12_r, AU45_c
1, 0, 0.98, 1, 0.5, 0
2, 0.033, 0.1, 0, -1.#IND, 1
"""


def write_participant(root: Path, person: int) -> None:
    folder = root / f"{person}_P"
    folder.mkdir(exist_ok=True)
    for end in (*CLNF_FILES, "TRANSCRIPT.csv"):
        (folder / f"{person}_{end}").write_text(AUS)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / TRAIN).write_text(f"{HEADER}\n303,0,0,0,0\n409,0,10,1,1\n")
    (tmp_path / DEV).write_text(f"{HEADER}\n302,0,4,1,1\n")
    (tmp_path / TEST).write_text("participant_ID,Gender\n300,1\n")
    for person in (300, 302, 303, 409):
        write_participant(tmp_path, person)
    return tmp_path


def test_the_official_split(root: Path) -> None:
    data = load_daicwoz(root)
    assert data.summary() == "DAIC-WOZ: 2 train of 2 people, 1 val of 1 people, 1 test of 1 people"
    assert [session.name for session in data.sessions] == ["303", "409", "302", "300"]
    assert data.part("test").sessions[0].scores == {}
    assert data.sessions[0].scores == {"phq8": 0, "depressed": 0}
    assert data.sessions[1].scores == {"phq8": 10, "depressed": 1}  # the score decides, whatever PHQ8_Binary says
    assert data.sessions[0].files["CLNF_gaze.txt"] == root / "303_P" / "303_CLNF_gaze.txt"


def test_scores_of_the_test_part_are_read_where_they_are(root: Path) -> None:
    (root / "full_test_split.csv").write_text("Participant_ID,PHQ_Binary,PHQ_Score,Gender\n300,0,2,1\n")
    assert load_daicwoz(root).part("test").sessions[0].scores == {"phq8": 2, "depressed": 0}


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        (TRAIN, rf"expected the file .*{TRAIN}, which is not there"),
        (TEST, r"expected the file .*test_split.*\.csv, which is not there"),
        ("302_P", r"half-copied: 4 of 16 files are missing; expected .*302_P.302_CLNF_AUs\.txt"),
        ("302_P/302_CLNF_gaze.txt", r"half-copied: 1 of 16 files are missing; expected .*302_CLNF_gaze\.txt"),
    ],
)
def test_half_copied_data_is_explained(missing: str, reason: str, root: Path) -> None:
    (root / missing).rename(root / "elsewhere")
    with pytest.raises(DatasetError, match=reason):
        load_daicwoz(root)


def test_only_what_is_needed_must_be_there(root: Path) -> None:
    (root / "302_P" / "302_CLNF_gaze.txt").unlink()
    assert load_daicwoz(root, needed=["TRANSCRIPT.csv"]).sessions[2].files == {
        "TRANSCRIPT.csv": root / "302_P" / "302_TRANSCRIPT.csv"
    }


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("302,0,25,1,1", r"line 2, PHQ8_Score: expected a whole number from 0 to 24, not '25'"),
        ("302,2,5,1,1", "line 2, PHQ8_Binary: expected a whole number from 0 to 1"),
        ("302,0,,1,1", "line 2, PHQ8_Score"),
        ("P302,0,4,1,1", "line 2, Participant_ID: expected a whole number"),
        ("303,0,4,1,1", r"1 people are in more than one part of the split \(303 in train and val\)"),
    ],
)
def test_bad_rows_are_explained(row: str, reason: str, root: Path) -> None:
    (root / DEV).write_text(f"{HEADER}\n{row}\n")
    with pytest.raises(DatasetError, match=reason):
        load_daicwoz(root)


def test_tracks_say_where_the_face_was_lost(root: Path) -> None:
    track = read_track(root / "300_P" / "300_CLNF_AUs.txt")
    assert track.times.tolist() == [0, 0.033]
    assert track.tracked.tolist() == [True, False]
    assert track.names == ("AU12_r", "AU45_c")
    assert track.values.dtype == np.float32
    assert track.values[0].tolist() == [0.5, 0]
    assert np.isnan(track.values[1, 0])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("frame, timestamp, confidence, x0\n1, 0, 1, 2\n", "missing success"),
        ("frame, confidence, success\n1, 1, 1\n", "missing timestamp"),
        (AUS.replace("0.033", "-1"), "timestamp must hold seconds that never fall"),
        (AUS.replace("0.033", "?"), "timestamp must hold seconds that never fall"),
    ],
)
def test_bad_tracks_are_explained(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "300_CLNF_AUs.txt").write_text(text)
    with pytest.raises(DatasetError, match=rf"300_CLNF_AUs\.txt: .*{reason}"):
        read_track(tmp_path / "300_CLNF_AUs.txt")
