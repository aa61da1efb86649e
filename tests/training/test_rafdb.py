"""RAF-DB in its official layout, whole, half-copied and mislabelled."""

from __future__ import annotations

from pathlib import Path

import pytest

from sentry_proto.layout import EMOTIONS
from tests.training.images import write_image
from training.datasets.layout import DatasetError
from training.datasets.rafdb import load_rafdb

LABELS = Path("basic/EmoLabel/list_patition_label.txt")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    names = [*(f"train_0000{code}" for code in range(1, 8)), "test_0001"]
    lines = [f"{name}.jpg {code}" for name, code in zip(names, [*range(1, 8), 4], strict=True)]
    (tmp_path / LABELS).parent.mkdir(parents=True)
    (tmp_path / LABELS).write_text("\n".join([*lines, ""]))
    for name in names:
        write_image(tmp_path / "basic/Image/aligned" / f"{name}_aligned.jpg", size=(100, 100))
    return tmp_path


def test_the_official_layout(root: Path) -> None:
    for folder in (root, root / "basic"):
        faces = load_rafdb(folder)
        assert [EMOTIONS[label] for label in faces.part("train").labels] == [
            *("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
        ]
        assert [EMOTIONS[label] for label in faces.part("test").labels] == ["happy"]
        assert faces.summary() == "RAF-DB: 7 train, 1 test"
        assert faces.faces[0].image().shape == (100, 100)


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("basic/EmoLabel/list_patition_label.txt", r"expected the file .*list_patition_label\.txt"),
        ("basic/Image/aligned", r"expected the folder .*aligned, which is not there"),
        (
            "basic/Image/aligned/test_0001_aligned.jpg",
            r"half-copied: 1 of 8 files are missing; expected .*test_0001_al",
        ),
    ],
)
def test_half_copied_data_is_explained(missing: str, reason: str, root: Path) -> None:
    (root / missing).rename(root / "elsewhere")
    with pytest.raises(DatasetError, match=reason):
        load_rafdb(root)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "train_00001.jpg 8",
            r"line 1, label of train_00001_aligned\.jpg: expected a whole number from 1 to 7, not '8'",
        ),
        ("train_00001.jpg", "line 1: expected a name such as"),
        ("image.jpg 3", "line 1: expected a name such as"),
    ],
)
def test_bad_labels_are_explained(line: str, reason: str, root: Path) -> None:
    (root / LABELS).write_text(f"{line}\n")
    with pytest.raises(DatasetError, match=reason):
        load_rafdb(root)
