from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from perception.pictures import MOST_SIDE, ImageFolder, as_bgr, fitted
from sentry_proto.errors import MediaError

RANDOM = np.random.default_rng(0)
PICTURE = RANDOM.integers(0, 256, (20, 30, 3), np.uint8)


@pytest.mark.parametrize(
    "image",
    [
        PICTURE[:, :, 0],
        PICTURE[:, :, :1],
        PICTURE,
        np.dstack([PICTURE, PICTURE[:, :, 0]]),
        PICTURE.astype(np.uint16) << 8,
    ],
    ids=["grey", "one channel", "BGR", "alpha", "16 bit"],
)
def test_every_kind_of_picture_becomes_bgr(image: Any) -> None:
    bgr = as_bgr(image)
    assert bgr is not None
    assert bgr.shape == (20, 30, 3)
    assert bgr.dtype == np.uint8
    np.testing.assert_array_equal(bgr[:, :, 0], PICTURE[:, :, 0])


@pytest.mark.parametrize(
    "image",
    [
        None,
        "x",
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros(5, np.uint8),
    ],
)
def test_what_is_no_picture_is_none(image: Any) -> None:
    assert as_bgr(image) is None


@pytest.mark.parametrize(
    ("shape", "expected"), [((4320, 7680), (1080, 1920)), ((480, 640), (480, 640)), ((5000, 10), (1920, 4))]
)
def test_large_pictures_become_smaller(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    image = np.zeros((*shape, 3), np.uint8)
    assert fitted(image).shape[:2] == expected
    assert max(expected) <= MOST_SIDE


def test_a_folder_of_pictures_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        cv2.imwrite(str(tmp_path / f"shot{number}.png"), np.full((20 + number, 30), number, np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    with ImageFolder(tmp_path, 5) as folder:
        shots = list(folder)
    assert [int(image[0, 0, 0]) for image, _ in shots if image is not None] == [1, 2, 10]
    assert [t for _, t in shots] == pytest.approx([0, 0.2, 0.4])


def test_a_picture_that_cannot_be_used_costs_only_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number, shape in enumerate([(20, 30), (1, 1), (20, 30), (2500, 17)]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full(shape, 9, np.uint8))
    (tmp_path / "4.png").write_bytes(b"\x89PNG but no more")
    shots = list(ImageFolder(tmp_path, 5))
    assert [image is None for image, _ in shots] == [False, True, False, True, True]
    assert [t for _, t in shots] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert "3 of 5 pictures" in caplog.text
    assert "1.png, 3.png, 4.png" in caplog.text


def test_a_folder_without_a_usable_picture_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="holds no picture"):
        ImageFolder(tmp_path, 5)
    (tmp_path / "a.png").write_bytes(b"\x89PNG but no more")
    with pytest.raises(MediaError, match=r"1 of 1 pictures .* cannot be decoded.*a.png"):
        list(ImageFolder(tmp_path, 5))
