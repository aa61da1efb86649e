"""How unsure an ensemble is about a window.

`entropy`, `margin` and `least_confidence` look at the mean distribution (Settles, Active Learning Literature Survey,
2009, section 3.1); `mutual_information` at how far the members disagree (BALD: Houlsby et al., arXiv:1112.5745). All
grow with uncertainty. Probabilities stand on the last axis and sum to 1; leading axes are kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.floating[Any]]

SMALLEST = 1e-12
"""Probabilities are raised to it inside the logarithm, so that 0 log 0 is 0."""


def entropy(probabilities: Probabilities) -> Probabilities:
    """Shannon entropy in nats: [..., C] -> [...], from 0 to log C."""
    logarithms = np.log(np.maximum(probabilities, SMALLEST))
    result: Probabilities = np.maximum(-(probabilities * logarithms).sum(-1), 0)
    return result


def margin(probabilities: Probabilities) -> Probabilities:
    """1 minus the lead of the most probable class over the second: [..., C] -> [...], in 0..1."""
    ordered = np.sort(probabilities, axis=-1)
    result: Probabilities = 1 - (ordered[..., -1] - ordered[..., -2])
    return result


def least_confidence(probabilities: Probabilities) -> Probabilities:
    """1 minus the probability of the most probable class: [..., C] -> [...], in 0..1 - 1/C."""
    result: Probabilities = 1 - probabilities.max(-1)
    return result


def mutual_information(members: Probabilities) -> Probabilities:
    """Between prediction and ensemble member, in nats: [..., K, C] -> [...], from 0 to log C.

    The entropy of the mean minus the mean of the entropies: what the members know but do not agree on, as opposed to
    what all of them find ambiguous.
    """
    result: Probabilities = np.maximum(entropy(members.mean(-2)) - entropy(members).mean(-1), 0)
    return result


def rank(uncertainty: Probabilities) -> NDArray[np.int64]:
    """Most uncertain first: [N] -> int64 [N], indices; equal ones keep their order, what is not a number comes last."""
    return np.argsort(-np.where(np.isnan(uncertainty), -np.inf, uncertainty), kind="stable")
