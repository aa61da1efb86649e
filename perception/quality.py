"""Quality: is there a usable picture at all? Pure; the capture time is an argument.

* Dark: the mean grey value is below `DARK`, as with a lens cap, a closed lid or a room without light.
* Frozen: the thumbnail has been the same, bit for bit, for more than `FROZEN_S` and at least `FROZEN_FRAMES` repeats,
  as with a stuck driver or a lost stream. Sensor noise never repeats, and a recording at 2 frames a second that was
  filled up with copies repeats each picture for half a second only.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.temporal import CLOCK_GRAIN_S
from sentry_proto.types import CameraState

WIDTH = 160
"""Quality is judged on a thumbnail of this many columns, so that it costs little and means about the same at any
resolution. Its pixels are sampled, not averaged: that is ten times cheaper, and keeps the sensor's noise."""

DARK = 0.06
FROZEN_S = 1.0
FROZEN_FRAMES = 3


@dataclass(frozen=True)
class Quality:
    """Of one frame; `brightness` and `contrast` (mean and standard deviation of grey) in 0..1, `sharpness` as
    log variance of the Laplacian of grey 0..255 (Pech-Pacheco et al. 2000).
    """

    brightness: float
    contrast: float
    sharpness: float
    frozen: bool

    @property
    def dark(self) -> bool:
        """Too dark to see anybody."""
        return self.brightness < DARK

    @property
    def usable(self) -> bool:
        """Whether it makes sense to look for a face."""
        return not (self.dark or self.frozen)

    def state(self, faces: int, participant: bool) -> CameraState:
        """What the camera shows, given the number of faces and whether the participant's is among them."""
        if self.frozen:
            return CameraState.FROZEN
        if self.dark:
            return CameraState.DARK
        if not participant:
            return CameraState.NO_FACE
        return CameraState.SEVERAL_FACES if faces > 1 else CameraState.OK


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A small grey version, uint8 [h, WIDTH], of an image, uint8 [H, W, 3] in BGR order."""
    height = max(1, round(image.shape[0] * WIDTH / image.shape[1]))
    small = cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_LINEAR)
    grey: NDArray[np.uint8] = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    return grey


def measure(grey: NDArray[np.uint8]) -> tuple[float, float, float]:
    """Brightness, contrast and sharpness of a thumbnail."""
    mean, deviation = cv2.meanStdDev(grey)
    _, edges = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    return float(mean[0, 0]) / 255, float(deviation[0, 0]) / 255, float(np.log(edges[0, 0] ** 2 + 1e-4))


class QualityMonitor:
    """Measures each frame and remembers since when the picture has stood still."""

    def __init__(self) -> None:
        self._last: NDArray[np.uint8] | None = None
        self._since = 0.0
        self._repeats = 0

    def update(self, image: NDArray[np.uint8], t: float) -> Quality:
        """Judge a frame, uint8 [H, W, 3] in BGR order, captured at `t` seconds."""
        grey = thumbnail(image)
        if self._last is not None and t >= self._since and np.array_equal(grey, self._last):
            self._repeats += 1
        else:
            self._last, self._since, self._repeats = grey, t, 0
        frozen = self._repeats >= FROZEN_FRAMES and t - self._since > FROZEN_S + CLOCK_GRAIN_S
        return Quality(*measure(grey), frozen=frozen)

    def reset(self) -> None:
        """Forget the last frame."""
        self._last = None
