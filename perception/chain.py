"""The chain of models: one frame in, one row of named features out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
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
from perception.pictures import check_image, fitted
from perception.pose import PoseFeatures, PoseLandmarker, belongs_to
from perception.quality import Quality, QualityMonitor
from perception.runtime import mediapipe_image
from perception.schedule import EVERY_FRAME, HOLD_S, Plan, Schedule
from perception.temporal import CLOCK_GRAIN_S
from sentry_proto.errors import InputError
from sentry_proto.layout import FRAME_FEATURES, FRAME_INDEX, N_FRAME
from sentry_proto.types import CameraState, Float32

Image = NDArray[np.uint8]

STAGES = ("quality", "convert", "face", "expression", "pose")

LOW = np.array([feature.low for feature in FRAME_FEATURES], np.float32)
HIGH = np.array([feature.high for feature in FRAME_FEATURES], np.float32)


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


def frame_vector(features: dict[str, float]) -> Float32:
    """Named values as float32 [N_FRAME], clipped to the layout's ranges; NaN for every name that is not given."""
    values = np.full(N_FRAME, np.nan, np.float32)
    for name, value in features.items():
        values[FRAME_INDEX[name]] = value
    return np.clip(values, LOW, HIGH)


class Stopwatch:
    """Milliseconds per stage of one frame, by a clock of seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.ms: dict[str, float] = {}
        self._clock = clock

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        start = self._clock()
        try:
            yield
        finally:
            self.ms[name] = 1000 * (self._clock() - start)


class Held:
    """Features of a model that does not look at every frame: as last seen, for at most `HOLD_S`."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Nothing is known."""
        self._features: dict[str, float] | None = None
        self._t = 0.0

    def put(self, t: float, features: dict[str, float]) -> dict[str, float]:
        """The model looked at a frame captured at `t` seconds; returns what it saw."""
        self._features, self._t = features, t
        return features

    def at(self, t: float) -> dict[str, float] | None:
        """What holds at `t` seconds; None where the model has to look."""
        return self._features if 0 <= t - self._t <= HOLD_S + CLOCK_GRAIN_S else None


class Perception:
    """Face, expression, pose and quality of one participant before one camera.

    Args:
        face, expression, pose: the models; the shipped ones if None.
        schedule: which of them look at which frame; every model at every frame if None.
        clock: seconds by which stages are timed.

    Raises:
        MissingDependency: a model file is absent or cannot be loaded.
    """

    def __init__(
        self,
        face: FaceStage | None = None,
        expression: ExpressionStage | None = None,
        pose: PoseStage | None = None,
        schedule: Schedule | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._expression = expression or ExpressionModel()
        self._face = face or FaceTracker()
        self._pose = pose or PoseLandmarker()
        self._schedule, self._clock = schedule or Schedule(EVERY_FRAME), clock
        self._quality = QualityMonitor()
        self._face_features = FaceFeatures()
        self._pose_features = PoseFeatures()
        self._expressed, self._posture = Held(), Held()
        self._shape: tuple[int, ...] = ()

    def process(self, image: Image, t: float) -> FrameResult:
        """Extract the features of a frame; a very large one is made smaller first (`pictures.MOST_SIDE`).

        A dark or frozen frame is not looked at: it yields quality, and no face, emotion or pose data. The body counts
        as the participant's only where it carries their face, seen now or up to `face.HOLD_S` ago. Nobody is followed
        from one size of pictures to another.

        Args:
            image: uint8 [H, W, 3] in BGR order.
            t: capture time in seconds; any order is allowed, speeds need increasing ones.

        Raises:
            InputError: `image` is not a picture, or `t` is not finite.
        """
        check_image(image)
        image = fitted(image)
        check_image(image)  # a strip can become too thin
        if image.shape != self._shape:
            self.reset()
            self._shape = image.shape
        if not np.isfinite(t):
            raise InputError(f"The capture time of a frame must be finite; this one is {t}.")
        watch = Stopwatch(self._clock)
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
        plan = self._schedule.plan(t)
        with watch.stage("face"):
            scan = self._face.detect(shared, t)
            features = self._face_of(scan, t)
        features |= self._expression_of(scan, image, t, plan, watch)
        features |= self._posture_of(scan, shared, t, plan, watch)
        return scan, features

    def _face_of(self, scan: FaceScan, t: float) -> dict[str, float]:
        if scan.participant is None:
            self._face_features.clear()
            return {}
        return self._face_features.update(t, scan.participant)

    def _expression_of(self, scan: FaceScan, image: Image, t: float, plan: Plan, watch: Stopwatch) -> dict[str, float]:
        if scan.participant is None:
            self._expressed.clear()
            return {}
        held = self._expressed.at(t)
        if held is not None and not plan.expression:
            return held
        with watch.stage("expression"):
            crop = crop_face(image, scan.participant.landmarks)
            return self._expressed.put(t, emotion_features(self._expression(crop[None]).probabilities[0]))

    def _posture_of(self, scan: FaceScan, shared: Any, t: float, plan: Plan, watch: Stopwatch) -> dict[str, float]:
        if scan.box is None:
            self._forget_body()
            return {}
        held = self._posture.at(t)
        if held is not None and not plan.pose:
            return held
        with watch.stage("pose"):
            body = self._pose.detect(shared, t)
            if body is None or not belongs_to(body, scan.box):
                self._pose_features.clear()
                return self._posture.put(t, {})
            return self._posture.put(t, self._pose_features.update(t, body, shared.width))

    def _forget_body(self) -> None:
        self._pose_features.clear()
        self._posture.clear()

    def _lose(self) -> None:
        self._face_features.clear()
        self._expressed.clear()
        self._forget_body()

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
