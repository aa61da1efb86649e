from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from perception.quality import FROZEN_S, Quality, QualityMonitor, measure, thumbnail
from sentry_proto.types import CameraState

Image = NDArray[np.uint8]


def noise(seed: int, mean: int = 120, shape: tuple[int, int] = (120, 160)) -> Image:
    values = np.random.default_rng(seed).normal(mean, 3, (*shape, 3))
    return np.clip(values, 0, 255).astype(np.uint8)


def run(images: list[Image], rate: float) -> list[bool]:
    monitor = QualityMonitor()
    return [monitor.update(image, i / rate).frozen for i, image in enumerate(images)]


def test_a_live_still_scene_is_not_frozen() -> None:
    assert not any(run([noise(i) for i in range(90)], 30))


def test_a_stuck_picture_is_frozen_after_a_second_and_heals() -> None:
    frozen = run([noise(0)] * 60 + [noise(1), noise(2)], 30)
    assert frozen.index(True) == int(30 * FROZEN_S) + 1
    assert all(frozen[31:60])
    assert frozen[60:] == [False, False]


@pytest.mark.parametrize("rate", [15, 30, 60])
def test_a_slow_recording_filled_up_with_copies_is_not_frozen(rate: int) -> None:
    copies = [noise(i) for i in range(8) for _ in range(rate // 2)]  # 2 real pictures a second
    assert not any(run(copies, rate))


def test_two_equal_frames_far_apart_are_not_frozen() -> None:
    assert not any(run([noise(0)] * 3, 0.5))


def test_a_clock_that_is_set_back_starts_the_count_anew() -> None:
    monitor = QualityMonitor()
    for t in (100.0, 100.5, 100.9, 10.0, 10.5, 10.9):
        assert not monitor.update(noise(0), t).frozen


@pytest.mark.parametrize(("mean", "dark"), [(0, True), (8, True), (40, False), (255, False)])
def test_dark(mean: int, dark: bool) -> None:
    assert QualityMonitor().update(noise(0, mean), 0.0).dark is dark


def test_measures_are_what_they_say() -> None:
    brightness, contrast, _ = measure(thumbnail(np.full((90, 160, 3), 51, np.uint8)))
    assert brightness == pytest.approx(0.2)
    assert contrast == 0
    halves = np.zeros((90, 160, 3), np.uint8)
    halves[:, 80:] = 255
    assert measure(thumbnail(halves))[:2] == pytest.approx((0.5, 0.5), abs=0.01)


def test_blur_lowers_sharpness(portrait: Image) -> None:
    sharpness = [measure(thumbnail(cv2.GaussianBlur(portrait, (0, 0), sigma)))[2] for sigma in (0.5, 2, 4, 8)]
    assert sharpness == sorted(sharpness, reverse=True)
    assert measure(thumbnail(np.zeros((100, 100, 3), np.uint8)))[2] == pytest.approx(np.log(1e-4))


@pytest.mark.parametrize(
    ("quality", "faces", "participant", "state"),
    [
        (Quality(0.5, 0.1, 1, frozen=False), 1, True, CameraState.OK),
        (Quality(0.5, 0.1, 1, frozen=False), 2, True, CameraState.SEVERAL_FACES),
        (Quality(0.5, 0.1, 1, frozen=False), 0, False, CameraState.NO_FACE),
        (Quality(0.5, 0.1, 1, frozen=False), 1, False, CameraState.NO_FACE),  # a passer-by only
        (Quality(0.01, 0.1, 1, frozen=False), 0, False, CameraState.DARK),
        (Quality(0.01, 0.1, 1, frozen=True), 0, False, CameraState.FROZEN),
    ],
)
def test_camera_state(quality: Quality, faces: int, participant: bool, state: CameraState) -> None:
    assert quality.state(faces, participant) is state
