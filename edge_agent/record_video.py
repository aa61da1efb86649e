"""Pictures of a session with their real times, as Motion JPEG in Matroska.

Every frame is a picture of its own, so a file that ends anywhere plays up to there: of a killed recording the part is
lost that the writer had not handed to the system yet, at most 256 KB. OpenCV's writer spaces the frames that it encodes
itself evenly; only of frames that come encoded does it take the time.
"""

from __future__ import annotations

from pathlib import Path

import cv2

from edge_agent.sources.base import Image
from sentry_proto.errors import StorageError

NAME = "video.mkv"
TICKS = 1000
"""Matroska counts milliseconds."""

QUALITY = 90
"""Of the JPEG pictures: about 40 to 60 KB at 640x480."""


class Film:
    """A video file that is being written.

    Args:
        path: of the file.
        first: a picture as large as all the others will be.
        begin: time of the first frame, Unix seconds.

    Raises:
        StorageError: the file cannot be made.
    """

    def __init__(self, path: Path, first: Image, begin: float) -> None:
        self._begin, self._last = begin, -1
        self._size = (first.shape[1], first.shape[0])
        raw = [cv2.VIDEOWRITER_PROP_RAW_VIDEO, 1]
        code = cv2.VideoWriter.fourcc(*"MJPG")
        self._writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, TICKS, self._size, raw)
        if not self._writer.isOpened():
            raise StorageError(f"cannot make the video {path}")
        path.chmod(0o600)

    def add(self, image: Image, t: float) -> None:
        """Add a frame, uint8 [H, W, 3] in BGR order, captured at `t` Unix seconds.

        Times grow by at least a millisecond, also where the clock was set back. A device that comes back with another
        picture size is scaled to the first one.
        """
        self._last = max(self._last + 1, round((t - self._begin) * TICKS))
        if (image.shape[1], image.shape[0]) != self._size:
            image = cv2.resize(image, self._size)
        _, picture = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        self._writer.set(cv2.VIDEOWRITER_PROP_PTS, self._last)
        self._writer.write(picture)

    def close(self) -> None:
        """Write what is left, and the index."""
        self._writer.release()
