"""What needs more than one frame: speeds over a fixed least time, and blinks. Pure; any frame rate will do."""

from __future__ import annotations

import math
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

CLOCK_GRAIN_S = 1e-5
"""Times this close are the same. Unix seconds in double precision are off by up to 2e-7 s, and the frames of 5, 10, 15
or 30 a second lie exactly at the bounds below: without a grain the same video has other speeds on another day."""

LAG_S = 0.2
"""Speeds are taken over at least this long: the noise of a landmark divided by a frame's 16 ms would drown them."""

MEMORY_S = 1.0
"""And over at most this long: the lowest frame rate is 2, and older positions belong to another movement."""

BLINK_RISE, BLINK_FALL = 0.2, 0.15
"""A blink begins and ends this far above the value that the eyeBlink blendshape has while this person's eyes are open.
MediaPipe smooths in time, so that short blinks peak at 0.35 to 0.65, and eyes that look down rest at 0.3 to 0.5."""

MAX_BLINK_S = 0.5
"""A longer rise is closed eyes or a look downwards (spontaneous blinks take 0.1 to 0.4 s)."""

OPEN_FALL_S, OPEN_RISE_S = 0.3, 2.0
"""Time constants with which the level of open eyes follows downwards and upwards."""


class Lag(Generic[T]):
    """Remembers what was seen, to compare it with what is seen `LAG_S` later."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, T]] = deque()

    def push(self, t: float, item: T) -> tuple[float, T] | None:
        """Add what is seen at `t` seconds.

        Returns:
            The elapsed seconds and the youngest older item that is at least `LAG_S` and at most `MEMORY_S` old, give
            or take the grain of the clock, or None where there is none. A frame that is not younger than the last one
            is not remembered.
        """
        if self._seen and t <= self._seen[-1][0]:
            if self._seen[-1][0] - t > MEMORY_S:  # the clock was set back
                self._seen.clear()
            else:
                return None
        self._seen.append((t, item))
        while len(self._seen) > 1 and t - self._seen[1][0] >= LAG_S - CLOCK_GRAIN_S:
            self._seen.popleft()
        then, old = self._seen[0]
        elapsed = t - then
        return (elapsed, old) if LAG_S - CLOCK_GRAIN_S <= elapsed <= MEMORY_S + CLOCK_GRAIN_S else None

    def clear(self) -> None:
        """Forget all."""
        self._seen.clear()


class Hysteresis:
    """An indicator that switches on above one threshold and off below a lower one."""

    def __init__(self, on_above: float, off_below: float) -> None:
        self._on_above, self._off_below = on_above, off_below
        self.on = False

    def update(self, value: float) -> bool:
        """Take a value; returns the state after it."""
        self.on = value >= self._off_below if self.on else value > self._on_above
        return self.on

    def clear(self) -> None:
        """Switch off: nothing is known."""
        self.on = False


class Blinks:
    """Finds blinks: short rises of the eye closure over the level that it has while the eyes are open.

    A blink begins `BLINK_RISE` above that level; it ends when half of its peak is lost and it is less than `BLINK_FALL`
    above the level. The level follows the closure slowly upwards and quickly downwards; a rise that lasts is no blink
    but the new level.

    A blink is reported in the frame in which the eyes reopen, since only then is it known to have been short; so
    whatever the frame rate, one blink is one frame.
    """

    def __init__(self) -> None:
        self._open: float | None = None
        self._last = 0.0
        self._since: float | None = None  # when the closure rose
        self._peak = 0.0  # how far it has risen since

    def update(self, t: float, closure: float) -> bool:
        """Take the closure (0 open, 1 closed) at `t` seconds; true when a blink ends with this frame."""
        if self._open is None:
            self._open, self._last = closure, t
        elapsed, self._last = max(0.0, t - self._last), t
        rise = closure - self._open
        if self._since is None:
            if rise > BLINK_RISE:
                self._since, self._peak = t, rise
            else:
                self._open += rise * (1 - math.exp(-elapsed / (OPEN_RISE_S if rise > 0 else OPEN_FALL_S)))
            return False
        lasted, self._peak = t - self._since, max(rise, self._peak)
        if rise < min(self._peak / 2, BLINK_FALL):
            self._since = None
            return lasted <= MAX_BLINK_S + CLOCK_GRAIN_S
        if lasted > MAX_BLINK_S + CLOCK_GRAIN_S:
            self._open, self._since = closure, None
        return False

    def clear(self) -> None:
        """The face was lost."""
        self._open = self._since = None
