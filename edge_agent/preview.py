"""What a live preview shows: the points found in the newest frame, the estimates, and why an alert is on.

It listens in on the models and on the observer, and nothing of the run depends on it. Pictures are kept, the newest
one only, where the preview may show them; otherwise they are never touched.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from edge_agent.heads import Heads
from edge_agent.observer import Observer, Outcome
from edge_agent.state import State
from perception.chain import FrameResult, Image, Perception
from perception.emotion import ExpressionModel
from perception.face import FaceScan, FaceTracker
from perception.pose import PoseLandmarker, visible
from perception.schedule import Schedule
from sentry_proto.layout import EMOTIONS, FRAME_FEATURES, FRAME_INDEX, MODALITY_INDEX, SECOND_FEATURES
from sentry_proto.tasks import AlertRule, Task
from sentry_proto.types import FeatureWindow, Float32, Offset, Prediction
from training.active_learning.selection import Selector

POSTURE = ("shoulder_tilt", "forward_lean", "slouch", "head_drop", "movement_energy", "hand_face_distance")
UNITS = {feature.name: feature.unit for feature in FRAME_FEATURES}
STANDING_OUT = 3
MIN_SPREADS = 2.0
"""A feature stands out if it is at least this many of the person's own spreads from their own centre."""

JPEG_QUALITY = 80


class Preview:
    """The newest of everything, written by the loop's thread and read by the preview's.

    Args:
        state: of the run.
        pictures: whether the preview may show them.
    """

    def __init__(self, state: State, pictures: bool) -> None:
        self.pictures = pictures
        self._state = state
        self._fresh = threading.Condition()
        self._count = 0
        self._frame: dict[str, Any] = {}
        self._judged: dict[str, Any] = {"tasks": [], "standing_out": [], "data": None}
        self._image: Image | None = None

    def models(self, schedule: Schedule, expression: ExpressionModel | None = None) -> Perception:
        """The shipped models, listened in on."""
        return SeenPerception(self, schedule, expression)

    def observer(self, selector: Selector, expression: str = "") -> Observer:
        """An observer, listened in on."""
        return SeenObserver(self, selector, expression)

    def saw(self, image: Image, result: FrameResult, face: Float32 | None, body: Float32 | None) -> None:
        """A frame passed: its result, float32 [478, 2] face points and [33, 4] body points in pixels, if seen."""
        height, width = image.shape[:2]
        values = {name: _finite(result.values[FRAME_INDEX[name]]) for name in POSTURE}
        frame = {
            "size": [width, height],
            "face": None if face is None else np.rint(face).astype(int).tolist(),
            "body": None if body is None else _body(body),
            "faces": result.faces,
            "expression": {name: _finite(result.values[FRAME_INDEX[f"emotion_{name}"]]) for name in EMOTIONS},
            "posture": [{"name": _words(name), "unit": UNITS[name], "value": values[name]} for name in POSTURE],
        }
        with self._fresh:
            self._frame, self._image = frame, image if self.pictures else None
            self._count += 1
            self._fresh.notify_all()

    def judged(self, features: FeatureWindow, heads: Heads | None, outcome: Outcome) -> None:
        """A window was judged."""
        tasks = {task.name: task for task in heads.metadata.tasks} if heads else {}
        self._judged = {
            "tasks": [_estimate(tasks[p.task], p) for p in outcome.predictions],
            "standing_out": standing_out(features),
            "data": outcome.data,
        }

    def wait(self, count: int, timeout_s: float) -> int:
        """Wait for a newer frame than number `count`; returns the newest one's number."""
        with self._fresh:
            self._fresh.wait_for(lambda: self._count != count, timeout_s)
            return self._count

    def snapshot(self, now: float) -> dict[str, Any]:
        """All but the picture, for JSON; `now` in monotonic seconds."""
        state = self._state
        return {
            **self._frame,
            **self._judged,
            "participant": state.participant,
            "session": state.session,
            "camera": state.camera.value,
            "fps": round(state.rate.value(now), 1),
            "model_version": state.version,
        }

    def jpeg(self) -> bytes | None:
        """The newest picture; None where pictures may not be shown, or there is none."""
        image = self._image
        if image is None:
            return None
        return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())


def standing_out(features: FeatureWindow) -> list[dict[str, Any]]:
    """What is most unusual in a window for this very person: mean of the window against the person's own baseline.

    It says how the person differs from themselves, not what the heads made of it. At most one entry per measurement.
    """
    if not features.baseline.seconds:
        return []
    seen = np.stack([features.coverage[:, MODALITY_INDEX[f.modality]] > 0 for f in SECOND_FEATURES], axis=1)
    share = seen.mean(axis=0)
    means = np.where(seen, features.values, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    spreads = (means - features.baseline.centre) / features.baseline.scale
    found: dict[str, dict[str, Any]] = {}
    for index in np.argsort(-np.abs(spreads)):
        feature, value = SECOND_FEATURES[index], float(spreads[index])
        if feature.modality == "quality" or share[index] < 0.5 or abs(value) < MIN_SPREADS or not np.isfinite(value):
            continue
        found.setdefault(feature.source, {"name": _words(feature.name), "spreads": round(value, 1)})
        if len(found) == STANDING_OUT:
            break
    return list(found.values())


def _estimate(task: Task, prediction: Prediction) -> dict[str, Any]:
    shares = dict(zip(task.classes, prediction.personal or prediction.probabilities, strict=True))
    event = task.alert.classes if task.alert else ()
    return {
        "task": task.name,
        "classes": [{"name": n, "probability": round(p, 3), "event": n in event} for n, p in shares.items()],
        "alerting": prediction.alerting,
        "rule": task.alert and _rule(task.alert, shares),
    }


def _rule(rule: AlertRule, shares: Mapping[str, float]) -> dict[str, Any]:
    return {
        "event": " or ".join(rule.classes),
        "probability": round(min(1.0, sum(shares[name] for name in rule.classes)), 3),
        "threshold": rule.threshold,
        "duration_s": rule.duration_s,
    }


def _body(body: Float32) -> list[list[int] | None]:
    seen = visible(body)
    return [[round(float(x)), round(float(y))] if s else None for (x, y), s in zip(body[:, :2], seen, strict=True)]


def _finite(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None


def _words(name: str) -> str:
    """A feature's name as people read it: `blendshape_browDown_mean` becomes `brow down, mean`."""
    plain = "".join(f" {c.lower()}" if c.isupper() else c for c in name.removeprefix("blendshape_")).replace("_", " ")
    head, _, last = plain.rpartition(" ")
    return f"{head}, {last}" if last in ("mean", "spread", "range", "count") else plain


# ---- listening in ---------------------------------------------------------------------------------------------------


class SeenFace(FaceTracker):
    """Remembers the newest face points."""

    points: Float32 | None = None

    def detect(self, image: Any, t: float) -> FaceScan:
        """As the tracker."""
        scan = super().detect(image, t)
        self.points = scan.participant.landmarks if scan.participant else None
        return scan


class SeenPose(PoseLandmarker):
    """Remembers the newest body points."""

    points: Float32 | None = None

    def detect(self, image: Any, t: float) -> Float32 | None:
        """As the landmarker."""
        self.points = super().detect(image, t)
        return self.points


class SeenPerception(Perception):
    """Tells a preview of each frame."""

    def __init__(self, preview: Preview, schedule: Schedule, expression: ExpressionModel | None) -> None:
        self._preview, self._points, self._limbs = preview, SeenFace(), SeenPose()
        super().__init__(face=self._points, expression=expression, pose=self._limbs, schedule=schedule)

    def process(self, image: Image, t: float) -> FrameResult:
        """As ever."""
        self._points.points = None  # a dark or frozen frame is not looked at
        result = super().process(image, t)
        face = self._points.points
        self._preview.saw(image, result, face, self._limbs.points if face is not None else None)
        return result


class SeenObserver(Observer):
    """Tells a preview of each window."""

    def __init__(self, preview: Preview, selector: Selector, expression: str = "") -> None:
        super().__init__(selector, expression)
        self._preview = preview

    def window(
        self, features: FeatureWindow, heads: Heads | None, consent_id: str, offsets: Sequence[Offset] = ()
    ) -> Outcome:
        """As ever."""
        outcome = super().window(features, heads, consent_id, offsets)
        self._preview.judged(features, heads, outcome)
        return outcome
