from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from perception.chain import HIGH, LOW, FrameResult, Perception, frame_vector
from sentry_proto.errors import InputError
from sentry_proto.layout import FRAME_FEATURES, FRAME_INDEX, N_FRAME
from sentry_proto.types import CameraState, Float32
from tests.perception.stages import OneBody, OneFace, stand_in

Image = NDArray[np.uint8]


def noise(seed: int, mean: int = 120) -> Image:
    values = np.random.default_rng(seed).normal(mean, 3, (480, 640, 3))
    return np.clip(values, 0, 255).astype(np.uint8)


def of(values: Float32, *modalities: str) -> Float32:
    return np.array([values[FRAME_INDEX[f.name]] for f in FRAME_FEATURES if f.modality in modalities])


def no_person(result: FrameResult) -> bool:
    return bool(np.isnan(of(result.values, "face", "emotion", "pose", "hands")).all()) and result.box is None


def test_after_a_moment_every_value_of_the_layout_is_there() -> None:
    chain = stand_in()
    chain.process(noise(0), 10.0)
    result = chain.process(noise(1), 10.3)
    assert result.values.shape == (N_FRAME,)
    assert result.values.dtype == np.float32
    assert [f.name for f in FRAME_FEATURES if np.isnan(result.values[FRAME_INDEX[f.name]])] == []
    assert (result.values >= LOW).all()
    assert (result.values <= HIGH).all()
    assert result.camera_state is CameraState.OK
    assert set(result.stage_ms) == {"quality", "convert", "face", "expression", "pose"}


def test_dark_pictures_are_not_looked_at() -> None:
    face, pose = OneFace(), OneBody()
    result = stand_in(face, pose).process(noise(0, 5), 0.0)
    assert result.camera_state is CameraState.DARK
    assert no_person(result)
    assert np.isfinite(of(result.values, "quality")).all()
    assert (face.calls, pose.calls) == (0, 0)


def test_frozen_pictures_give_no_person() -> None:
    chain = stand_in()
    results = [chain.process(noise(0), i / 10) for i in range(15)]
    assert results[5].camera_state is CameraState.OK
    assert results[14].camera_state is CameraState.FROZEN
    assert no_person(results[14])


def test_no_face_gives_no_person_and_no_calm() -> None:
    face, pose = OneFace(), OneBody()
    face.present = False
    result = stand_in(face, pose).process(noise(0), 0.0)
    assert result.camera_state is CameraState.NO_FACE
    assert no_person(result)
    assert pose.calls == 0


def test_several_faces_are_said() -> None:
    face = OneFace()
    face.faces = 3
    result = stand_in(face).process(noise(0), 0.0)
    assert result.camera_state is CameraState.SEVERAL_FACES
    assert result.values[FRAME_INDEX["faces"]] == result.faces == 3


def test_another_ones_body_is_not_the_participants() -> None:
    pose = OneBody()
    pose.shift = 200
    result = stand_in(pose=pose).process(noise(0), 0.0)
    assert np.isfinite(of(result.values, "emotion")).all()
    assert np.isnan(of(result.values, "pose", "hands")).all()


def test_speeds_do_not_bridge_a_lost_face_or_a_reset() -> None:
    face = OneFace()
    chain = stand_in(face)
    speed = FRAME_INDEX["head_speed"]
    chain.process(noise(0), 0.0)
    assert np.isfinite(chain.process(noise(1), 0.3).values[speed])
    face.present = False
    chain.process(noise(2), 0.4)
    face.present = True
    assert np.isnan(chain.process(noise(3), 0.6).values[speed])
    chain.process(noise(4), 0.9)
    chain.reset()
    assert np.isnan(chain.process(noise(5), 1.2).values[speed])


@pytest.mark.parametrize(
    "image",
    [
        None,
        "frame",
        np.zeros((480, 640), np.uint8),
        np.zeros((480, 640, 4), np.uint8),
        np.zeros((480, 640, 3), np.float32),
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((480, 4, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused_in_one_sentence(image: Any) -> None:
    with pytest.raises(InputError, match=r"^A frame must be .*\.$"):
        stand_in().process(image, 0.0)


@pytest.mark.parametrize("t", [float("nan"), float("inf")])
def test_a_time_must_be_finite(t: float) -> None:
    with pytest.raises(InputError, match="finite"):
        stand_in().process(noise(0), t)


def test_values_are_clipped_to_the_layout() -> None:
    values = frame_vector({"head_yaw": 400.0, "hand_face_distance": 99.0})
    assert values[FRAME_INDEX["head_yaw"]] == 90
    assert values[FRAME_INDEX["hand_face_distance"]] == 5


def look(perception: Perception, image: Image) -> FrameResult:
    """A fresh look at one picture; the second frame of two, so that speeds have a past."""
    perception.reset()
    perception.process(image, 0.0)
    return perception.process(np.roll(image, 1, axis=0), 0.25)


def test_the_portrait_is_seen(perception: Perception, portrait: Image) -> None:
    result = look(perception, portrait)
    assert result.camera_state is CameraState.OK
    assert result.faces == 1
    assert result.box is not None
    assert np.isfinite(of(result.values, "face", "emotion", "pose", "quality")).all()
    assert result.values[FRAME_INDEX["emotion_happy"]] > 0.5
    assert result.values[FRAME_INDEX["blendshape_mouthSmile"]] > 0.5


@pytest.mark.parametrize("gain", [0.8, 1.2])
def test_brightness_moves_little_but_brightness(perception: Perception, portrait: Image, gain: float) -> None:
    plain = look(perception, portrait)
    other = look(perception, np.clip(portrait * gain, 0, 255).astype(np.uint8))
    moved = np.abs(other.values - plain.values) / (HIGH - LOW)
    for feature in FRAME_FEATURES:
        share = moved[FRAME_INDEX[feature.name]]
        if feature.modality in ("face", "pose"):
            assert share < 0.1, feature.name
    assert moved[FRAME_INDEX["brightness"]] > 0.05


def test_black_and_landscape_pictures_hold_nobody(perception: Perception, portrait: Image) -> None:
    assert look(perception, np.zeros_like(portrait)).camera_state is CameraState.DARK
    upside = look(perception, np.ascontiguousarray(portrait[300:, 350:]))  # a piece without a person
    assert upside.camera_state is CameraState.NO_FACE
    assert no_person(upside)


def test_any_order_of_times_is_survived(perception: Perception, portrait: Image) -> None:
    perception.reset()
    for t in (1.0, 1.0, 0.5, 1e9, -5.0):
        assert perception.process(portrait, t).t == t


@pytest.mark.parametrize("shape", [(4320, 7680, 3), (16, 16, 3), (30, 1900, 3)])
def test_pictures_of_any_size_are_worked_on(shape: tuple[int, ...]) -> None:
    result = stand_in().process(np.full(shape, 90, np.uint8), 0.0)
    values = result.values[np.isfinite(result.values)]
    assert len(values) > 0
    assert (values >= LOW[np.isfinite(result.values)]).all()


def test_nobody_is_followed_from_one_size_of_pictures_to_another() -> None:
    face = OneFace()
    chain = stand_in(face)
    for i in range(9):
        result = chain.process(noise(i) if i % 3 else np.ascontiguousarray(noise(i)[::2, ::2]), i / 10)
        assert not np.isinf(result.values).any()
        assert np.isnan(result.values[FRAME_INDEX["movement_energy"]]), "a speed needs a past of the same size"


@pytest.mark.slow
def test_the_real_models_survive_pictures_of_changing_size(perception: Perception, portrait: Image) -> None:
    for i, scale in enumerate((1.0, 0.03125, 2.0, 8.0, 1.0)):
        size = max(16, int(portrait.shape[1] * scale)), max(16, int(portrait.shape[0] * scale))
        result = perception.process(np.asarray(cv2.resize(portrait, size), np.uint8), 50.0 + i / 10)
        assert not np.isinf(result.values).any()
    assert result.faces == 1
