"""What needs more than one frame: speeds over a fixed least time, and blinks. Pure; any frame rate will do."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

LAG_S = 0.2
"""Speeds are taken over at least this long: the noise of a landmark divided by a frame's 16 ms would drown them."""

MEMORY_S = 1.0
"""And over at most this long: the lowest frame rate is 2, and older positions belong to another movement."""

CLOSED_ABOVE = 0.50
OPEN_BELOW = 0.35
"""Hysteresis on the eyeBlink blendshape: in between, the lids stay what they were."""

MAX_BLINK_S = 0.5
"""A longer closure is closed eyes, not a blink (spontaneous blinks take 0.1 to 0.4 s)."""


class Lag(Generic[T]):
    """Remembers what was seen, to compare it with what is seen `LAG_S` later."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, T]] = deque()

    def push(self, t: float, item: T) -> tuple[float, T] | None:
        """Add what is seen at `t` seconds.

        Returns:
            The elapsed seconds and the youngest older item that is at least `LAG_S` and at most `MEMORY_S` old, or
            None where there is none. A frame that is not younger than the last one is not remembered.
        """
        if self._seen and t <= self._seen[-1][0]:
            if self._seen[-1][0] - t > MEMORY_S:  # the clock was set back
                self._seen.clear()
            else:
                return None
        self._seen.append((t, item))
        while len(self._seen) > 1 and t - self._seen[1][0] >= LAG_S:
            self._seen.popleft()
        then, old = self._seen[0]
        return (t - then, old) if LAG_S <= t - then <= MEMORY_S else None

    def clear(self) -> None:
        """Forget all."""
        self._seen.clear()


@dataclass
class Lids:
    """Turns the degree of eye closure into a state (closed or not) and an event (a blink has just ended).

    A blink is reported in the frame in which the eyes reopen, since only then is it known to have been short; so
    whatever the frame rate, one blink is one frame with a 1.
    """

    closed: bool = False
    _since: float = field(default=0.0, init=False)

    def update(self, t: float, closure: float) -> bool:
        """Take the closure (0 open, 1 closed) at `t` seconds; true when a blink ends with this frame."""
        if not self.closed:
            if closure > CLOSED_ABOVE:
                self.closed, self._since = True, t
            return False
        if closure >= OPEN_BELOW:
            return False
        self.closed = False
        return t - self._since <= MAX_BLINK_S

    def clear(self) -> None:
        """The face was lost: nobody knows whether the eyes are closed."""
        self.closed = False
