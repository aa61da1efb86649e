"""Frame features of modality face from landmarks, blendshapes and head rotation. Pure.

Sign conventions, all from the participant's point of view and for an unmirrored picture:

    head_yaw   > 0   turns to their left (to the right of the picture)
    head_pitch > 0   looks up
    head_roll  > 0   tilts towards their right shoulder (counter-clockwise in the picture)
    gaze_x     > 0   looks to their left
    gaze_y     > 0   looks up
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception.crop import Box
from perception.temporal import Blinks, Hysteresis, Lag
from sentry_proto.layout import BLENDSHAPES
from sentry_proto.types import Float32

RIGHT_EYE = (33, 160, 158, 133, 153, 144)
LEFT_EYE = (362, 385, 387, 263, 373, 380)
"""MediaPipe's landmarks for the points p1 to p6 of Soukupova & Cech: corner, two upper, corner, two lower."""

RIGHT_BROW, LEFT_BROW = 105, 334
CLOSED_ABOVE, CLOSED_UNTIL = 0.5, 0.35
"""Hysteresis of `eyes_closed` on the eyeBlink blendshape."""

UPPER_LIP, LOWER_LIP, RIGHT_MOUTH, LEFT_MOUTH = 13, 14, 78, 308


@dataclass(frozen=True, eq=False)
class Face:
    """One face in one frame.

    Attributes:
        landmarks: float32 [478, 2] in pixels.
        blendshapes: MediaPipe's coefficients in 0..1 by category name.
        rotation: float64 [3, 3], from the canonical face to the camera (x right in the picture, y up, z towards it).
        box: around the landmarks.
    """

    landmarks: Float32
    blendshapes: dict[str, float]
    rotation: NDArray[np.float64]
    box: Box


def head_angles(rotation: NDArray[np.float64]) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees of rotation = Ry(yaw) Rx(-pitch) Rz(roll), a matrix [3, 3]."""
    yaw = np.arctan2(rotation[0, 2], rotation[2, 2])
    pitch = np.arcsin(np.clip(rotation[1, 2], -1.0, 1.0))
    roll = np.arctan2(rotation[1, 0], rotation[1, 1])
    return float(np.degrees(yaw)), float(np.degrees(pitch)), float(np.degrees(roll))


def angle_between(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The angle in degrees of the rotation that leads from one rotation matrix [3, 3] to the other."""
    cosine = (np.sum(first * second) - 1) / 2  # trace of first.T @ second
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def eye_aspect_ratio(eye: Float32) -> float:
    """Height over width of one eye from its six points, [6, 2] in pixels (Soukupova & Cech 2016, equation 1)."""
    height = np.linalg.norm(eye[1] - eye[5]) + np.linalg.norm(eye[2] - eye[4])
    width = np.linalg.norm(eye[0] - eye[3])
    return float(height / (2 * width)) if width > 0 else 0.0


def gaze(blendshapes: dict[str, float]) -> tuple[float, float]:
    """Horizontal and vertical gaze within the head, -1..1, from the eyeLook coefficients of both eyes."""
    left = blendshapes["eyeLookOutLeft"] + blendshapes["eyeLookInRight"]
    right = blendshapes["eyeLookInLeft"] + blendshapes["eyeLookOutRight"]
    up = blendshapes["eyeLookUpLeft"] + blendshapes["eyeLookUpRight"]
    down = blendshapes["eyeLookDownLeft"] + blendshapes["eyeLookDownRight"]
    return (left - right) / 2, (up - down) / 2


def both_sides(blendshapes: dict[str, float], name: str) -> float:
    """A coefficient by its name without suffix: the mean of left and right where the face has both."""
    if name in blendshapes:
        return blendshapes[name]
    return (blendshapes[f"{name}Left"] + blendshapes[f"{name}Right"]) / 2


def still_features(face: Face) -> dict[str, float]:
    """What one frame alone shows."""
    points, shapes = face.landmarks, face.blendshapes
    eyes = points[list(RIGHT_EYE)], points[list(LEFT_EYE)]
    right, left = (eye.mean(axis=0) for eye in eyes)
    between_eyes = max(float(np.linalg.norm(left - right)), 1e-6)
    brows = np.linalg.norm(points[RIGHT_BROW] - right) + np.linalg.norm(points[LEFT_BROW] - left)
    mouth_width = max(float(np.linalg.norm(points[LEFT_MOUTH] - points[RIGHT_MOUTH])), 1e-6)
    yaw, pitch, roll = head_angles(face.rotation)
    gaze_x, gaze_y = gaze(shapes)
    return {
        "head_yaw": yaw,
        "head_pitch": pitch,
        "head_roll": roll,
        "eye_aspect_ratio": (eye_aspect_ratio(eyes[0]) + eye_aspect_ratio(eyes[1])) / 2,
        "gaze_x": gaze_x,
        "gaze_y": gaze_y,
        "mouth_opening": float(np.linalg.norm(points[UPPER_LIP] - points[LOWER_LIP])) / mouth_width,
        "brow_height": float(brows) / 2 / between_eyes,
        "smile_asymmetry": shapes["mouthSmileLeft"] - shapes["mouthSmileRight"],
        "face_size": face.box.side,
        **{f"blendshape_{name}": both_sides(shapes, name) for name in BLENDSHAPES},
    }


class FaceFeatures:
    """Still features plus what needs the frames before: blinks, closed eyes and head speed."""

    def __init__(self) -> None:
        self._blinks = Blinks()
        self._closed = Hysteresis(CLOSED_ABOVE, CLOSED_UNTIL)
        self._rotations: Lag[NDArray[np.float64]] = Lag()

    def update(self, t: float, face: Face) -> dict[str, float]:
        """Features of the participant's face at `t` seconds; `head_speed` is absent until there is a past."""
        features = still_features(face)
        closure = features["blendshape_eyeBlink"]
        features["blink"] = float(self._blinks.update(t, closure))
        features["eyes_closed"] = float(self._closed.update(closure))
        past = self._rotations.push(t, face.rotation)
        if past is not None:
            elapsed, rotation = past
            features["head_speed"] = angle_between(rotation, face.rotation) / elapsed
        return features

    def clear(self) -> None:
        """The face was lost, or is another one's."""
        self._blinks.clear()
        self._closed.clear()
        self._rotations.clear()
