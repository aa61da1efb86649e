"""The one place that imports MediaPipe: its images, its clock and its chatter."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentry_proto.errors import MissingDependency

try:
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision
except ImportError as error:  # also when libEGL or libGLESv2 is absent
    raise MissingDependency(
        f"MediaPipe cannot be loaded ({error}); install the extra 'edge' and the system libraries libegl1 and libgles2."
    ) from error

__all__ = ["BaseOptions", "StampClock", "create_task", "mediapipe_image", "mediapipe_internals", "quiet", "vision"]

_NATIVE_LOG = re.compile(rb"^([WI]\d{4} |INFO: |WARNING: All log messages before absl)")


def mediapipe_image(rgb: NDArray[np.uint8]) -> Any:
    """Wrap an image, uint8 [H, W, 3] in RGB order, for any number of MediaPipe tasks; it is copied once."""
    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb)


def mediapipe_internals() -> SimpleNamespace:
    """What `perception.native` needs of the pinned release: its C library, result structures and error check."""
    from mediapipe.tasks.python.core import mediapipe_c_bindings, mediapipe_c_utils  # noqa: PLC0415
    from mediapipe.tasks.python.vision import face_landmarker, pose_landmarker  # noqa: PLC0415

    return SimpleNamespace(
        library=mediapipe_c_bindings.load_raw_library,
        check=mediapipe_c_utils.handle_status,
        face=face_landmarker.FaceLandmarkerResultC,
        pose=pose_landmarker.PoseLandmarkerResultC,
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back what MediaPipe's native code logs at level warning and below; it honours no log setting.

    Standard error is redirected on the level of the file descriptor, and everything that is not such a log line is
    passed on afterwards.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        saved = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            for line in held:
                if not _NATIVE_LOG.match(line):
                    os.write(2, line)


def create_task(kind: Any, options: Any) -> Any:
    """Build a MediaPipe task such as `vision.FaceLandmarker` without its chatter.

    Raises:
        MissingDependency: its bundle cannot be loaded.
    """
    try:
        with quiet():
            return kind.create_from_options(options)
    except (RuntimeError, ValueError, OSError) as error:
        bundle = options.base_options.model_asset_path
        raise MissingDependency(f"The model {bundle} cannot be loaded; please reinstall Sentry ({error}).") from error


class StampClock:
    """Turns capture times into the strictly increasing milliseconds that MediaPipe's video mode insists on.

    A duplicate, a late frame or a clock that was set back advances by 1 ms instead of raising. A step forward counts
    as at most a second, so that a clock that was set forward does not use up the range.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._stamp = 0

    def stamp(self, t: float) -> int:
        """The stamp of a frame that was captured at `t` seconds."""
        step = 0.0 if self._last is None else t - self._last
        self._last = t
        self._stamp += max(1, round(1000 * min(step, 1.0)))
        return self._stamp
