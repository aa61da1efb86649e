"""Rates from confidences alone: right for a calibrated head, and a warning for one that is not."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.label_free import disagreement, estimate_label_free
from training.evaluation.rates import AlertCounts, JudgedWindows, TaskCounts, estimate_rates

COUNTS = TaskCounts(1_000, 9_000, 14)


def test_figures_by_hand() -> None:
    free = estimate_label_free(COUNTS, JudgedWindows(np.full(40, 0.75)), JudgedWindows(np.full(200, 0.05)))
    assert free.false_discovery_share.value == pytest.approx(0.25)
    assert free.miss_rate.value == pytest.approx(450 / (450 + 750))
    assert free.false_positive_rate.value == pytest.approx(250 / (250 + 8_550))
    assert free.miss_rate.words.endswith("240 audit windows, judged or not)")


def test_without_audit_windows_there_is_no_number() -> None:
    free = estimate_label_free(COUNTS, JudgedWindows(np.full(3, 0.75)), JudgedWindows(np.full(200, 0.05)))
    assert free.miss_rate.words == "not enough audit windows yet: 7 more alerting windows needed"


def warnings(shift: float, studies: int = 60) -> float:
    """Share of studies in which the labels contradict a head whose logits are off by `shift`."""
    generator, found = np.random.default_rng(1), []
    for _ in range(studies):
        logit = generator.normal(-2, 1.5, 10_000)
        event = generator.random(10_000) < 1 / (1 + np.exp(-logit))
        said = 1 / (1 + np.exp(-logit - shift))
        on = said >= 0.5
        counts = TaskCounts(int(on.sum()), int((~on).sum()), 14)
        rows = [generator.permutation(np.flatnonzero(side))[:150] for side in (on, ~on)]
        alerting, quiet = (JudgedWindows(event[some]) for some in rows)
        free = estimate_label_free(counts, JudgedWindows(said[rows[0]]), JudgedWindows(said[rows[1]]))
        labelled = estimate_rates(counts, alerting, quiet, AlertCounts(0, 0, 0))
        found.append(disagreement(labelled.false_discovery_share, free.false_discovery_share) is not None)
    return float(np.mean(found))


def test_a_warning_for_a_head_that_is_too_sure_and_seldom_for_a_calibrated_one() -> None:
    assert warnings(0.0) <= 0.06
    assert warnings(1.5) >= 0.95


def test_no_warning_before_there_are_labels() -> None:
    free = estimate_label_free(COUNTS, JudgedWindows(np.full(40, 0.75)), JudgedWindows(np.full(200, 0.05)))
    nothing = JudgedWindows(np.zeros(0, bool))
    labelled = estimate_rates(COUNTS, nothing, nothing, AlertCounts(0, 0, 0))
    assert disagreement(labelled.miss_rate, free.miss_rate) is None
