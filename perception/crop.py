"""The one crop rule: how a face is cut out for the expression model, in training and in serving.

A face is cut out with the margin that the faces of FER2013 have, and where it leans more than they do, it is turned
back first: a model that learned from faces that hardly lean is lost where a head lies on a shoulder.
`benchmarks.face_crops` measures both kinds of crops alike and what leaning costs, `benchmarks.live_faces` what the rule
makes of people before a camera.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sentry_proto.types import Float32

SIDE = 1.10
"""Side of the crop in longer sides of the landmark box: the median over 639 FER2013 training images in which MediaPipe
finds a face (10th to 90th percentile 0.94 to 1.36)."""

RULE = "2"
"""Name of this rule in whatever was made with it; another rule needs another name."""

RISE = 0.056
"""How far the crop's centre lies above the box's, in the same unit and from the same images."""

RIGHT_EYE, LEFT_EYE = (33, 133), (362, 263)
"""MediaPipe's landmarks of the corners of each eye; the participant's right is on the left of the picture."""

MOST_LEAN = 10.0
"""Degrees by which a face may lean in its crop, as three quarters of FER2013's faces do."""


class Box(NamedTuple):
    """An upright rectangle in pixels; `x1` and `y1` lie outside."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def area(self) -> float:
        """In square pixels."""
        return max(0.0, self.x1 - self.x0) * max(0.0, self.y1 - self.y0)

    @property
    def side(self) -> float:
        """The longer side in pixels."""
        return max(self.x1 - self.x0, self.y1 - self.y0)


def landmark_box(landmarks: Float32) -> Box:
    """The tight box around landmarks, float32 [N, 2] in pixels."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    return Box(float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def crop_square(box: Box) -> tuple[int, int, int]:
    """Left, top and side in whole pixels of the square that shows a face as FER2013 does: brows to chin."""
    side = max(2, round(SIDE * box.side))
    left = (box.x0 + box.x1) / 2 - side / 2
    top = (box.y0 + box.y1) / 2 - RISE * box.side - side / 2
    return round(left), round(top), side


def lean(landmarks: Float32) -> float:
    """Degrees by which the line between the eyes leans in the picture, clockwise; 0 for an upright face.

    Args:
        landmarks: float32 [478, 2] in pixels.
    """
    across, down = (landmarks[list(LEFT_EYE)].mean(axis=0) - landmarks[list(RIGHT_EYE)].mean(axis=0)).tolist()
    return math.degrees(math.atan2(down, across))


def crop_face(image: NDArray[np.uint8], landmarks: Float32) -> NDArray[np.uint8]:
    """Cut a face out of an image, turned until it leans no more than `MOST_LEAN`.

    Args:
        image: uint8 [H, W, 3] in BGR order.
        landmarks: of the face, float32 [478, 2] in pixels; where it reaches over the image's edge, pixels are repeated.

    Returns:
        Grey uint8 [S, S]; S follows the size of the face, since the model resizes inside its graph.
    """
    leaning = lean(landmarks)
    excess = math.copysign(max(abs(leaning) - MOST_LEAN, 0.0), leaning)
    square = _turned(image, landmarks, excess) if excess else _upright(image, crop_square(landmark_box(landmarks)))
    grey: NDArray[np.uint8] = cv2.cvtColor(square, cv2.COLOR_BGR2GRAY)
    return grey


def _upright(image: NDArray[np.uint8], square: tuple[int, int, int]) -> NDArray[np.uint8]:
    left, top, side = square
    height, width = image.shape[:2]
    if left >= 0 and top >= 0 and left + side <= width and top + side <= height:
        return image[top : top + side, left : left + side]
    rows = np.arange(top, top + side).clip(0, height - 1)
    columns = np.arange(left, left + side).clip(0, width - 1)
    repeated: NDArray[np.uint8] = image[rows[:, None], columns]
    return repeated


def _turned(image: NDArray[np.uint8], landmarks: Float32, degrees: float) -> NDArray[np.uint8]:
    turn = cv2.getRotationMatrix2D((0, 0), degrees, 1)[:, :2]
    left, top, side = crop_square(landmark_box((landmarks @ turn.T).astype(np.float32)))
    to_image = np.column_stack([turn.T, turn.T @ (left, top)])
    turned: NDArray[np.uint8] = cv2.warpAffine(
        image, to_image, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    return turned
