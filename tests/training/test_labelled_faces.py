"""A labelled face set: lazy, counted, and clear about files that are no images."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sentry_proto.layout import EMOTIONS
from tests.training.images import write_image
from training.datasets.labelled_faces import FaceCollector, LabelledFaces
from training.datasets.layout import DatasetError

CODES = {1: "happy", 2: "sad", 3: "contempt"}


def collected(folder: Path, *rows: tuple[object, str, str]) -> LabelledFaces:
    """From (code, part, person), each with an image of its own brightness."""
    found = FaceCollector("Set", CODES)
    for index, (code, part, person) in enumerate(rows):
        found.add("labels.txt", code, write_image(folder / f"{index}.png", 10 * index), part, person)
    return found.finish()


def test_labels_parts_and_what_was_left_out(tmp_path: Path) -> None:
    faces = collected(tmp_path, ("1", "train", "a"), (2.0, "test", "b"), (3, "test", "c"))
    assert [EMOTIONS[label] for label in faces.labels] == ["happy", "sad"]
    assert faces.summary() == "Set: 1 train, 1 test; left out: 1 contempt"
    assert faces.part("test").labels.tolist() == [EMOTIONS.index("sad")]
    assert np.isnan(faces.affect).all()
    assert faces.affect.shape == (2, 2)
    with pytest.raises(DatasetError, match="Set has no part val; parts found: test, train"):
        faces.part("val")


def test_images_are_read_when_asked_for(tmp_path: Path) -> None:
    faces = collected(tmp_path, *[(1, "train", "a")] * 5)
    (tmp_path / "4.png").write_bytes(b"cut short")
    batches = faces.batches(2, side=8)
    first, labels = next(batches)
    assert first.shape == (2, 8, 8)
    assert first.dtype == np.uint8
    assert labels.dtype == np.int64
    assert [int(image.max()) for image in first] == [0, 10]
    assert next(batches)[0].min() == 20
    with pytest.raises(DatasetError, match=r"4\.png: not a readable image"):
        next(batches)


def test_boxes_cut_the_face_out_and_reach_over_the_edge(tmp_path: Path) -> None:
    image = np.arange(200, dtype=np.uint8).reshape(10, 20)
    Image.fromarray(image).save(tmp_path / "a.png")
    found = FaceCollector("Set", CODES)
    found.add("", 1, tmp_path / "a.png", "train", box=(2, 3, 6, 9), affect=(0.5, -0.25))
    found.add("", 1, tmp_path / "a.png", "train", box=(-1, -1, 2, 2))
    found.add("", 1, tmp_path / "a.png", "train")
    faces = found.finish()
    assert np.array_equal(faces.faces[0].image(), image[3:9, 2:6])
    assert faces.faces[1].image().tolist() == [[0, 0, 0], [0, 0, 1], [0, 20, 21]]
    assert np.array_equal(faces.faces[2].image(), image)
    assert faces.affect[0].tolist() == [0.5, -0.25]
    assert math.isnan(faces.affect[1, 0])


@pytest.mark.parametrize("code", ["happy", 1.5, 4, math.nan])
def test_unknown_codes_name_file_and_image(code: object, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"labels\.txt, label of 0\.png: expected a whole number from 1 to 3"):
        collected(tmp_path, (code, "train", "a"))


def test_nothing_to_learn_from_and_shared_people_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="Set: no face with one of the classes angry"):
        collected(tmp_path, (3, "train", "a"))
    with pytest.raises(DatasetError, match="a in test and train"):
        collected(tmp_path, (1, "train", "a"), (1, "test", "a"))
