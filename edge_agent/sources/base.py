"""What every source of frames offers, and how fast its clock may run."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

ALIGN_S = 5
"""A recording's or the puppet's clock starts at a multiple of this, so that its first window is complete early."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture.

    Attributes:
        image: uint8 [H, W, 3] in BGR order; it never leaves this process.
        time: of capture, Unix seconds on the source's clock.
        participant: the pseudonym of who sits there.
        session: of this participant.
        index: counts the frames of this source.
    """

    image: Image
    time: float
    participant: str
    session: str
    index: int


class Source(Protocol):
    """Where frames come from.

    Attributes:
        name: for people; holds no credentials.
        live: frames come by themselves and must be taken or lost; otherwise the source waits for its reader.
    """

    name: str
    live: bool

    @property
    def clock_rate(self) -> float:
        """Seconds of the source's clock in a second of ours."""
        ...

    def frames(self) -> Iterator[Frame | None]:
        """Frames in order, and None now and then while a live source waits for its device or in place of a frame
        that cannot be used.

        May be called again to start over, which a live source does by reopening its device.
        """
        ...

    def close(self) -> None:
        """Free the device; `frames` ends soon after."""
        ...


class Pacer:
    """Holds a source's clock back to `speed` seconds a second; None never waits."""

    def __init__(self, speed: float | None, stop: threading.Event) -> None:
        self._speed = speed
        self._stop = stop
        self._first: tuple[float, float] | None = None
        self._rate = speed or 1.0

    def wait(self, t: float) -> bool:
        """Wait until a frame of time `t` is due; False if the run was stopped meanwhile."""
        now = time.monotonic()
        if self._first is None:
            self._first = (t, now)
        shown, passed = t - self._first[0], now - self._first[1]
        if passed > 1:
            self._rate = shown / passed
        if self._speed is not None and (early := shown / self._speed - passed) > 0:
            self._stop.wait(early)
        return not self._stop.is_set()

    @property
    def rate(self) -> float:
        """Seconds shown in a second so far."""
        return 1.0 if self._speed == 1 else round(self._rate, 2)


def session_name(now: float) -> str:
    """A session's name from its beginning, in UTC; two agents that begin in the same second get two names."""
    return time.strftime("s%Y%m%dT%H%M%SZ", time.gmtime(now)) + "-" + secrets.token_hex(2)


def aligned_start(now: float) -> float:
    """The latest multiple of `ALIGN_S` that is not after `now`."""
    return float(now // ALIGN_S * ALIGN_S)
