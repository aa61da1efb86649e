"""Pose: posture, hands and movement of the participant, in shoulder widths and degrees.

Everything is measured in the picture; depth is MediaPipe's estimate, which has the scale of a picture column.

    shoulder_tilt > 0        the participant's left shoulder is higher
    forward_lean             how much nearer to the camera the nose is than the shoulders
    slouch                   1 minus the height of the ears over the shoulders: grows as the head sinks between them
    head_drop                how far the nose is below the ears: grows as the head nods
    head_offset > 0          the head is over the participant's left shoulder
    hand_face_distance       from the nose to the nearer visible wrist
    openness                 mean horizontal distance of the visible wrists from the trunk's middle
    movement_energy          mean speed of nose, shoulders and visible wrists
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.bundles import model_path
from perception.crop import Box
from perception.native import VideoTask, internals, points
from perception.runtime import BaseOptions, StampClock, quiet, vision
from perception.temporal import Lag
from sentry_proto.types import Float32

MODEL = "pose_landmarker_lite.task"

NOSE, LEFT_EAR, RIGHT_EAR, LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_WRIST, RIGHT_WRIST = 0, 7, 8, 11, 12, 15, 16
TRUNK = (NOSE, LEFT_EAR, RIGHT_EAR, LEFT_SHOULDER, RIGHT_SHOULDER)
WRISTS = (LEFT_WRIST, RIGHT_WRIST)
MOVING = (NOSE, LEFT_SHOULDER, RIGHT_SHOULDER, *WRISTS)

MIN_VISIBILITY = 0.5
MIN_SHOULDERS = 0.03
"""Shoulder width in picture widths below which a person is too far away, or stands sideways."""


def visible(body: Float32) -> NDArray[np.bool_]:
    """Which landmarks count as seen: bool [33]. `body` as in `PoseLandmarker.detect`."""
    seen: NDArray[np.bool_] = body[:, 3] >= MIN_VISIBILITY
    return seen


def belongs_to(body: Float32, box: Box) -> bool:
    """Whether a body is the one that carries this face: its nose lies in or near the face's box."""
    x, y = body[NOSE, :2]
    margin = box.side / 2
    return bool(box.x0 - margin <= x <= box.x1 + margin and box.y0 - margin <= y <= box.y1 + margin)


def still_features(body: Float32, width: int) -> dict[str, float]:
    """Posture from one frame; empty where shoulders or head are not seen, or the back is turned.

    Args:
        body: float32 [33, 4]: x, y and depth in pixels, and visibility 0..1.
        width: of the picture in pixels.
    """
    seen = visible(body)
    left, right = body[LEFT_SHOULDER, :3], body[RIGHT_SHOULDER, :3]
    shoulders = float(np.linalg.norm(left[:2] - right[:2]))
    if not seen[list(TRUNK)].all() or shoulders < MIN_SHOULDERS * width or left[0] <= right[0]:
        return {}
    middle, nose = (left + right) / 2, body[NOSE, :3]
    ears = (body[LEFT_EAR, :3] + body[RIGHT_EAR, :3]) / 2
    features = {
        "shoulder_tilt": float(np.degrees(np.arctan2(right[1] - left[1], left[0] - right[0]))),
        "forward_lean": float(middle[2] - nose[2]) / shoulders,
        "slouch": 1 - float(middle[1] - ears[1]) / shoulders,
        "head_drop": float(nose[1] - ears[1]) / shoulders,
        "head_offset": float(ears[0] - middle[0]) / shoulders,
    }
    wrists = [body[wrist, :2] for wrist in WRISTS if seen[wrist]]
    if wrists:
        features["hand_face_distance"] = min(float(np.linalg.norm(wrist - nose[:2])) for wrist in wrists) / shoulders
        features["openness"] = float(np.mean([abs(wrist[0] - middle[0]) for wrist in wrists])) / shoulders
    return features


def mean_speed(before: Float32, after: Float32, elapsed: float) -> float:
    """Mean speed in shoulder widths a second of the landmarks that are visible in both bodies, each [33, 4]."""
    moving = np.array(MOVING)[(visible(before) & visible(after))[list(MOVING)]]
    paths = np.linalg.norm(after[moving, :2] - before[moving, :2], axis=1)
    shoulders = float(np.linalg.norm(after[LEFT_SHOULDER, :2] - after[RIGHT_SHOULDER, :2]))
    return float(paths.mean()) / shoulders / elapsed


class PoseFeatures:
    """Still features plus movement, which needs the frames before."""

    def __init__(self) -> None:
        self._bodies: Lag[Float32] = Lag()

    def update(self, t: float, body: Float32, width: int) -> dict[str, float]:
        """Features of a body, float32 [33, 4], at `t` seconds in a picture that is `width` pixels wide."""
        features = still_features(body, width)
        if not features:
            self.clear()
            return features
        past = self._bodies.push(t, body)
        if past is not None:
            elapsed, before = past
            features["movement_energy"] = mean_speed(before, body, elapsed)
        return features

    def clear(self) -> None:
        """The body was lost."""
        self._bodies.clear()


def landmarker_options() -> Any:
    """What is asked of MediaPipe's PoseLandmarker."""
    base = BaseOptions(model_asset_path=str(model_path(MODEL)))
    return vision.PoseLandmarkerOptions(base_options=base, running_mode=vision.RunningMode.VIDEO)


class PoseLandmarker:
    """MediaPipe's PoseLandmarker (lite) in video mode, with results as arrays."""

    def __init__(self) -> None:
        self._task = VideoTask(vision.PoseLandmarker, landmarker_options(), internals.pose)
        self._clock = StampClock()
        self._warned = False

    def detect(self, image: Any, t: float) -> Float32 | None:
        """The body in a MediaPipe image captured at `t` seconds: float32 [33, 4] of x, y, depth (px) and visibility."""
        if self._warned:
            return self._detect(image, t)
        with quiet():  # the first body makes MediaPipe log a warning that does not concern square regions
            body = self._detect(image, t)
        self._warned = body is not None
        return body

    def _detect(self, image: Any, t: float) -> Float32 | None:
        with self._task.detect(image, self._clock.stamp(t)) as found:
            if not found.pose_landmarks_count:
                return None
            body = points(found.pose_landmarks[0], ("x", "y", "z", "visibility"))
        return body * np.array((image.width, image.height, image.width, 1), np.float32)

    def close(self) -> None:
        """Free the native graph."""
        self._task.close()
