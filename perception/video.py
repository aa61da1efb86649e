"""Recordings: frames with their real times, and a clear word where a file is broken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read once by cv2; we report broken files ourselves

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.temporal import CLOCK_GRAIN_S
from sentry_proto.errors import MediaError

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # for the same reason

FALLBACK_FPS = 30.0
PLAUSIBLE_FPS = (0.1, 1000.0)

TOLERATED_LOSS = 0.05
"""Containers count frames roughly; a file that ends earlier than this share, and two frames, is cut off or corrupt."""


class VideoFile:
    """A recording on disk; iterate to get `(image, t)` with uint8 [H, W, 3] in BGR order and seconds from the start.

    Times are those of the container, and strictly increasing: where the container's are not, the frame comes one frame
    interval after the one before.

    Attributes:
        fps: nominal frames a second.
        frames: how many frames the container declares, 0 where it does not say.

    Raises:
        MediaError: the file is missing, empty, or no video that can be decoded; while iterating: it breaks off or
            has no frame. What was read before stays valid.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise MediaError(f"There is no video file {path}.")
        if path.stat().st_size == 0:
            raise MediaError(f"The video file {path} is empty.")
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise MediaError(f"{path} is not a video that can be decoded, or it is corrupt.")
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps: float = fps if PLAUSIBLE_FPS[0] <= fps <= PLAUSIBLE_FPS[1] else FALLBACK_FPS
        self.frames = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def __iter__(self) -> Iterator[tuple[NDArray[np.uint8], float]]:
        read, t = 0, 0.0
        first: float | None = None
        while True:
            ok, image = self._capture.read()
            if not ok:
                break
            stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            first = stamp if first is None else first
            t = next_time(t, stamp - first, 1 / self.fps) if read else 0.0
            read += 1
            yield image, t
        self._check_end(read, t)

    def _check_end(self, read: int, t: float) -> None:
        if read == 0:
            raise MediaError(f"{self.path} holds no frame that can be decoded.")
        declared_s = self.frames / self.fps  # where frames come unevenly, the count is this, worked out backwards
        if read < self.frames * (1 - TOLERATED_LOSS) - 2 and t < declared_s * (1 - TOLERATED_LOSS) - 2 / self.fps:
            raise MediaError(
                f"{self.path} breaks off at frame {read} of {self.frames} ({t:.1f} s): it is cut off or corrupt there."
            )

    def close(self) -> None:
        """Free the decoder."""
        self._capture.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def next_time(last: float, stamp: float, interval: float) -> float:
    """The time of the frame after `last`: the container's `stamp` if it is later and finite, else one `interval` on."""
    return stamp if last < stamp < float("inf") else last + interval


class Thinner:
    """Passes at most `fps` frames a second, evenly; None passes all."""

    def __init__(self, fps: float | None) -> None:
        self._interval = 1 / fps if fps else 0.0
        self._due: float | None = None

    def passes(self, t: float) -> bool:
        """Whether the frame of time `t` is one of those."""
        if self._due is None or t < self._due - self._interval - CLOCK_GRAIN_S:  # the first, or the clock was set back
            self._due = t
        if t < self._due - CLOCK_GRAIN_S:
            return False
        self._due = max(self._due, t - self._interval) + self._interval
        return True
