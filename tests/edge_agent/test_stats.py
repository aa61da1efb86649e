from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_agent.stats import FrameRate


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns as often as can be."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_the_rate_is_of_the_last_seconds_and_nothing_once_frames_have_stopped() -> None:
    rate = FrameRate()
    for index in range(300):
        rate.add(index / 30)
    assert rate.value(299 / 30) == pytest.approx(30, rel=0.02)
    assert rate.value(100) == 0


@pytest.mark.usefixtures("restless")
def test_many_threads_may_ask_for_the_rate_at_once() -> None:
    with ThreadPoolExecutor(4) as pool:
        for _ in range(1000):
            rate = FrameRate()
            for index in range(400):
                rate.add(index / 1000)
            asked = [pool.submit(rate.value, 100.0) for _ in range(4)]
            assert [answer.result() for answer in asked] == [0.0] * 4
