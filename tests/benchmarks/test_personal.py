"""The benchmark of personal offsets on a few people: who needs one gets it and gains."""

from __future__ import annotations

import numpy as np

from benchmarks.personal import play, render, summarise


def test_who_is_read_wrongly_gains_and_others_seldom_get_an_offset() -> None:
    rows = []
    for bias in (0.0, 2.0):
        generator = np.random.default_rng(0)
        rows.append(summarise(bias, 120, [play(bias, 120, generator) for _ in range(10)]))
    suited, wrong = rows
    assert suited["used"] <= 1
    assert wrong["used"] >= 4
    assert wrong["helped"] == wrong["used"]
    assert wrong["personal"] > wrong["generic"] + 5
    assert render(rows).count("\n") == 3
