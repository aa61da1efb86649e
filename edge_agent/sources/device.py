"""What a live source reads from, and when what it reads was captured."""

from __future__ import annotations

import math
from collections import deque
from statistics import median
from typing import Any, Protocol

MOST_AGE_S = 2.0
"""A driver's stamp that is older than this, or in the future, is of another clock."""

OFFSET_SPAN_S = 10.0
"""How long the least delay of a stream is remembered: clocks of cameras drift."""

COMPARED = 3
"""The least delays of seconds this far apart are compared; twice as many must be known before stamps are believed."""

MOST_RATE_ERROR = 0.01
"""Seconds a second by which stamps may run faster or slower than our clock, and twice that to be believed no longer:
jitter looks a little like it. Quartz is off by a hundredth of it."""


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

    What every picture is delayed by at least cannot be seen from here; what varies is taken out. Stamps are believed
    once they have been seen to run as fast as our clock. FFmpeg makes up those of motion JPEG, 25 a second whatever the
    camera gives: such pictures count as captured when they come, as those of any stream do in its first seconds.
    """

    def __init__(self) -> None:
        self._least: deque[tuple[float, float]] = deque()  # beginning of a second of our clock, its least offset
        self._believed = False

    def time(self, wall: float, stamp: float) -> float:
        """Unix seconds at which a picture that came at `wall` was captured, by its stamp in seconds."""
        offset = wall - stamp
        if not self._goes_on(offset):  # no stamp, or the stream began anew, or our clock was set
            self._least.clear()
            self._believed = False
        if not math.isfinite(offset):
            return wall
        self._remember(math.floor(wall), offset)
        return stamp + self._offset() if self._believed else wall

    def _offset(self) -> float:
        return min(least for _, least in self._least)

    def _goes_on(self, offset: float) -> bool:
        return not self._least or abs(offset - self._offset()) <= MOST_AGE_S

    def _remember(self, second: int, offset: float) -> None:
        if self._least and self._least[-1][0] == second:
            self._least[-1] = second, min(offset, self._least[-1][1])
            return
        self._believed = self._run_alike()
        self._least.append((second, offset))
        while second - self._least[0][0] > OFFSET_SPAN_S:
            self._least.popleft()

    def _run_alike(self) -> bool:
        """Whether the least offset has stayed the same; the median forgives a network that became slower once."""
        later = list(self._least)[COMPARED:]
        rates = [(b - a) / max(u - t, 1) for (t, a), (u, b) in zip(self._least, later, strict=False)]
        most = 2 * MOST_RATE_ERROR if self._believed else MOST_RATE_ERROR
        return len(later) >= COMPARED and abs(median(rates)) <= most
