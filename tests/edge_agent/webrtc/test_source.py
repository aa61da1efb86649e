"""A participant's slot for one picture."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from edge_agent.sources.base import Image
from edge_agent.webrtc.source import PeerSource


def picture(value: int, made: list[int]) -> Callable[[], Image]:
    def make() -> Image:
        made.append(value)
        return np.full((48, 64, 3), value, np.uint8)

    return make


def test_the_newest_picture_is_taken_and_no_other_is_converted() -> None:
    made: list[int] = []
    source = PeerSource("P-01", "s1", threading.Event())
    for value in (1, 2, 3):
        source.put(picture(value, made), 100.0 + value)
    frame = next(iter(source.frames()))
    assert frame is not None
    assert (frame.image[0, 0, 0], frame.time, frame.participant, frame.session) == (3, 103.0, "P-01", "s1")
    assert made == [3]
    assert (source.received, source.replaced) == (3, 2)


def test_silence_is_told_and_stop_ends_it() -> None:
    stop = threading.Event()
    frames = PeerSource("P-01", "s1", stop).frames()
    began = time.monotonic()
    assert next(frames) is None
    assert time.monotonic() - began < 2
    stop.set()
    assert list(frames) == []


def test_a_reader_that_was_left_behind_ends() -> None:
    source = PeerSource("P-01", "s1", threading.Event())
    old, new = source.frames(), source.frames()
    assert next(old) is None
    assert next(new) is None
    assert list(old) == []
