from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.runtime import StampClock, quiet


@given(st.lists(st.floats(-1e10, 1e10), min_size=2, max_size=30))
def test_stamps_increase_whatever_the_capture_times_do(times: list[float]) -> None:
    clock = StampClock()
    stamps = [clock.stamp(t) for t in times]
    assert all(a < b for a, b in itertools.pairwise(stamps))
    assert stamps[-1] <= 1000 * len(times)


def test_stamps_keep_the_spacing_of_a_regular_camera() -> None:
    clock = StampClock()
    stamps = [clock.stamp(1.7e9 + i / 25) for i in range(5)]
    assert [b - a for a, b in itertools.pairwise(stamps)] == [40, 40, 40, 40]


def test_quiet_holds_back_native_chatter_only(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        os.write(2, b"W0000 00:00:1 7 some_graph.cc:174] chatter\nE0000 a real error\nsomebody else's line\n")
    assert capfd.readouterr().err == "E0000 a real error\nsomebody else's line\n"
