"""Windows: pooled once, and anew where what was seen differs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.training.window_study import make_windows
from training.pooling import pool

STUDY = make_windows(people=2, minutes=3)


def test_pooling_some_windows_is_pooling_all_and_choosing() -> None:
    rows = np.array([5, 0, 5])
    np.testing.assert_array_equal(STUDY.pooled(rows), pool(*STUDY.batch(rows), STUDY.space))
    assert STUDY.pooled() is STUDY.pooled()


def test_other_labels_share_what_was_pooled() -> None:
    flipped = ~STUDY.allowed["stress"]
    relabelled = STUDY.relabelled("stress", flipped)
    np.testing.assert_array_equal(relabelled.allowed["stress"], flipped)
    assert relabelled.pooled() is STUDY.pooled()


def test_what_is_seen_differently_is_pooled_anew() -> None:
    before = STUDY.pooled()
    assert (STUDY.only("pose").pooled() != before).any()
    assert (replace(STUDY, baselines=STUDY.baselines + 1).pooled() != before).any()
    assert STUDY.take(np.array([1])).pooled().shape == (1, STUDY.space.n_pooled)
