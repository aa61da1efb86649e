from __future__ import annotations

from pathlib import Path

from benchmarks.latency import _row, draw, fill, render
from trainer_service.opinions import OpinionFeed
from trainer_service.store import Store


def test_the_store_is_filled_with_labelled_windows_of_people_on_both_sides(tmp_path: Path) -> None:
    left = fill(tmp_path / "store.sqlite", 30, 5)
    store = Store(tmp_path / "store.sqlite")
    with store.read() as connection:
        held = OpinionFeed("stress").read(connection)
    store.close()
    assert len({one.window_id for one in held}) == 30
    assert {one.partition for one in held} == {"train", "holdout"}
    assert len(left) == 5
    assert not {window_id for window_id, _ in left} & {one.window_id for one in held}


def test_a_missed_limit_is_told(tmp_path: Path) -> None:
    good = _row(1_000, 1, 0, [(0.5, 0.5), (0.7, 0.7)], 400.0)
    slow = _row(1_000, 50, 1, [(0.5, 3.0), (1.7, 4.0)], 400.0)
    big = _row(100_000, 1, 0, [(2.0, 2.0)], 1_200.0)
    free = _row(100, 1, 0, [(9.0, 9.0)], 9_999.0)
    assert [row["kept"] for row in (good, slow, big, free)] == [True, False, False, True]
    lines = render([good, slow, big, free]).splitlines()[1:]
    assert [line.split()[-1] for line in lines] == ["kept", "MISSED", "MISSED", "-"]
    draw([good, slow, big, free], tmp_path / "latency.png")
    assert (tmp_path / "latency.png").stat().st_size > 10_000
