"""The chain of models: one frame in, one row of named features out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.crop import Box, crop_face
from perception.emotion import ExpressionModel, Expressions, emotion_features
from perception.face import FaceScan, FaceTracker
from perception.face_features import FaceFeatures
from perception.pose import PoseFeatures, PoseLandmarker, belongs_to
from perception.quality import Quality, QualityMonitor
from perception.runtime import mediapipe_image
from sentry_proto.errors import InputError
from sentry_proto.layout import FRAME_FEATURES, FRAME_INDEX, N_FRAME
from sentry_proto.types import CameraState, Float32

Image = NDArray[np.uint8]

STAGES = ("quality", "convert", "face", "expression", "pose")

LOW = np.array([feature.low for feature in FRAME_FEATURES], np.float32)
HIGH = np.array([feature.high for feature in FRAME_FEATURES], np.float32)

MIN_SIDE = 16
"""Pixels; nobody can be seen in less."""


class FaceStage(Protocol):
    """What the chain needs of `FaceTracker`."""

    def detect(self, image: Any, t: float) -> FaceScan: ...
    def reset(self) -> None: ...
    def close(self) -> None: ...


class ExpressionStage(Protocol):
    """What the chain needs of `ExpressionModel`."""

    def __call__(self, faces: Image) -> Expressions: ...


class PoseStage(Protocol):
    """What the chain needs of `PoseLandmarker`."""

    def detect(self, image: Any, t: float) -> Float32 | None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, eq=False)
class FrameResult:
    """What one frame shows.

    Attributes:
        t: capture time in seconds, as given.
        values: float32 [N_FRAME] within the layout's ranges, NaN where unseen.
        camera_state: ok, several faces, no face, dark or frozen.
        faces: how many faces there are, 0 where nobody looked.
        box: around the participant's face in pixels, None where it is not seen.
        stage_ms: milliseconds spent in each of `STAGES` that ran.
    """

    t: float
    values: Float32
    camera_state: CameraState
    faces: int
    box: Box | None
    stage_ms: dict[str, float]


def check_image(image: Any) -> None:
    """Refuse what is not a picture.

    Raises:
        InputError: not uint8 [H, W, 3], or less than 16 pixels wide or high.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        kind = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"A frame must be an array uint8 [height, width, 3] in BGR order; this one is {kind}.")
    if min(image.shape[:2]) < MIN_SIDE:
        raise InputError(f"A frame must be at least {MIN_SIDE} pixels wide and high; this one is {image.shape}.")


def frame_vector(features: dict[str, float]) -> Float32:
    """Named values as float32 [N_FRAME], clipped to the layout's ranges; NaN for every name that is not given."""
    values = np.full(N_FRAME, np.nan, np.float32)
    for name, value in features.items():
        values[FRAME_INDEX[name]] = value
    return np.clip(values, LOW, HIGH)


class Stopwatch:
    """Milliseconds per stage of one frame."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.ms[name] = 1000 * (time.perf_counter() - start)


class Perception:
    """Face, expression, pose and quality of one participant before one camera.

    Args:
        face, expression, pose: the models; the shipped ones if None.

    Raises:
        MissingDependency: a model file is absent or cannot be loaded.
    """

    def __init__(
        self,
        face: FaceStage | None = None,
        expression: ExpressionStage | None = None,
        pose: PoseStage | None = None,
    ) -> None:
        self._expression = expression or ExpressionModel()
        self._face = face or FaceTracker()
        self._pose = pose or PoseLandmarker()
        self._quality = QualityMonitor()
        self._face_features = FaceFeatures()
        self._pose_features = PoseFeatures()

    def process(self, image: Image, t: float) -> FrameResult:
        """Extract the features of a frame.

        A dark or frozen frame is not looked at: it yields quality, and no face, emotion or pose data. The body counts
        as the participant's only where it carries their face, seen now or up to `face.HOLD_S` ago.

        Args:
            image: uint8 [H, W, 3] in BGR order.
            t: capture time in seconds; any order is allowed, speeds need increasing ones.

        Raises:
            InputError: `image` is not a picture, or `t` is not finite.
        """
        check_image(image)
        if not np.isfinite(t):
            raise InputError(f"The capture time of a frame must be finite; this one is {t}.")
        watch = Stopwatch()
        with watch.stage("quality"):
            quality = self._quality.update(image, t)
        scan = FaceScan(None, 0, None)
        features: dict[str, float] = {}
        if quality.usable:
            scan, features = self._look(image, t, watch)
        else:
            self._lose()
        features |= _quality_features(quality, scan.faces)
        state = quality.state(scan.faces, scan.participant is not None)
        box = scan.participant.box if scan.participant else None
        return FrameResult(t, frame_vector(features), state, scan.faces, box, watch.ms)

    def _look(self, image: Image, t: float, watch: Stopwatch) -> tuple[FaceScan, dict[str, float]]:
        with watch.stage("convert"):
            shared = mediapipe_image(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        features: dict[str, float] = {}
        with watch.stage("face"):
            scan = self._face.detect(shared, t)
            if scan.participant is None:
                self._face_features.clear()
            else:
                features |= self._face_features.update(t, scan.participant)
        if scan.participant is not None:
            with watch.stage("expression"):
                crop = crop_face(image, scan.participant.landmarks)
                features |= emotion_features(self._expression(crop[None]).probabilities[0])
        with watch.stage("pose"):
            body = self._pose.detect(shared, t) if scan.box is not None else None
            if body is None or scan.box is None or not belongs_to(body, scan.box):
                self._pose_features.clear()
            else:
                features |= self._pose_features.update(t, body, image.shape[1])
        return scan, features

    def _lose(self) -> None:
        self._face_features.clear()
        self._pose_features.clear()

    def reset(self) -> None:
        """Forget everything about the participant: a new one, or a new session, begins."""
        self._lose()
        self._face.reset()
        self._quality.reset()

    def close(self) -> None:
        """Free the models."""
        self._face.close()
        self._pose.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _quality_features(quality: Quality, faces: int) -> dict[str, float]:
    return {
        "brightness": quality.brightness,
        "contrast": quality.contrast,
        "sharpness": quality.sharpness,
        "faces": float(faces),
    }
