from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from perception.crop import (
    LEFT_EYE,
    MOST_LEAN,
    RIGHT_EYE,
    RISE,
    SIDE,
    Box,
    _turned,
    crop_face,
    crop_square,
    landmark_box,
    lean,
)
from sentry_proto.types import Float32

coordinate = st.floats(-300, 900)


def gradient(height: int = 240, width: int = 320) -> NDArray[np.uint8]:
    """Grey in all channels, one level per column up to 255."""
    row = np.minimum(np.arange(width), 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))


def face_in(box: Box) -> Float32:
    """Landmarks that fill a box, with eyes at the same height."""
    x, y = np.linspace(box.x0, box.x1, 478), np.linspace(box.y0, box.y1, 478)
    points = np.column_stack([x, y]).astype(np.float32)
    middle, height = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    points[list(RIGHT_EYE)] = (middle - (box.x1 - box.x0) / 4, height)
    points[list(LEFT_EYE)] = (middle + (box.x1 - box.x0) / 4, height)
    return points


def leaning(points: Float32, degrees: float, centre: tuple[float, float]) -> Float32:
    """The same landmarks, turned clockwise about a point of the picture."""
    matrix = cv2.getRotationMatrix2D(centre, -degrees, 1)
    turned: Float32 = (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    return turned


@given(coordinate, coordinate, st.floats(1, 500), st.floats(1, 500))
def test_the_square_follows_the_rule_wherever_the_face_is(x: float, y: float, w: float, h: float) -> None:
    box = Box(x, y, x + w, y + h)
    left, top, side = crop_square(box)
    assert side == pytest.approx(SIDE * max(w, h), abs=1.51)
    assert left + side / 2 == pytest.approx(x + w / 2, abs=1.51)
    assert top + side / 2 == pytest.approx(y + h / 2 - RISE * max(w, h), abs=1.51)


@given(coordinate, coordinate, st.floats(4, 500), st.floats(-180, 180))
def test_the_crop_is_a_square_of_the_faces_own_size(x: float, y: float, size: float, degrees: float) -> None:
    points = leaning(face_in(Box(x, y, x + 0.8 * size, y + size)), degrees, (x, y))
    crop = crop_face(gradient(), points)
    assert crop.shape == crop.shape[::-1]
    assert crop.dtype == np.uint8
    assert crop.shape[0] == pytest.approx(SIDE * size, rel=0.2, abs=1.51)  # what leans a little fills a larger box


@given(coordinate, coordinate, st.floats(4, 300))
def test_an_upright_face_is_cut_out_as_a_turn_by_nothing_would(x: float, y: float, size: float) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    points = face_in(Box(x, y, x + 0.8 * size, y + size))
    turned = cv2.cvtColor(_turned(picture, points, 0.0), cv2.COLOR_BGR2GRAY)
    np.testing.assert_array_equal(crop_face(picture, points), turned)


def test_of_an_upright_face_pixels_are_taken_as_they_are() -> None:
    box = Box(100, 100, 180, 180)
    left, _, side = crop_square(box)
    np.testing.assert_array_equal(crop_face(gradient(), face_in(box))[0], np.arange(left, left + side))


def test_beyond_the_edge_the_border_is_repeated() -> None:
    box = Box(-40, 100, 40, 180)
    crop = crop_face(gradient(), face_in(box))
    left = crop_square(box)[0]
    assert (crop[:, :-left] == 0).all()
    assert crop[0, -1] > 0


@pytest.mark.parametrize("degrees", [-170, -45, -5, 0, 19, 45, 90])
def test_lean_is_clockwise(degrees: float) -> None:
    upright = face_in(Box(100, 80, 180, 190))
    assert lean(leaning(upright, degrees, (140, 135))) == pytest.approx(degrees, abs=1e-3)


@pytest.mark.parametrize("degrees", [-90, -60, 30, 45])
def test_a_face_that_leans_far_looks_like_one_that_leans_a_little(degrees: float) -> None:
    generator = np.random.default_rng(0)
    noise = cv2.GaussianBlur(generator.integers(0, 256, (300, 300, 3), dtype=np.uint8), (0, 0), 4)
    picture = np.clip((noise.astype(float) - 128) * 6 + 128, 0, 255).astype(np.uint8)
    a_little = leaning(face_in(Box(110, 100, 190, 200)), np.copysign(MOST_LEAN, degrees), (150, 150))
    further = degrees - np.copysign(MOST_LEAN, degrees)
    turned = cv2.warpAffine(picture, cv2.getRotationMatrix2D((150, 150), -further, 1), (300, 300))
    expected = crop_face(picture, a_little).astype(float)
    found = crop_face(turned, leaning(a_little, further, (150, 150))).astype(float)
    assert found.shape == expected.shape
    not_turned = crop_face(turned, a_little)
    assert np.abs(found - expected).mean() < np.abs(not_turned - expected).mean() / 4


def test_landmark_box_is_tight() -> None:
    points = np.array([[3, 9], [5, 2], [4, 4]], np.float32)
    assert landmark_box(points) == (3, 2, 5, 9)
    assert landmark_box(points).side == 7
    assert landmark_box(points).area == 14
