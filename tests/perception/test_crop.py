from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.crop import RISE, SIDE, Box, crop_face, crop_square, landmark_box

coordinate = st.floats(-300, 900)


def gradient(height: int = 240, width: int = 320) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Grey in all channels, one level per column up to 255."""
    row = np.minimum(np.arange(width), 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))


@given(coordinate, coordinate, st.floats(1, 500), st.floats(1, 500))
def test_crop_is_square_and_follows_the_rule_wherever_the_face_is(x: float, y: float, w: float, h: float) -> None:
    box = Box(x, y, x + w, y + h)
    crop = crop_face(gradient(), box)
    left, top, side = crop_square(box)
    assert crop.shape == (side, side)
    assert crop.dtype == np.uint8
    assert side == pytest.approx(SIDE * max(w, h), abs=1.51)
    assert left + side / 2 == pytest.approx(x + w / 2, abs=1.51)
    assert top + side / 2 == pytest.approx(y + h / 2 - RISE * max(w, h), abs=1.51)


def test_inside_the_picture_pixels_are_taken_as_they_are() -> None:
    left, _, side = crop_square(Box(100, 100, 180, 180))
    crop = crop_face(gradient(), Box(100, 100, 180, 180))
    np.testing.assert_array_equal(crop[0], np.arange(left, left + side))


def test_beyond_the_edge_the_border_is_repeated() -> None:
    crop = crop_face(gradient(), Box(-40, 100, 40, 180))
    left = crop_square(Box(-40, 100, 40, 180))[0]
    assert (crop[:, :-left] == 0).all()
    assert crop[0, -1] > 0


def test_landmark_box_is_tight() -> None:
    points = np.array([[3, 9], [5, 2], [4, 4]], np.float32)
    assert landmark_box(points) == (3, 2, 5, 9)
    assert landmark_box(points).side == 7
    assert landmark_box(points).area == 14
