"""Per-second fusion: the frames of one UTC second become one vector. Pure: time is what the frames say.

Rules
    second       frame t belongs to second floor(t); the order of arrival inside the lateness does not matter
    close        a second is closed once a frame is `lateness_s` younger than its end; a frame that is older than the
                 youngest one by more than that is late: dropped and counted
    duplicate    of two frames with the same time the first is kept; the other is counted
    gap          seconds without a frame are emitted as absent: no values, coverage 0, unplugged
    jump         a step of more than `MAX_GAP_S` in either direction is a new beginning: what is pending is emitted, and
                 the next second does not continue it

Weights
    A frame stands for the time nearest to it inside its second, up to `REACH_S` to either side: with 2 to 60 frames a
    second, at any spacing, these pieces add up to 1. Mean, spread and coverage weigh frames by their piece, so that
    they do not depend on the frame rate. Spread and range are of the frames that there are: below about 5 frames a
    second they come out smaller, and blinks are missed; the number of frames travels with the second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentry_proto.errors import MalformedMessage
from sentry_proto.layout import (
    FRAME_FEATURES,
    FRAME_INDEX,
    MODALITIES,
    N_FRAME,
    N_MODALITIES,
    N_SECOND,
    SECOND_FEATURES,
)
from sentry_proto.types import CameraState, Float32

LATENESS_S = 0.5
REACH_S = 0.5
MAX_GAP_S = 10

LOW = np.array([feature.low for feature in SECOND_FEATURES])
HIGH = np.array([feature.high for feature in SECOND_FEATURES])
IN_MODALITY = np.array([[feature.modality == name for feature in FRAME_FEATURES] for name in MODALITIES])


def _columns(aggregate: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where an aggregate reads in the frame vector and where it writes in the second's."""
    chosen = [(FRAME_INDEX[f.source], i) for i, f in enumerate(SECOND_FEATURES) if f.aggregate == aggregate]
    source, target = zip(*chosen, strict=True)
    return np.array(source), np.array(target)


MEAN, SPREAD, RANGE, COUNT = (_columns(name) for name in ("mean", "spread", "range", "count"))
EVENTS = COUNT[0]


@dataclass(frozen=True, eq=False)
class Second:
    """One UTC second.

    Attributes:
        start: Unix second at which it begins.
        values: float32 [N_SECOND], finite and within the layout's ranges; 0 where unseen.
        coverage: float32 [N_MODALITIES] in 0..1, the share of the second in which each modality was seen.
        camera_state: the one that held longest.
        frames: how many frames it is made of.
    """

    start: int
    values: Float32
    coverage: Float32
    camera_state: CameraState
    frames: int


@dataclass(frozen=True, eq=False)
class _Frame:
    t: float
    values: Float32
    camera_state: CameraState


class SecondFuser:
    """Collects frames and emits each second once it is complete.

    Args:
        lateness_s: how much later than the youngest frame a frame may arrive.

    Attributes:
        late, duplicates: how many frames were dropped, and why.
    """

    def __init__(self, lateness_s: float = LATENESS_S) -> None:
        self.late = 0
        self.duplicates = 0
        self._lateness = lateness_s
        self._start_anew()

    def _start_anew(self) -> None:
        self._pending: dict[int, dict[float, _Frame]] = {}
        self._youngest = -math.inf
        self._next: int | None = None  # the first second that is not closed
        self._last_events = np.full(len(EVENTS), np.nan)

    def add(self, t: float, values: Float32, camera_state: CameraState) -> list[Second]:
        """Take a frame: capture time in Unix seconds, float32 [N_FRAME] with NaN where unseen.

        Returns:
            The seconds that this frame completes, oldest first.

        Raises:
            MalformedMessage: the time is not finite or the vector has another length.
        """
        if not math.isfinite(t) or values.shape != (N_FRAME,):
            raise MalformedMessage(f"A frame needs a finite time and {N_FRAME} values; got {t} and {values.shape}.")
        done = self.flush() if abs(t - self._youngest) > MAX_GAP_S else []
        if t < self._youngest - self._lateness:
            self.late += 1
            return done
        frames = self._pending.setdefault(math.floor(t), {})
        if t in frames:
            self.duplicates += 1
        else:
            frames[t] = _Frame(t, np.where(np.isfinite(values), values, np.nan), camera_state)
        self._youngest = max(self._youngest, t)
        return done + self._close(math.floor(self._youngest - self._lateness))

    def flush(self) -> list[Second]:
        """Emit all that is pending, complete or not, and begin anew."""
        done = self._close(max(self._pending) + 1) if self._pending else []
        self._start_anew()
        return done

    def _close(self, end: int) -> list[Second]:
        """Close the seconds before `end`."""
        if self._next is None:
            first = min(self._pending)
            if first >= end:
                return []
            self._next = first
        seconds = [self._fuse(start) for start in range(self._next, end)]
        self._next = max(self._next, end)
        return seconds

    def _fuse(self, start: int) -> Second:
        found = self._pending.pop(start, None)
        if found is None:
            self._last_events[:] = np.nan
            return absent(start)
        frames = [found[t] for t in sorted(found)]
        values = np.array([frame.values for frame in frames], np.float64)
        weights = pieces(np.array([frame.t for frame in frames]) - start)
        events, self._last_events = count_events(values[:, EVENTS], self._last_events)
        return Second(
            start=start,
            values=aggregate(values, weights, events),
            coverage=modality_coverage(values, weights),
            camera_state=longest_state([frame.camera_state for frame in frames], weights),
            frames=len(frames),
        )


def absent(start: int) -> Second:
    """A second of which nothing is known."""
    nothing = np.zeros(N_SECOND, np.float32), np.zeros(N_MODALITIES, np.float32)
    return Second(start, *nothing, CameraState.UNPLUGGED, 0)


def pieces(offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of the second each frame stands for; `offsets` are seconds in 0..1, increasing."""
    middles = (offsets[1:] + offsets[:-1]) / 2
    begin = np.maximum(np.concatenate(([0.0], middles)), offsets - REACH_S)
    end = np.minimum(np.concatenate((middles, [1.0])), offsets + REACH_S)
    weights: NDArray[np.float64] = end - begin
    return weights


def modality_coverage(values: NDArray[np.float64], weights: NDArray[np.float64]) -> Float32:
    """The share of the second in which any value of a modality was seen: float32 [N_MODALITIES]."""
    seen = np.isfinite(values) @ IN_MODALITY.T > 0
    coverage: Float32 = np.clip(weights @ seen, 0.0, 1.0).astype(np.float32)
    return coverage


def count_events(
    indicator: NDArray[np.float64], last: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rising edges of indicators [frames, events] and the last value seen of each, given the one before (or NaN)."""
    counts = np.zeros(len(last))
    for row in indicator:
        counts += (row > 0.5) & (last <= 0.5)
        last = np.where(np.isfinite(row), row, last)
    return counts, last


def aggregate(values: NDArray[np.float64], weights: NDArray[np.float64], events: NDArray[np.float64]) -> Float32:
    """The second's vector from its frames [n, N_FRAME], their weights [n] and the counted events."""
    finite = np.isfinite(values)
    filled = np.where(finite, values, 0.0)
    each = weights[:, None] * finite
    total = each.sum(axis=0)
    seen = total > 0
    share = each / np.where(seen, total, 1.0)
    mean = (share * filled).sum(axis=0)
    spread = np.sqrt((share * (filled - mean) ** 2).sum(axis=0))
    highest = np.where(finite, values, -np.inf).max(axis=0)
    lowest = np.where(finite, values, np.inf).min(axis=0)
    reach = np.where(seen, highest, 0.0) - np.where(seen, lowest, 0.0)
    second = np.zeros(N_SECOND)
    for (source, target), result in ((MEAN, mean), (SPREAD, spread), (RANGE, reach)):
        second[target] = np.where(seen[source], np.clip(result[source], LOW[target], HIGH[target]), 0.0)
    second[COUNT[1]] = np.clip(events, LOW[COUNT[1]], HIGH[COUNT[1]])
    return second.astype(np.float32)


def longest_state(states: list[CameraState], weights: NDArray[np.float64]) -> CameraState:
    """The state that held for most of the second; of equals the one that is first in `CameraState`."""
    held = dict.fromkeys(CameraState, 0.0)
    for state, weight in zip(states, weights, strict=True):
        held[state] += weight
    return max(held, key=lambda state: held[state])
