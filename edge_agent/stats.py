"""What a run did, in figures."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from perception.fusion import Second
from sentry_proto.layout import MODALITY_INDEX
from sentry_proto.types import FeatureWindow

KEPT = 10_000
"""Newest timings kept per stage, so that memory stays bounded."""

FPS_SPAN_S = 5.0
SEEN = 0.5
"""A second or more precisely this share of it must show the face to count as one with a face."""

FACE = MODALITY_INDEX["face"]


class Timings:
    """Milliseconds per stage."""

    def __init__(self) -> None:
        self._ms: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=KEPT))

    def add(self, spent: Mapping[str, float]) -> None:
        """Take in one frame's milliseconds per stage."""
        for stage, ms in spent.items():
            self._ms[stage].append(ms)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._ms[name].append(1000 * (time.perf_counter() - start))

    def summary(self) -> dict[str, dict[str, float]]:
        """Median and 95th percentile of each stage; may be asked for from any thread."""
        now = {stage: list(ms) for stage, ms in list(self._ms.items())}
        return {
            stage: {"median_ms": round(float(np.median(ms)), 3), "p95_ms": round(float(np.percentile(ms, 95)), 3)}
            for stage, ms in now.items()
        }


class FrameRate:
    """Frames a second over the last few seconds; may be asked for from any thread."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self._lock = threading.Lock()

    def add(self, now: float) -> None:
        """A frame passed at `now`, monotonic seconds."""
        with self._lock:
            self._times.append(now)
            self._forget(now)

    def value(self, now: float) -> float:
        """The rate at `now`; 0 once frames have stopped."""
        with self._lock:
            self._forget(now)
            if len(self._times) < 2:
                return 0.0
            return (len(self._times) - 1) / max(now - self._times[0], 1e-3)

    def _forget(self, now: float) -> None:
        while self._times and now - self._times[0] > FPS_SPAN_S:
            self._times.popleft()


class SecondCounts:
    """Seconds per camera state, and those with a face."""

    def __init__(self) -> None:
        self.total = self.face = 0
        self.states: Counter[str] = Counter()

    def add(self, second: Second) -> None:
        """Take in one second."""
        self.total += 1
        self.face += bool(second.coverage[FACE] >= SEEN)
        self.states[second.camera_state.value] += 1


def face_share(window: FeatureWindow) -> float:
    """The share of a window's seconds in which the face was seen for at least `SEEN` of the second."""
    return float((window.coverage[:, FACE] >= SEEN).mean())
