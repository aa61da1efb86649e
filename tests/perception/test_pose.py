from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.crop import Box
from perception.pose import (
    LEFT_EAR,
    LEFT_SHOULDER,
    LEFT_WRIST,
    NOSE,
    RIGHT_EAR,
    RIGHT_SHOULDER,
    RIGHT_WRIST,
    PoseFeatures,
    belongs_to,
    still_features,
)
from sentry_proto.layout import FRAME_FEATURES
from sentry_proto.types import Float32

WIDTH = 640


def upright() -> Float32:
    """A person who faces the camera: shoulders 100 px wide at y 300, ears 60 px above them, hands in the lap."""
    body = np.zeros((33, 4), np.float32)
    body[:, 3] = 1
    for landmark, x, y, depth in (
        (NOSE, 300, 245, -60),
        (LEFT_EAR, 325, 240, -20),
        (RIGHT_EAR, 275, 240, -20),
        (LEFT_SHOULDER, 350, 300, 0),
        (RIGHT_SHOULDER, 250, 300, 0),
        (LEFT_WRIST, 330, 445, 0),
        (RIGHT_WRIST, 280, 445, 0),
    ):
        body[landmark, :3] = x, y, depth
    return body


def test_upright_person() -> None:
    features = still_features(upright(), WIDTH)
    assert features["shoulder_tilt"] == 0
    assert features["forward_lean"] == pytest.approx(0.6)
    assert features["slouch"] == pytest.approx(0.4)
    assert features["head_drop"] == pytest.approx(0.05)
    assert features["head_offset"] == 0
    assert features["openness"] == pytest.approx(0.25)
    assert features["hand_face_distance"] == pytest.approx(np.hypot(0.2, 2.0))


@pytest.mark.parametrize(
    ("feature", "landmark", "shift"),
    [
        ("shoulder_tilt", LEFT_SHOULDER, (0, -20, 0)),
        ("forward_lean", NOSE, (0, 0, -30)),
        ("slouch", LEFT_EAR, (0, 30, 0)),
        ("head_drop", NOSE, (0, 20, 0)),
        ("head_offset", LEFT_EAR, (20, 0, 0)),
        ("openness", LEFT_WRIST, (60, 0, 0)),
        ("hand_face_distance", LEFT_WRIST, (0, 40, 0)),
    ],
)
def test_direction_of_each_feature(feature: str, landmark: int, shift: tuple[float, float, float]) -> None:
    body = upright()
    body[landmark, :3] += shift
    if feature == "hand_face_distance":
        body[RIGHT_WRIST, 1] = 600
    assert still_features(body, WIDTH)[feature] > still_features(upright(), WIDTH)[feature]


@given(st.floats(0.5, 2), st.floats(-50, 50))
def test_distance_and_place_do_not_matter(scale: float, shift: float) -> None:
    body = upright()
    body[:, :3] *= scale
    body[:, :2] += shift
    assert still_features(body, WIDTH) == pytest.approx(still_features(upright(), WIDTH), abs=1e-3)


@pytest.mark.parametrize("hidden", [NOSE, LEFT_EAR, RIGHT_SHOULDER])
def test_hidden_trunk_is_no_data(hidden: int) -> None:
    body = upright()
    body[hidden, 3] = 0.2
    assert still_features(body, WIDTH) == {}


def test_turned_back_and_sideways_are_no_data() -> None:
    turned = upright()
    turned[[LEFT_SHOULDER, RIGHT_SHOULDER]] = turned[[RIGHT_SHOULDER, LEFT_SHOULDER]]
    assert still_features(turned, WIDTH) == {}
    sideways = upright()
    sideways[LEFT_SHOULDER, 0] = 251
    assert still_features(sideways, WIDTH) == {}


def test_hidden_hands_leave_the_posture() -> None:
    body = upright()
    body[[LEFT_WRIST, RIGHT_WRIST], 3] = 0.1
    features = still_features(body, WIDTH)
    assert "shoulder_tilt" in features
    assert not {"hand_face_distance", "openness"} & set(features)


def test_every_pose_and_hand_feature_of_the_layout_is_filled() -> None:
    features = PoseFeatures()
    features.update(0.0, upright(), WIDTH)
    names = {feature.name for feature in FRAME_FEATURES if feature.modality in ("pose", "hands")}
    assert set(features.update(0.3, upright(), WIDTH)) == names


@given(st.floats(4, 60))
@settings(max_examples=40)
def test_movement_energy_does_not_depend_on_the_frame_rate(rate: float) -> None:
    features = PoseFeatures()
    for i in range(int(2 * rate)):
        body = upright()
        body[:, 0] += 50 * i / rate
        values = features.update(i / rate, body, WIDTH)
    assert values["movement_energy"] == pytest.approx(0.5, rel=1e-3)


def test_a_hand_that_appears_has_not_moved() -> None:
    features = PoseFeatures()
    hidden = upright()
    hidden[[LEFT_WRIST, RIGHT_WRIST], :2] = 0
    hidden[[LEFT_WRIST, RIGHT_WRIST], 3] = 0
    features.update(0.0, hidden, WIDTH)
    assert features.update(0.3, upright(), WIDTH)["movement_energy"] == 0


def test_body_belongs_to_the_face_it_carries() -> None:
    assert belongs_to(upright(), Box(270, 200, 330, 280))
    assert not belongs_to(upright(), Box(470, 200, 530, 280))
