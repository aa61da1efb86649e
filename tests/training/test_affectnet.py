"""AffectNet in both layouts, whole, half-copied and mislabelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sentry_proto.layout import EMOTIONS
from tests.training.images import write_image
from training.datasets.affectnet import load_affectnet
from training.datasets.layout import DatasetError

HEADER = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"


def annotate(folder: Path, name: str, expression: str, valence: str = "0.5", arousal: str = "-0.25") -> None:
    write_image(folder / "images" / f"{name}.jpg")
    (folder / "annotations").mkdir(exist_ok=True)
    for end, value in (("exp", expression), ("val", valence), ("aro", arousal)):
        np.save(folder / "annotations" / f"{name}_{end}.npy", np.array(value))  # kept as text in the data set


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    for index, expression in enumerate("01234567"):
        annotate(tmp_path / "train_set", str(index), expression)
    annotate(tmp_path / "train_set", "10", "1", valence="-2", arousal="-2")
    annotate(tmp_path / "val_set", "0", "6")
    return tmp_path


def test_the_layout_of_one_file_a_value(sets: Path) -> None:
    faces = load_affectnet(sets)
    assert [EMOTIONS[label] for label in faces.part("train").labels] == [
        *("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry"),
        "happy",
    ]
    assert faces.summary() == "AffectNet: 8 train, 1 val; left out: 1 contempt"
    assert faces.affect[0].tolist() == [0.5, -0.25]
    assert np.isnan(faces.affect[7]).all()
    assert faces.part("val").faces[0].path == sets / "val_set" / "images" / "0.jpg"


@pytest.mark.parametrize("missing", ["images/3.jpg", "annotations/3_exp.npy", "annotations/3_val.npy"])
def test_half_copied_sets_name_the_file(missing: str, sets: Path) -> None:
    (sets / "train_set" / missing).unlink()
    with pytest.raises(
        DatasetError, match=rf"train_set\) is half-copied: 1 of 36 files are missing; expected .*{missing}"
    ):
        load_affectnet(sets)


@pytest.mark.parametrize("missing", ["val_set", "val_set/annotations"])
def test_missing_folders_are_named(missing: str, sets: Path) -> None:
    (sets / missing).rename(sets / "elsewhere")
    with pytest.raises(DatasetError, match=rf"expected the folder .*{missing}.*, which is not there"):
        load_affectnet(sets)


def test_bad_annotations_are_explained(sets: Path) -> None:
    annotate(sets / "val_set", "0", "11")
    with pytest.raises(
        DatasetError, match=r"0_exp\.npy, label of 0\.jpg: expected a whole number from 0 to 10, not '11'"
    ):
        load_affectnet(sets)
    annotate(sets / "val_set", "0", "1", valence="1.5")
    with pytest.raises(DatasetError, match=r"0, valence: expected a number from -2 to 1, not '1\.5'"):
        load_affectnet(sets)
    (sets / "val_set" / "annotations" / "0_val.npy").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"0_val\.npy: expected one value in NumPy's format"):
        load_affectnet(sets)


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    folder = tmp_path / "Manually_Annotated_file_lists"
    folder.mkdir()
    training = [
        "1/a.jpg,2,3,10,11,1;2;3,1,0.5,-0.25",
        "1/b.jpg,0,0,5,5,1;2,7,0.1,0.1",
        "2/c.jpg,NULL,NULL,NULL,NULL,,10,-2,-2",
        "2/d.jpg,NULL,NULL,NULL,NULL,,3,-2,-2",
    ]
    (folder / "training.csv").write_text("\n".join([HEADER, *training]))
    (folder / "validation.csv").write_text("2/e.jpg,0,0,5,5,1;2,0,0,0\n")
    for name in ("1/a", "1/b", "2/c", "2/d", "2/e"):
        write_image(tmp_path / "Manually_Annotated_Images" / f"{name}.jpg")
    return tmp_path


def test_the_layout_of_lists(lists: Path) -> None:
    faces = load_affectnet(lists)
    assert [EMOTIONS[label] for label in faces.labels] == ["happy", "surprise", "neutral"]
    assert faces.excluded == {"contempt": 1, "no face": 1}
    assert faces.faces[0].box == (2, 3, 12, 14)
    assert faces.faces[0].image().shape == (11, 10)
    assert faces.faces[1].box is None
    assert np.isnan(faces.affect[1]).all()
    assert [face.part for face in faces.faces] == ["train", "train", "val"]


def test_half_copied_lists_are_explained(lists: Path) -> None:
    (lists / "Manually_Annotated_Images" / "1" / "b.jpg").unlink()
    with pytest.raises(DatasetError, match=r"training\.csv\) is half-copied: 1 of 4 .*1/b\.jpg"):
        load_affectnet(lists)
    write_image(lists / "Manually_Annotated_Images" / "1" / "b.jpg")
    (lists / "Manually_Annotated_file_lists" / "validation.csv").unlink()
    with pytest.raises(DatasetError, match=r"expected the file .*validation\.csv, which is not there"):
        load_affectnet(lists)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2/e.jpg,0,0,5,5,1;2,12,0,0", r"image 1, label of e\.jpg: expected a whole number from 0 to 10, not '12'"),
        ("2/e.jpg,0,0,wide,5,1;2,1,0,0", r"image 1, face_width: expected a number"),
        ("2/e.jpg,0,0", "expected a csv file with the columns"),
    ],
)
def test_bad_lines_of_lists_are_explained(line: str, reason: str, lists: Path) -> None:
    (lists / "Manually_Annotated_file_lists" / "validation.csv").write_text(f"{line}\n")
    with pytest.raises(DatasetError, match=reason):
        load_affectnet(lists)


def test_an_empty_folder_is_told_both_layouts(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"expected .*train_set, or in the older form .*training\.csv; neither is there"
    ):
        load_affectnet(tmp_path)
