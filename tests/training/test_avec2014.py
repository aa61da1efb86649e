"""AVEC 2014 in its two layouts, whole, half-copied, mislabelled, and with a person in two parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.datasets.avec2014 import load_avec2014
from training.datasets.layout import DatasetError

PARTS = {"Training": ("203_1", "203_2", "205_1"), "Development": ("210_1",), "Testing": ("220_1",)}
OFFICIAL = "AVEC2014_AudioVisual/Video"
FLAT = {"Training": "train", "Development": "dev", "Testing": "test"}


def write_videos(root: Path, folder: str, names: tuple[str, ...]) -> None:
    for task in ("Freeform", "Northwind"):
        (root / folder / task).mkdir(parents=True, exist_ok=True)
        (root / folder / task / ".DS_Store").touch()
        for name in names:
            (root / folder / task / f"{name}_{task}_video.mp4").touch()


def write_scores(root: Path, folder: str, names: tuple[str, ...], score: str = "17") -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name in names:
        (root / folder / f"{name}_Depression.csv").write_text(score)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for part, names in PARTS.items():
        write_videos(tmp_path, f"{OFFICIAL}/{part}", names)
    for part in ("Training", "Development"):
        write_scores(tmp_path, f"Final_Labels/{part}_DepressionLabels", PARTS[part])
    return tmp_path


def test_the_official_layout_without_and_with_the_labels_of_testing(root: Path) -> None:
    data = load_avec2014(root)
    assert data.summary() == "AVEC 2014: 3 train of 2 people, 1 val of 1 people, 1 test of 1 people"
    first = data.sessions[0]
    assert (first.name, first.person, first.scores) == ("203_1", "203", {"bdi2": 17.0})
    assert first.files["Northwind"] == root / OFFICIAL / "Training/Northwind/203_1_Northwind_video.mp4"
    assert data.part("test").sessions[0].scores == {}
    write_scores(root, "AVEC2014_Labels_Testset/Testing/DepressionLabels", PARTS["Testing"], "63\n")
    assert load_avec2014(root).part("test").sessions[0].scores == {"bdi2": 63.0}


def test_the_flat_layout(tmp_path: Path) -> None:
    for part, names in PARTS.items():
        write_videos(tmp_path, FLAT[part], names)
        write_scores(tmp_path, "label/DepressionLabels", names)
    assert [session.part for session in load_avec2014(tmp_path).sessions] == ["train"] * 3 + ["val", "test"]


def test_a_person_in_two_official_parts_is_refused_and_split_anew(root: Path) -> None:
    write_videos(root, f"{OFFICIAL}/Development", ("203_3",))
    write_scores(root, "Final_Labels/Development_DepressionLabels", ("203_3",))
    with pytest.raises(DatasetError, match=r"AVEC 2014: 1 people are in more than one part .*\(203 in train and val\)"):
        load_avec2014(root)
    anew = load_avec2014(root, split="person")
    assert len({session.part for session in anew.sessions if session.person == "203"}) == 1
    assert len(anew) == 5  # the recording of Testing has no score


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        (f"{OFFICIAL}/Training/Northwind/203_2_Northwind_video.mp4", r"half-copied: .*203_2_Northwind_video\.mp4"),
        (f"{OFFICIAL}/Training/Freeform/203_2_Freeform_video.mp4", r"half-copied: .*203_2_Freeform_video\.mp4"),
        (f"{OFFICIAL}/Testing/Freeform", r"expected the folder .*Testing.Freeform"),
        (f"{OFFICIAL}/Testing", r"expected the folder .*Testing"),
        (OFFICIAL, r"expected the folder .*AVEC2014_AudioVisual/Video/Training or .*train; none is there"),
        (
            "Final_Labels/Training_DepressionLabels/205_1_Depression.csv",
            r"1 of 3 recordings in .*Training have no score; expected 205_1_Depression\.csv below",
        ),
    ],
)
def test_half_copied_data_is_explained(missing: str, reason: str, root: Path) -> None:
    (root / missing).rename(root / "elsewhere")
    with pytest.raises(DatasetError, match=reason):
        load_avec2014(root)


def test_labels_of_testing_are_all_there_or_withheld(root: Path) -> None:
    write_videos(root, f"{OFFICIAL}/Testing", ("221_1",))
    write_scores(root, "more", ("220_1",))
    with pytest.raises(DatasetError, match=r"expected 221_1_Depression\.csv"):
        load_avec2014(root)


@pytest.mark.parametrize("score", ["64", "-1", "1.5", "", "high"])
def test_scores_outside_the_scale_are_explained(score: str, root: Path) -> None:
    write_scores(root, "Final_Labels/Training_DepressionLabels", ("203_1",), score)
    with pytest.raises(DatasetError, match=r"203_1_Depression\.csv, BDI-II: expected a whole number from 0 to 63"):
        load_avec2014(root)


def test_other_names_of_videos_are_explained(root: Path) -> None:
    (root / OFFICIAL / "Training/Freeform/203_1_Northwind_video.mp4").touch()
    with pytest.raises(DatasetError, match=r"expected a name such as 203_1_Freeform_video\.mp4"):
        load_avec2014(root)
