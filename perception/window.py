"""Windows: the last `length_s` consecutive seconds, whenever a multiple of `hop_s` is reached. Pure."""

from __future__ import annotations

from collections import deque

import numpy as np

from perception.baseline import RunningBaseline
from perception.fusion import Second
from sentry_proto.errors import InputError
from sentry_proto.limits import MAX_SECONDS
from sentry_proto.types import CAMERA_STATES, FeatureWindow

LENGTH_S = 30
HOP_S = 5


class Windower:
    """Cuts the seconds of one session into overlapping windows.

    A window holds consecutive seconds of one session only: a session that is shorter than `length_s` has none, and
    after a jump in time the window fills anew. How much of a window must be covered to be scored is not decided here.

    Its baseline is learned from every second of the same participant before the window's first second, and from no
    other: a second enters the baseline when it leaves the window.

    Args:
        participant, session: whose seconds these are.
        length_s: seconds in a window.
        hop_s: windows end on Unix seconds that are multiples of this.

    Raises:
        InputError: a length or hop that makes no window.
    """

    def __init__(self, participant: str, session: str, length_s: int = LENGTH_S, hop_s: int = HOP_S) -> None:
        if not 1 <= hop_s <= length_s <= MAX_SECONDS:
            raise InputError(f"A window of {length_s} s every {hop_s} s is not possible: 1 <= hop <= length <= 600.")
        self._length, self._hop = length_s, hop_s
        self._participant, self._session = participant, session
        self._seconds: deque[Second] = deque()
        self._baseline = RunningBaseline()

    def start_session(self, participant: str, session: str) -> None:
        """Begin a session; the baseline is kept where the participant is the same."""
        self._retire_all()
        if participant != self._participant:
            self._baseline = RunningBaseline()
        self._participant, self._session = participant, session

    def push(self, second: Second) -> FeatureWindow | None:
        """Take the next second; returns the window that ends with it, if one does."""
        if self._seconds and second.start != self._seconds[-1].start + 1:
            self._retire_all()
        self._seconds.append(second)
        if len(self._seconds) > self._length:
            self._baseline.push(self._seconds.popleft())
        if len(self._seconds) < self._length or (second.start + 1) % self._hop:
            return None
        return self._window()

    def _retire_all(self) -> None:
        while self._seconds:
            self._baseline.push(self._seconds.popleft())

    def _window(self) -> FeatureWindow:
        seconds = self._seconds
        return FeatureWindow(
            participant=self._participant,
            session=self._session,
            start=float(seconds[0].start),
            end=float(seconds[-1].start + 1),
            values=np.stack([second.values for second in seconds]),
            coverage=np.stack([second.coverage for second in seconds]),
            baseline=self._baseline.baseline(),
            camera_states="".join(CAMERA_STATES[second.camera_state] for second in seconds),
        )
