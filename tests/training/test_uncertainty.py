"""Uncertainty: known values, and bounds that hold for every ensemble."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from training.active_learning.uncertainty import entropy, least_confidence, margin, mutual_information, rank

SURE, EVEN, TILTED = [1.0, 0.0, 0.0, 0.0], [0.25] * 4, [0.5, 0.3, 0.2, 0.0]

ensembles = arrays(np.float64, (3, 5, 4), elements=st.floats(0.0, 1.0)).map(
    lambda raw: (raw + 1e-9) / (raw + 1e-9).sum(-1, keepdims=True)
)


@pytest.mark.parametrize(
    ("measure", "sure", "tilted", "even"),
    [
        (entropy, 0.0, -(0.5 * math.log(0.5) + 0.3 * math.log(0.3) + 0.2 * math.log(0.2)), math.log(4)),
        (margin, 0.0, 0.8, 1.0),
        (least_confidence, 0.0, 0.5, 0.75),
    ],
)
def test_known_values(measure: object, sure: float, tilted: float, even: float) -> None:
    assert callable(measure)
    np.testing.assert_allclose(measure(np.array([SURE, TILTED, EVEN])), [sure, tilted, even], atol=1e-9)


def test_mutual_information_tells_disagreement_from_ambiguity() -> None:
    ambiguous = np.array([[0.5, 0.5], [0.5, 0.5]])
    disagreeing = np.array([[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(mutual_information(np.stack([ambiguous, disagreeing])), [0, math.log(2)], atol=1e-9)


@given(ensembles)
def test_bounds(members: NDArray[np.float64]) -> None:
    mean = members.mean(-2)
    information, total = mutual_information(members), entropy(mean)
    assert information.shape == (3,)
    assert (information >= 0).all()
    assert (information <= total + 1e-9).all()
    assert (total <= math.log(4) + 1e-9).all()
    for measure in (margin(mean), least_confidence(mean)):
        assert ((measure >= -1e-9) & (measure <= 1)).all()


@given(ensembles, st.permutations(range(4)))
def test_the_order_of_classes_does_not_matter(members: NDArray[np.float64], order: list[int]) -> None:
    for measure in (entropy, margin, least_confidence, mutual_information):
        np.testing.assert_allclose(measure(members[..., order]), measure(members), atol=1e-12)


def test_rank_puts_the_most_uncertain_first_and_keeps_the_order_of_equals() -> None:
    assert rank(np.array([0.2, 0.9, np.nan, 0.9, 0.5])).tolist() == [1, 3, 4, 0, 2]
    assert rank(np.zeros(0)).tolist() == []


@given(ensembles)
def test_all_measures_agree_on_the_extremes_of_two_classes(members: NDArray[np.float64]) -> None:
    mean = members.mean(-2)[:, :2]
    mean = mean / mean.sum(-1, keepdims=True)
    spread = np.abs(mean[:, 0] - mean[:, 1])
    if len(set(spread.round(6))) == len(spread):
        for measure in (entropy, margin, least_confidence):
            assert rank(measure(mean)).tolist() == rank(-spread).tolist()
