"""Stand-ins for the models, so that the chain around them can be tested frame by frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.chain import Perception
from perception.emotion import Expressions
from perception.face import FaceScan
from perception.schedule import Schedule
from sentry_proto.types import Float32
from tests.perception.test_face_features import make_face
from tests.perception.test_pose import upright


class OneFace:
    """Sees the same face in every picture while `present`; counts how often it was asked."""

    def __init__(self) -> None:
        self.present = True
        self.faces = 1
        self.calls = 0

    def detect(self, image: Any, t: float) -> FaceScan:
        self.calls += 1
        face = make_face()
        return FaceScan(face, self.faces, face.box) if self.present else FaceScan(None, 0, None)

    def reset(self) -> None:
        self.calls = 0

    def close(self) -> None: ...


class Neutral:
    """Finds every face neutral."""

    def __call__(self, faces: NDArray[np.uint8]) -> Expressions:
        n = len(faces)
        return Expressions(np.tile(np.eye(7, dtype=np.float32)[6], (n, 1)), np.zeros((n, 4), np.float32))


class OneBody:
    """Sees an upright body whose nose lies in the face of `OneFace`."""

    def __init__(self) -> None:
        self.calls = 0
        self.shift = -150.0

    def detect(self, image: Any, t: float) -> Float32 | None:
        self.calls += 1
        body = upright()
        body[:, :2] += self.shift + np.array([0, 60], np.float32)
        return body

    def close(self) -> None: ...


def stand_in(face: OneFace | None = None, pose: OneBody | None = None, schedule: Schedule | None = None) -> Perception:
    return Perception(face=face or OneFace(), expression=Neutral(), pose=pose or OneBody(), schedule=schedule)
