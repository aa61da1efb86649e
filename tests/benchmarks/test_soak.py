from __future__ import annotations

import pytest

from benchmarks.soak import growth, resident_mib, soak


def test_growth_is_told_apart_from_what_is_allocated_once() -> None:
    once = [(30 * i, 100.0 + min(i, 10) * 20) for i in range(100)]
    assert growth(once) == pytest.approx(0, abs=1e-6)
    leaking = [(30 * i, 300.0 + i / 60) for i in range(100)]  # 1 MiB a minute at 30 frames a second
    assert growth(leaking) == pytest.approx(60, rel=1e-3)


def test_memory_that_is_taken_shows() -> None:
    before = resident_mib()
    taken = bytearray(64 << 20)
    assert resident_mib() - before == pytest.approx(64, abs=8)
    assert taken


@pytest.mark.slow
def test_the_puppet_soaks() -> None:
    figures = soak("puppet", 10, None)
    assert figures["frames"] > 10
    assert figures["growth_mib"] < 50
    assert figures["growth_mib_per_hour"] is None, "so few frames tell nothing of an hour"
