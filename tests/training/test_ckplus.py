"""CK+ in its official layout, whole, half-copied and mislabelled."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sentry_proto.layout import EMOTIONS
from tests.training.images import write_image
from training.datasets.ckplus import load_ckplus
from training.datasets.layout import DatasetError


def write_sequence(root: Path, person: str, sequence: str, code: int | None, frames: int = 6) -> None:
    for index in range(1, frames + 1):
        name = f"{person}_{sequence}_{index:08}"
        write_image(root / "cohn-kanade-images" / person / sequence / f"{name}.png", 10 * index, size=(64, 49))
    folder = root / "Emotion" / person / sequence
    folder.mkdir(parents=True)  # unlabelled sequences have an empty folder
    if code is not None:
        (folder / f"{person}_{sequence}_{frames:08}_emotion.txt").write_text(f"   {code:.7e}\n")


def write_landmarks(root: Path) -> None:
    points = "\n".join(f"   {20 + i % 20:.7e}   {10 + i // 3:.7e}" for i in range(68))
    for frame in (root / "cohn-kanade-images").glob("*/*/*.png"):
        path = root / "Landmarks" / frame.parent.parent.name / frame.parent.name / f"{frame.stem}_landmarks.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(points)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for index in range(10):
        write_sequence(tmp_path, f"S{index:03}", "001", code=index % 7 + 1)
    write_sequence(tmp_path, "S000", "002", code=None)
    write_sequence(tmp_path, "S000", "003", code=5)
    (tmp_path / "Emotion" / ".DS_Store").touch()
    return tmp_path


def test_first_frame_is_neutral_and_the_last_show_the_emotion(root: Path) -> None:
    faces = load_ckplus(root)
    of_first = [face for face in faces.faces if face.path.parent == root / "cohn-kanade-images/S000/001"]
    assert [(EMOTIONS[face.label], face.path.name[-5]) for face in of_first] == [
        *(("neutral", "1"), ("angry", "4"), ("angry", "5"), ("angry", "6"))
    ]
    assert not any(face.path.parent.name == "002" for face in faces.faces)
    assert {EMOTIONS[face.label] for face in faces.faces} == set(EMOTIONS)
    assert faces.excluded == {"contempt": 6}
    assert of_first[0].image().shape == (49, 64)


def test_people_stay_on_one_side(root: Path) -> None:
    faces = load_ckplus(root, apex_frames=1)
    parts = {(face.person, face.part) for face in faces.faces}
    assert len(parts) == 10
    assert len({person for person, _ in parts}) == 10
    assert {part for _, part in parts} == {"train", "val", "test"}


def test_faces_are_cut_out_where_there_are_landmarks(root: Path) -> None:
    write_landmarks(root)
    image = load_ckplus(root).faces[0].image()
    assert image.shape == (24, 24)  # 1.1 times the longer side of the box around the points, 19 by 22 pixels
    (root / "Landmarks/S003/001/S003_001_00000005_landmarks.txt").write_text("1 2\n3 4\n")
    with pytest.raises(
        DatasetError, match=r"S003_001_00000005_landmarks\.txt: expected 68 lines with x and y, found 2"
    ):
        load_ckplus(root)
    (root / "Landmarks/S003/001/S003_001_00000005_landmarks.txt").unlink()
    with pytest.raises(DatasetError, match=r"half-copied: .*expected .*S003_001_00000005_landmarks\.txt"):
        load_ckplus(root)


def test_half_copied_data_is_explained(root: Path) -> None:
    (root / "cohn-kanade-images/S004/001/S004_001_00000006.png").unlink()
    with pytest.raises(DatasetError, match=r"half-copied: .*expected .*S004_001_00000006\.png"):
        load_ckplus(root)
    for index in range(1, 6):
        (root / f"cohn-kanade-images/S004/001/S004_001_0000000{index}.png").unlink()
    write_image(root / "cohn-kanade-images/S004/001/S004_001_00000006.png")
    with pytest.raises(DatasetError, match=r"expected more than 3 frames in .*S004.001, .*found 1"):
        load_ckplus(root)
    shutil.rmtree(root / "cohn-kanade-images")
    with pytest.raises(DatasetError, match=r"expected the folder .*cohn-kanade-images, which is not there"):
        load_ckplus(root)


def test_missing_or_bad_labels_are_explained(root: Path) -> None:
    (root / "Emotion/S001/001/S001_001_00000006_emotion.txt").write_text("8.0")
    with pytest.raises(DatasetError, match=r"S001_001_00000006_emotion\.txt, label of .* from 0 to 7, not '8\.0'"):
        load_ckplus(root)
    shutil.rmtree(root / "Emotion")
    (root / "Emotion").mkdir()
    with pytest.raises(DatasetError, match=r"expected files such as .*_emotion\.txt"):
        load_ckplus(root)
