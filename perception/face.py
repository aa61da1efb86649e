"""Face: find the participant's face in each frame and stay with it.

A landmarker that may find several faces runs its detector on every frame, which costs half as much again as following
one face. So a *narrow* landmarker follows the participant, and a *wide* one looks around: every `SCAN_S`, and whenever
the narrow one has not got the participant. Which face the narrow one finds is up to MediaPipe; it is believed only
where `choose_participant` agrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np

from perception.bundles import model_path
from perception.crop import Box, landmark_box
from perception.face_features import Face
from perception.native import VideoTask, internals, names, points, scores
from perception.runtime import BaseOptions, StampClock, vision
from perception.temporal import CLOCK_GRAIN_S
from sentry_proto.types import Float32

MODEL = "face_landmarker.task"

MAX_FACES = 3
"""Faces are counted up to this many."""

SCAN_S = 1.0
"""How often to look for more faces."""

HOLD_S = 2.0
"""How long a participant who is out of sight keeps the place, so that a passer-by does not take it."""

MIN_OVERLAP = 0.1
"""Intersection over union with the last box above which a face is the same one."""


def overlap(first: Box, second: Box) -> float:
    """Intersection over union, 0..1."""
    common = Box(
        max(first.x0, second.x0), max(first.y0, second.y0), min(first.x1, second.x1), min(first.y1, second.y1)
    ).area
    union = first.area + second.area - common
    return common / union if union > 0 else 0.0


def choose_participant(boxes: list[Box], previous: Box | None) -> int | None:
    """Which face is the participant's.

    Without a `previous` box it is the largest face. With one it is the face that overlaps it most, or none at all:
    a face elsewhere is a passer-by's, however large.
    """
    if not boxes:
        return None
    if previous is None:
        return max(range(len(boxes)), key=lambda i: boxes[i].area)
    best = max(range(len(boxes)), key=lambda i: overlap(boxes[i], previous))
    return best if overlap(boxes[best], previous) >= MIN_OVERLAP else None


@dataclass(frozen=True)
class FaceScan:
    """What a frame shows.

    Attributes:
        participant: their face, or None where it is not seen.
        faces: how many faces were last counted, the participant's included.
        box: where the participant was last seen, None once their place is free; it outlasts `participant` by `HOLD_S`.
    """

    participant: Face | None
    faces: int
    box: Box | None


def landmarker_options(num_faces: int) -> Any:
    """What is asked of MediaPipe's FaceLandmarker."""
    return vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(model_path(MODEL))),
        running_mode=vision.RunningMode.VIDEO,
        num_faces=num_faces,
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
    )


class Landmarker:
    """MediaPipe's FaceLandmarker in video mode, with results as arrays."""

    def __init__(self, num_faces: int) -> None:
        self._task = VideoTask(vision.FaceLandmarker, landmarker_options(num_faces), internals.face)
        self._clock = StampClock()
        self._names: tuple[str, ...] = ()

    def detect(self, image: Any, t: float) -> list[Face]:
        """All faces in a MediaPipe image that was captured at `t` seconds."""
        scale = np.array((image.width, image.height), np.float32)
        with self._task.detect(image, self._clock.stamp(t)) as found:
            return [self._face(found, i, scale) for i in range(found.face_landmarks_count)]

    def _face(self, found: Any, index: int, scale: Float32) -> Face:
        landmarks = points(found.face_landmarks[index], ("x", "y")) * scale
        shapes = found.face_blendshapes[index]
        self._names = self._names or names(shapes)
        axes = found.facial_transformation_matrixes[index].to_numpy()[:3, :3].astype(np.float64)
        return Face(
            landmarks=landmarks,
            blendshapes=dict(zip(self._names, scores(shapes).tolist(), strict=True)),
            rotation=axes / np.linalg.norm(axes, axis=0),
            box=landmark_box(landmarks),
        )

    def close(self) -> None:
        """Free the native graph."""
        self._task.close()


class FaceTracker:
    """Follows the participant's face and counts the others."""

    def __init__(self) -> None:
        self._narrow = Landmarker(1)
        self._wide = Landmarker(MAX_FACES)
        self.reset()

    def reset(self) -> None:
        """Forget who the participant is."""
        self._box: Box | None = None
        self._seen = self._scanned = float("-inf")
        self._faces = 0
        self._following = False  # whether the narrow landmarker had the participant, and is asked first

    def detect(self, image: Any, t: float) -> FaceScan:
        """Find the participant in a MediaPipe image that was captured at `t` seconds."""
        if abs(t - self._seen) > HOLD_S + CLOCK_GRAIN_S:
            self._box = None
        due = not 0 <= t - self._scanned < SCAN_S - CLOCK_GRAIN_S
        face = self._pick(self._narrow.detect(image, t)) if self._following else None
        self._following = face is not None
        if face is None or due:
            faces = self._wide.detect(image, t)
            self._faces = max(len(faces), face is not None)
            face = face or self._pick(faces)
            # With one face the narrow one can hardly find another; with several it gets one try per scan.
            self._following = face is not None and (due or self._faces == 1)
        if due:
            self._scanned = t
        if face is not None:
            self._box, self._seen = face.box, t
        return FaceScan(face, self._faces, self._box)

    def _pick(self, faces: list[Face]) -> Face | None:
        index = choose_participant([face.box for face in faces], self._box)
        return None if index is None else faces[index]

    def close(self) -> None:
        """Free the native graphs."""
        self._narrow.close()
        self._wide.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
