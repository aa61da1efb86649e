"""A camera that a test acts through a file: it names what the camera does now. Opened in a process of its own."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from edge_agent.sources.device import Shot
from perception.pictures import Image
from sentry_proto.errors import CameraError

OPENER = f"{__name__}:open_acted"
FPS = 20


class ActedDevice:
    """Gives noise; `block`, `repeat`, `fake`, `nothing`, `lost`, `dark`, `grey`, `alpha` and `tiny` are acted, and one
    `person` or two `people`, by the portrait that ships inside scikit-image.
    """

    def __init__(self, script: Path) -> None:
        self._script, self._random = script, np.random.default_rng()
        self._last = self._noise()

    def _noise(self, shape: tuple[int, ...] = (48, 64, 3)) -> Image:
        return self._random.integers(60, 200, shape, np.uint8)

    def _people(self, count: int) -> Image:
        from skimage import data

        people: Image = np.hstack([data.astronaut()[:256, 80:400, ::-1]] * count)
        people += self._random.integers(0, 3, people.shape, np.uint8)
        return people

    def read(self) -> Shot | None:
        time.sleep(1 / FPS)
        act = self._script.read_text()
        if act == "block":
            time.sleep(10_000)
        if act == "lost":
            return None
        if act == "nothing":  # success without a picture
            return time.time(), None
        if act == "fake":  # success with a single picture for ever
            return time.time(), self._last
        if act in ("person", "people"):
            self._last = self._people(1 if act == "person" else 2)
        elif act != "repeat":
            shape = {"grey": (48, 64), "alpha": (48, 64, 4), "tiny": (1, 1, 3)}.get(act, (48, 64, 3))
            self._last = self._noise(shape) // (60 if act == "dark" else 1)
        return time.time(), self._last

    def release(self) -> None:
        """Nothing is held."""


def open_acted(script: str) -> ActedDevice:
    """Open it, unless it is unplugged."""
    path = Path(script)
    with path.with_suffix(".opened").open("a") as log:
        log.write(f"{time.time()}\n")
    if path.read_text() == "lost":
        raise CameraError("There is no camera.")
    return ActedDevice(path)
