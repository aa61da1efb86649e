from __future__ import annotations

from collections import Counter

import numpy as np

from trainer_service.replay import reservoir


def study(*cells: tuple[str, str, int]) -> tuple[list[str], list[str], list[str]]:
    rows = [(f"{who}-{what}-{n}", who, what) for who, what, count in cells for n in range(count)]
    order = np.random.default_rng(0).permutation(len(rows))
    windows, people, values = zip(*(rows[n] for n in order), strict=True)
    return list(windows), list(people), list(values)


def test_a_small_study_is_replayed_whole() -> None:
    windows, people, values = study(("A", "calm", 5), ("B", "stressed", 3))
    assert reservoir(windows, people, values, most=8).tolist() == list(range(8))


def test_nobody_and_no_class_is_crowded_out() -> None:
    windows, people, values = study(("A", "calm", 900), ("A", "stressed", 30), ("B", "calm", 50), ("C", "calm", 4))
    rows = reservoir(windows, people, values, most=100)
    kept = Counter((people[row], values[row]) for row in rows)
    assert kept == {("A", "calm"): 33, ("A", "stressed"): 30, ("B", "calm"): 33, ("C", "calm"): 4}


def test_a_new_label_changes_little() -> None:
    windows, people, values = study(("A", "calm", 500), ("B", "calm", 500))
    before = {windows[row] for row in reservoir(windows, people, values, most=100)}
    more = ([*windows, "new"], [*people, "A"], [*values, "calm"])
    after = {more[0][row] for row in reservoir(*more, most=100)}
    assert len(before ^ after) <= 2


def test_a_cell_keeps_one_at_least() -> None:
    windows, people, values = study(*((f"P{n}", "calm", 2) for n in range(20)))
    assert len(reservoir(windows, people, values, most=10)) == 20
