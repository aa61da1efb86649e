"""When a frame was captured, on this machine's clock, from when it arrived. Pure.

A sender stamps frames by its own clock, whose zero we do not know, and they arrive late by a delay that varies with
network, loss and decoding. The least delay of the last `SPAN_S` is taken for that of the path itself (as NTP's clock
filter does: RFC 5905, section 10), so `stamp + least(arrival - stamp)` has the spacing of the capture, and what a frame
waited beyond that least delay shows as its age. The path's own delay cannot be seen from here; see docs/webrtc.md for
how large it was measured to be.
"""

from __future__ import annotations

from collections import deque

SPAN_S = 60.0
"""Two clocks drift apart by less than 6 ms in this time (100 parts in a million)."""


class CaptureClock:
    """Maps the stamps of one stream, in seconds, to Unix seconds."""

    def __init__(self) -> None:
        self._least: deque[tuple[float, float]] = deque()  # (arrival, offset), offsets increasing: a sliding minimum

    def time(self, stamp: float, arrival: float) -> float:
        """When the frame stamped `stamp` was captured, given that it arrived at Unix second `arrival`."""
        offset = arrival - stamp
        while self._least and self._least[-1][1] >= offset:
            self._least.pop()
        self._least.append((arrival, offset))
        while not 0 <= arrival - self._least[0][0] <= SPAN_S:  # too old, or this machine's clock was set back
            self._least.popleft()
        return stamp + self._least[0][1]
