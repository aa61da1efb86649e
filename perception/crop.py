"""The one crop rule: how a face is cut out for the expression model, in training and in serving."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sentry_proto.types import Float32

SIDE = 1.10
"""Side of the crop in longer sides of the landmark box: the median over 639 FER2013 training images in which MediaPipe
finds a face (10th to 90th percentile 0.94 to 1.36)."""

RISE = 0.056
"""How far the crop's centre lies above the box's, in the same unit and from the same images."""


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


def crop_face(image: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """Cut a face out of an image.

    Args:
        image: uint8 [H, W, 3] in BGR order.
        box: around the face's landmarks, in pixels; it may reach over the image's edge, where pixels are repeated.

    Returns:
        Grey uint8 [S, S]; S follows the size of the face, since the model resizes inside its graph.
    """
    left, top, side = crop_square(box)
    height, width = image.shape[:2]
    if left >= 0 and top >= 0 and left + side <= width and top + side <= height:
        square = image[top : top + side, left : left + side]
    else:
        rows = np.clip(np.arange(top, top + side), 0, height - 1)
        columns = np.clip(np.arange(left, left + side), 0, width - 1)
        square = image[np.ix_(rows, columns)]
    grey: NDArray[np.uint8] = cv2.cvtColor(square, cv2.COLOR_BGR2GRAY)
    return grey
