"""The coverage benchmark in a short form: honest intervals, and a naive rate that is far off."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.coverage import NAIVE, SHARES, WORLDS, kept, run, summarise, table


def test_honest_intervals_hold_the_truth_and_naive_ones_do_not() -> None:
    rows = run(replace(WORLDS["good head"], hours=8.0), 12)
    by_name = {row["rate"]: row for row in rows}
    for name in SHARES:
        assert by_name[name]["coverage"] >= 10 / 12
    assert by_name[NAIVE]["bias"] > 0.05
    assert by_name[NAIVE]["coverage"] < 0.5
    assert "| good head | miss_rate | 12 |" in table({"good head": rows})


def test_a_missed_target_is_said() -> None:
    rows = run(replace(WORLDS["good head"], hours=4.0), 3)
    found = summarise({"good head": [{**row, "coverage": 0.9} for row in rows]})
    assert not kept(found)
