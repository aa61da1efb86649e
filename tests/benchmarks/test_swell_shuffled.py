"""Shuffled minutes: the same features of the same people, at other times."""

from __future__ import annotations

import numpy as np

from benchmarks.swell_shuffled import shuffled
from tests.training.test_swellkw import FACE, make_table


def test_features_change_places_within_the_person_and_nothing_else_moves() -> None:
    table = make_table()
    other = shuffled(table, FACE, seed=0)
    assert other.drop(columns=FACE).equals(table.drop(columns=FACE))
    assert (other[FACE] != table[FACE]).any(axis=None)
    for person in table["PP"].unique():
        own = (table["PP"] == person).to_numpy()
        before, after = (np.array(sorted(map(tuple, t.loc[own, FACE].to_numpy().tolist()))) for t in (table, other))
        np.testing.assert_array_equal(before, after)
