from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_agent.sources.device import MOST_AGE_S, Shot, StreamClock, driver_time
from edge_agent.sources.reader import HEADER, serve


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [(99.9, 999.9), (100.0, 1000.0), (0.0, 1000.0), (97.0, 1000.0), (100.5, 1000.0), (float("nan"), 1000.0)],
)
def test_a_drivers_stamp_counts_if_it_is_of_this_clock(stamp: float, expected: float) -> None:
    assert driver_time(1000.0, 100.0, stamp) == pytest.approx(expected)


Pictures = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""When pictures were captured and when they came, both by our clock, and their stamps."""

DELAY_S = 0.1


def stream(
    fps: float, seconds: float = 60, stamped_fps: float = 0.0, jitter_s: float = 0.0, ppm: float = 0.0
) -> Pictures:
    """A stream over a network that takes `DELAY_S` and exponential jitter; made-up stamps if `stamped_fps`."""
    n = round(fps * seconds)
    captured = 1e9 + np.arange(n) / fps
    delays = DELAY_S + np.random.default_rng(0).exponential(jitter_s, n)
    stamps = np.arange(n) / stamped_fps if stamped_fps else (captured - 1e9) * (1 + ppm * 1e-6)
    return captured, np.maximum.accumulate(captured + delays), stamps


def then(first: Pictures, second: Pictures, clock_s: float = 0.0, stamps_go_on: bool = True) -> Pictures:
    """One stream after the other, while our clock is set by `clock_s` or the stamps begin anew."""
    gap = first[0][-1] - first[0][0] + 0.1
    later = second[2] + (first[2][-1] + 0.1 if stamps_go_on else 0)
    moved = (second[0] + gap + clock_s, second[1] + gap + clock_s, later)
    return tuple(np.concatenate(pair) for pair in zip(first, moved, strict=True))  # type: ignore[return-value]


def slower_network(pictures: Pictures, by_s: float) -> Pictures:
    """The second half takes longer on its way."""
    captured, came, stamps = pictures
    return captured, came + by_s * (np.arange(len(came)) > len(came) / 2), stamps


def times_told(came: NDArray[np.float64], stamps: NDArray[np.float64]) -> NDArray[np.float64]:
    clock = StreamClock()
    return np.array([clock.time(*picture) for picture in zip(came, stamps, strict=True)])


HONEST = stream(30, jitter_s=0.05)
SETTLED_S = 8.0

# name -> (pictures, seconds by which a told time may be off after the first `SETTLED_S`)
STREAMS: dict[str, tuple[Pictures, float]] = {
    "honest stamps, jitter": (HONEST, 0.005),
    "honest stamps, jitter, 8 a second": (stream(8, jitter_s=0.05), 0.02),
    "honest stamps, much jitter": (stream(15, jitter_s=0.1), 0.04),
    "honest stamps, a camera clock that drifts": (stream(30, 600, jitter_s=0.03, ppm=100), 0.005),
    "honest stamps, a camera clock that drifts the other way": (stream(30, 600, jitter_s=0.03, ppm=-100), 0.005),
    "honest stamps of 24 a second": (stream(24, stamped_fps=24, jitter_s=0.03), 0.005),
    "made-up stamps, 8 a second": (stream(8, stamped_fps=25), 0.001),
    "made-up stamps, 12 a second": (stream(12, stamped_fps=25), 0.001),
    "made-up stamps, 15 a second": (stream(15, stamped_fps=25), 0.001),
    "made-up stamps, 24 a second": (stream(24, stamped_fps=25), 0.001),
    "made-up stamps, 30 a second": (stream(30, stamped_fps=25), 0.001),
    "made-up stamps that happen to be nearly right": (stream(24.9, stamped_fps=25), 0.06),
    "no stamps": (stream(30, stamped_fps=1e12), 0.001),
}


@pytest.mark.parametrize("name", STREAMS)
def test_pictures_are_told_to_be_as_old_as_they_are(name: str) -> None:
    (captured, came, stamps), limit = STREAMS[name]
    told = times_told(came, stamps)
    assert (told <= came + 1e-6).all(), "no picture is captured after it came"
    settled = captured > captured[0] + SETTLED_S
    assert np.abs(told - captured - DELAY_S)[settled].max() <= limit


BREAKS = {
    "the stream begins anew": then(HONEST, HONEST, stamps_go_on=False),
    "our clock is set by an hour": then(HONEST, HONEST, clock_s=3600),
    "our clock is set back by an hour": then(HONEST, HONEST, clock_s=-3600),
    "our clock is set by half a second": then(HONEST, HONEST, clock_s=0.5),
    "our clock is set back by half a second": then(HONEST, HONEST, clock_s=-0.5),
    "the camera slows down in the evening": then(stream(25, stamped_fps=25), stream(12, stamped_fps=25)),
}


@pytest.mark.parametrize("name", BREAKS)
def test_what_breaks_a_stream_is_over_soon(name: str) -> None:
    captured, came, stamps = BREAKS[name]
    told = times_told(came, stamps)
    assert (told <= came + 1e-6).all()
    assert (came - told).max() <= MOST_AGE_S
    late = np.abs(captured[-1] - captured) < 45
    assert np.abs(told - captured - DELAY_S)[late].max() <= 0.01


def test_a_network_that_becomes_slower_makes_no_honest_stamp_a_lie() -> None:
    _, came, stamps = slower_network(HONEST, 0.3)
    told = times_told(came, stamps)
    intervals = np.diff(told)[round(30 * SETTLED_S) :]
    assert np.sort(np.abs(intervals - 1 / 30))[-10] < 0.005, "but for the moment at which the delay counts as usual"


def test_a_stream_that_begins_anew_or_tells_no_time_is_taken_as_it_comes() -> None:
    clock = StreamClock()
    clock.time(1e9, 500.0)
    assert clock.time(1e9 + 1, 0.0) == pytest.approx(1e9 + 1)
    assert clock.time(1e9 + 2, float("nan")) == 1e9 + 2


class Stingy:
    """Takes a few bytes at a time, as a pipe may that is nearly full."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def write(self, data: memoryview, /) -> int:
        self.taken += data[:1000]
        return min(len(data), 1000)


def test_a_picture_arrives_whole_however_it_lies_in_memory_and_however_little_is_taken_at_once() -> None:
    mirrored = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)[:, ::-1]

    class Once:
        shots: list[Shot | None] = [(1.5, mirrored), None]  # noqa: RUF012

        def read(self) -> Shot | None:
            return self.shots.pop(0)

        def release(self) -> None: ...

    out = Stingy()
    serve(Once(), out)
    assert HEADER.unpack(out.taken[: HEADER.size]) == (b"PICT", 1.5, 48, 64)
    assert bytes(out.taken[HEADER.size :]) == mirrored.tobytes()
