"""What a live source reads from, and when what it reads was captured."""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Protocol

MOST_AGE_S = 2.0
"""A driver's stamp that is older than this, or in the future, is of another clock."""

OFFSET_SPAN_S = 30.0
"""How long the least delay of a stream is remembered: clocks of cameras drift."""


Shot = tuple[float, Any]
"""Capture time in Unix seconds, and what the device calls a picture."""


class Device(Protocol):
    """An open camera or stream."""

    def read(self) -> Shot | None:
        """The next picture and its capture time in Unix seconds; None if the device is lost. May block for ever."""
        ...

    def release(self) -> None:
        """Give the device back; a blocked `read` of an isolated device returns."""
        ...


def driver_time(wall: float, monotonic: float, stamp: float) -> float:
    """Capture time in Unix seconds of a camera whose driver stamps pictures by the monotonic clock, as V4L2's do.

    Args:
        wall: Unix seconds now.
        monotonic: the same moment by the monotonic clock.
        stamp: the driver's, in seconds.
    """
    age = monotonic - stamp
    return wall - age if math.isfinite(age) and 0 <= age <= MOST_AGE_S else wall


class StreamClock:
    """Capture times of a stream whose stamps count from its beginning: the picture that came fastest tells the offset.

    What every picture is delayed by at least cannot be seen from here; what varies is taken out.
    """

    def __init__(self) -> None:
        self._offsets: deque[tuple[float, float]] = deque()  # increasing in both, for the minimum of a moving span

    def time(self, wall: float, stamp: float) -> float:
        """Unix seconds at which a picture that came at `wall` was captured, by its stamp in seconds."""
        offset = wall - stamp
        if not math.isfinite(offset) or (self._offsets and abs(offset - self._offsets[0][1]) > MOST_AGE_S):
            self._offsets.clear()  # no stamp, or the stream began anew, or our clock was set
            if not math.isfinite(offset):
                return wall
        while self._offsets and wall - self._offsets[0][0] > OFFSET_SPAN_S:
            self._offsets.popleft()
        while self._offsets and self._offsets[-1][1] >= offset:
            self._offsets.pop()
        self._offsets.append((wall, offset))
        return stamp + self._offsets[0][1]
