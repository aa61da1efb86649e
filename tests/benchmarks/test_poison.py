"""S5: wrong labels are refused, or cost the live head at most a point of balanced accuracy."""

from __future__ import annotations

import pytest

from benchmarks.poison import LIMIT, QUICK_SEEDS, SCENARIOS, table


@pytest.mark.slow
@pytest.mark.promise("S5")
def test_wrong_labels_ship_no_worse_model() -> None:
    """Three draws of the study; how often a point is lost by chance, only the twenty of the whole table tell."""
    right, *wrong = table(QUICK_SEEDS)
    assert len(wrong) == len(SCENARIOS) - 1
    assert right["seeds"] > 0, "there is a head that could be made worse"
    assert right["published"] > 0, "and a gate that lets right labels through"
    for row in wrong:
        assert row["kept"] == row["seeds"] == right["seeds"], row
        assert row["worst_lost"] <= LIMIT, row
