"""Evidence for raters: a few small pictures of the participant, the face made unrecognisable, in windows that are sent.

Only under a consent that covers them. A picture is cut to the participant, so that little of the room is in it; the
face is averaged in a few coarse cells, which nothing can undo, before the picture is kept anywhere, even in memory.
None is taken while a second person is seen. Faces that MediaPipe does not find stay as they are.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import cv2
import numpy as np

from perception.chain import FrameResult, Image
from perception.crop import Box
from perception.pictures import fitted
from perception.window import LENGTH_S
from sentry_proto.limits import MAX_STILL_BYTES, MAX_STILLS
from sentry_proto.types import CameraState, FeatureWindow, Record, Still, Window

EVERY_S = 5.0
KEPT = round(2 * LENGTH_S / EVERY_S)
"""Pictures in memory: a window is complete some seconds after its end."""

AROUND = Box(-1.5, -0.8, 2.5, 3.2)
"""What is cut out, from the face's box in its widths and heights: the upper body and what the hands do."""

HIDDEN = Box(-0.3, -0.4, 1.3, 1.25)
"""What is made unrecognisable, in the same units: the face with hair, ears and chin."""

SIDE = 160
"""Pixels of the longer side."""

CELLS = 4
"""A hidden face is this many cells wide and high."""

QUALITIES = (70, 40)
"""Of the JPEG; the second where the first gives too many bytes."""


class Stills:
    """Takes a picture of a session every `EVERY_S`, and gives a window those that were taken in it."""

    def __init__(self) -> None:
        self._taken: deque[Still] = deque(maxlen=KEPT)

    def look(self, image: Image, seen: FrameResult) -> None:
        """Take a picture if one is due; `seen` is what perception made of this frame."""
        if self._taken and 0 <= seen.t - self._taken[-1].time < EVERY_S:
            return
        if seen.camera_state is not CameraState.OK or seen.box is None:
            return
        jpeg = _jpeg(unrecognisable(fitted(image), seen.box))
        if jpeg is not None:
            self._taken.append(Still(seen.t, jpeg))

    def attached(self, record: Record) -> Record:
        """A window with at most `MAX_STILLS` of its pictures, evenly spread; any other record as it is."""
        return replace(record, stills=self._within(record.features)) if isinstance(record, Window) else record

    def _within(self, window: FeatureWindow) -> tuple[Still, ...]:
        there = [still for still in self._taken if window.start <= still.time <= window.end]
        chosen = np.linspace(0, len(there) - 1, min(MAX_STILLS, len(there))).round().astype(int)
        return tuple(there[i] for i in chosen)

    def forget(self) -> None:
        """Another session begins."""
        self._taken.clear()


def unrecognisable(image: Image, face: Box) -> Image:
    """The participant cut out of a frame, at most `SIDE` wide and high, with the face in `CELLS` x `CELLS` cells.

    Args:
        image: uint8 [H, W, 3] in BGR order.
        face: in its pixels.
    """
    part = _within_image(AROUND, face, image)
    hidden = _within_image(HIDDEN, face, image)
    picture = image.copy()
    region = picture[hidden]
    coarse = cv2.resize(region, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    picture[hidden] = cv2.resize(coarse, region.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    cut = picture[part]
    scale = min(1.0, SIDE / max(cut.shape[:2]))
    size = max(1, round(scale * cut.shape[1])), max(1, round(scale * cut.shape[0]))
    return np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA), np.uint8)


def _within_image(relative: Box, face: Box, image: Image) -> tuple[slice, slice]:
    """Rows and columns of a part given in widths and heights of the face; never empty."""
    height, width = image.shape[:2]
    across, down = face.x1 - face.x0, face.y1 - face.y0
    rows = np.clip((face.y0 + relative.y0 * down, face.y0 + relative.y1 * down), 0, height)
    columns = np.clip((face.x0 + relative.x0 * across, face.x0 + relative.x1 * across), 0, width)
    return _whole(rows, height), _whole(columns, width)


def _whole(ends: np.ndarray, most: int) -> slice:
    first = min(int(np.floor(ends[0])), most - 1)
    return slice(first, max(int(np.ceil(ends[1])), first + 1))


def _jpeg(picture: Image) -> bytes | None:
    """The picture's bytes; None where it cannot be made small enough."""
    for quality in QUALITIES:
        made, data = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, quality))
        if made and data.size <= MAX_STILL_BYTES:
            return data.tobytes()
    return None
