from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from perception.crop import landmark_box
from perception.face_features import (
    LEFT_EYE,
    RIGHT_EYE,
    Face,
    FaceFeatures,
    angle_between,
    eye_aspect_ratio,
    gaze,
    head_angles,
    still_features,
)
from sentry_proto.layout import FRAME_FEATURES

Matrix = NDArray[np.float64]


def about(axis: str, degrees: float) -> Matrix:
    """Right-handed rotation about x (right in the picture), y (up) or z (towards the camera)."""
    s, c = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return {
        "x": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[axis]


SHAPES = dict.fromkeys(
    [
        *[
            f"{name}{side}"
            for name in (
                *("browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut"),
                *("eyeLookUp", "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress"),
                *("mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer"),
            )
            for side in ("Left", "Right")
        ],
        *("browInnerUp", "cheekPuff", "jawForward", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker"),
        *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    ],
    0.0,
)


def make_face(rotation: Matrix | None = None, **shapes: float) -> Face:
    points = np.random.default_rng(1).uniform(100, 200, (478, 2)).astype(np.float32)
    return Face(points, SHAPES | shapes, np.eye(3) if rotation is None else rotation, landmark_box(points))


@pytest.mark.parametrize(
    ("axis", "turn", "expected"),
    [
        ("y", 30, (30, 0, 0)),  # the face's forward axis moves to the right of the picture: the participant's left
        ("y", -30, (-30, 0, 0)),
        ("x", -20, (0, 20, 0)),  # forward axis moves up
        ("z", 12, (0, 0, 12)),  # counter-clockwise in the picture
    ],
)
def test_signs_of_head_angles(axis: str, turn: float, expected: tuple[float, float, float]) -> None:
    assert head_angles(about(axis, turn)) == pytest.approx(expected, abs=1e-9)


@given(st.floats(-80, 80), st.floats(-80, 80), st.floats(-80, 80))
def test_head_angles_invert_their_composition(yaw: float, pitch: float, roll: float) -> None:
    rotation = about("y", yaw) @ about("x", -pitch) @ about("z", roll)
    assert head_angles(rotation) == pytest.approx((yaw, pitch, roll), abs=1e-6)


@given(st.floats(-80, 80), st.floats(-80, 80), st.sampled_from("xyz"))
def test_angle_between_rotations(first: float, second: float, axis: str) -> None:
    assert angle_between(about(axis, first), about(axis, second)) == pytest.approx(abs(first - second), abs=1e-4)


def test_eye_aspect_ratio_of_a_drawn_eye() -> None:
    eye = np.array([[0, 0], [10, 4], [20, 4], [30, 0], [20, -4], [10, -4]], np.float32)
    assert eye_aspect_ratio(eye) == pytest.approx(8 / 30)
    assert eye_aspect_ratio(np.zeros((6, 2), np.float32)) == 0


def test_gaze_signs() -> None:
    assert gaze(SHAPES | {"eyeLookOutLeft": 0.8, "eyeLookInRight": 0.6}) == pytest.approx((0.7, 0))
    assert gaze(SHAPES | {"eyeLookInLeft": 0.8, "eyeLookOutRight": 0.6}) == pytest.approx((-0.7, 0))
    assert gaze(SHAPES | {"eyeLookUpLeft": 0.4, "eyeLookUpRight": 0.2}) == pytest.approx((0, 0.3))


def test_every_face_feature_of_the_layout_is_filled() -> None:
    features = FaceFeatures()
    features.update(0.0, make_face())
    values = features.update(0.3, make_face())
    assert set(values) == {feature.name for feature in FRAME_FEATURES if feature.modality == "face"}
    assert np.isfinite(list(values.values())).all()


def test_left_and_right_are_averaged() -> None:
    values = still_features(make_face(mouthSmileLeft=0.8, mouthSmileRight=0.2, jawOpen=0.5))
    assert values["blendshape_mouthSmile"] == pytest.approx(0.5)
    assert values["blendshape_jawOpen"] == 0.5
    assert values["smile_asymmetry"] == pytest.approx(0.6)


def test_size_does_not_matter_but_for_face_size() -> None:
    small = make_face()
    large = Face(small.landmarks * 3, small.blendshapes, small.rotation, landmark_box(small.landmarks * 3))
    before, after = still_features(small), still_features(large)
    assert after.pop("face_size") == pytest.approx(3 * before.pop("face_size"))
    assert after == pytest.approx(before, rel=1e-4)


@given(st.floats(4, 60))
@settings(max_examples=40)
def test_head_speed_does_not_depend_on_the_frame_rate(rate: float) -> None:
    features = FaceFeatures()
    for i in range(int(2 * rate)):
        values = features.update(i / rate, make_face(about("y", 20 * i / rate)))
    assert values["head_speed"] == pytest.approx(20, rel=1e-3)


def test_head_speed_needs_a_past() -> None:
    features = FaceFeatures()
    assert "head_speed" not in features.update(0.0, make_face())
    features.update(0.3, make_face())
    features.clear()
    assert "head_speed" not in features.update(0.6, make_face())


def test_eyes_are_where_the_aspect_ratio_looks() -> None:
    assert len({*RIGHT_EYE, *LEFT_EYE}) == 12
