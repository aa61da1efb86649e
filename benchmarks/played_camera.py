"""A recording that plays in a loop as a camera does. `edge_agent.sources.reader` opens it in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from edge_agent.sources.device import Shot
from perception.pictures import Image
from perception.video import VideoFile

OPENER = f"{__name__}:open_played"
FPS = 30.0


class PlayedCamera:
    """Gives a frame every thirtieth of a second, whatever the recording's own rate."""

    def __init__(self, path: Path) -> None:
        self._images, self._begin, self._index = self._play(path), time.monotonic(), 0

    def _play(self, path: Path) -> Iterator[Image]:
        while True:
            with VideoFile(path) as video:
                yield from (image for image, _ in video)

    def read(self) -> Shot:
        """The next picture, once it is due; captured now, so that decoding counts as the camera's own work."""
        image = next(self._images)
        self._index += 1
        time.sleep(max(0.0, self._begin + self._index / FPS - time.monotonic()))
        return time.time(), image

    def release(self) -> None:
        """Nothing is held."""


def open_played(path: str) -> PlayedCamera:
    """Open it."""
    return PlayedCamera(Path(path))
