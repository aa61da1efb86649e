"""Whether a candidate head may be published: a paired comparison on the frozen holdout.

The loss of a window is the Brier score, or what is left of it when the label leaves several classes A possible:

    one class y         sum over c of (p_c - [c = y])**2
    several classes A   2 (1 - sum of p over A)**2, the two-outcome Brier score of "in A" (equal to the above for two
                        classes); proper for what the label says, and silent about what it does not say

Windows are weighted so that every class that occurs counts the same (a label that allows several is split evenly
among them), because a head that always says "calm" must not win on a calm week.

The difference to the opponent is resampled by clusters (people, or minutes of their sessions where people are few: see
`cluster_ids`), which keeps windows that resemble each other together (Cameron, Gelbach and Miller 2008, Review of
Economics and Statistics 90(3)). The interval is the estimate plus and minus the bootstrap's standard error times
Student's t with G - 1 degrees of freedom and sqrt(G / (G - 1)): plain percentiles are far too narrow for few clusters.

Rules:

    first version   the lower end of the 95 % interval of the improvement over the best constant forecast is above 0
    later version   the lower end of the 90 % interval of the improvement over the incumbent is above -MARGIN, and the
                    improvement itself is at least -TOLERANCE

A later version has to be shown not to be worse, which is a one-sided question at 5 % (Schuirmann 1987, Journal of
Pharmacokinetics and Biopharmaceutics 15(6)); a first version, which ends the silence, is held to more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentry_proto.tasks import Task
from training.evaluation.metrics import expected_calibration_error

LEAST_WINDOWS = 20
LEAST_CLUSTERS = 5
LEAST_PEOPLE = 5
"""With fewer people than this, minutes of their sessions are the clusters."""

MARGIN = 0.02
TOLERANCE = 0.005
"""In units of the Brier score, which runs from 0 to 2; a coin that never commits has 0.5 with two classes."""

FIRST_LEVEL, LATER_LEVEL = 0.95, 0.90
"""Of the interval whose lower end decides."""

RESAMPLES = 2_000
_BETWEEN = "\t"

Array = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Verdict:
    """What the gate decided.

    Attributes:
        reason: a sentence for a person, with the figures that decided.
        metrics: plain JSON values. Always `n`, `people`, `clusters`, `opponent`; after a comparison also
            `balanced_accuracy`, `brier`, `ece` of the candidate, `improvement` (of the Brier score) with its
            `interval` and the interval's `level`, and `incumbent` with the incumbent's three figures or None.
    """

    passed: bool
    reason: str
    metrics: dict[str, Any]


def judge(
    task: Task,
    allowed: Flags,
    candidate: Array,
    incumbent: Array | None,
    prior: Array,
    groups: Sequence[str],
    seed: int = 0,
) -> Verdict:
    """Compare a candidate with the incumbent, or with a constant forecast when there is none.

    Args:
        task: what is estimated.
        allowed: bool [N, C], the classes that each holdout label leaves possible.
        candidate: float [N, C], mean class probabilities for the same windows.
        incumbent: likewise, from the head that is live; None when there is none.
        prior: float [C], class shares among the training labels.
        groups: cluster id of each window, from `cluster_ids`.
        seed: of the bootstrap.

    Raises:
        ValueError: if the shapes do not fit.
    """
    shape = (len(groups), len(task.classes))
    others = [array.shape for array in (allowed, candidate, *([] if incumbent is None else [incumbent]))]
    if any(other != shape for other in others) or prior.shape != shape[1:]:
        raise ValueError(f"a holdout of {shape} does not fit {others} and a prior of {prior.shape}")
    telling = allowed.any(1) & ~allowed.all(1)
    allowed, candidate = allowed[telling], candidate[telling]
    clusters = np.array(groups, dtype=object)[telling].tolist()
    metrics = _counts(clusters, incumbent is None)
    missing = _missing(allowed, len(set(clusters)))
    if missing:
        return Verdict(False, f"{task.name}: not enough holdout labels yet, {missing}", metrics)
    if not np.isfinite(candidate).all():
        return Verdict(False, f"{task.name}: the candidate's probabilities are not finite", metrics)
    opponent = _constant(allowed, prior) if incumbent is None else incumbent[telling]
    metrics |= figures(allowed, candidate)
    metrics["incumbent"] = None if incumbent is None else figures(allowed, opponent)
    level = FIRST_LEVEL if incumbent is None else LATER_LEVEL
    gain, low, high = improvement(allowed, candidate, opponent, clusters, seed, level)
    metrics |= {"improvement": gain, "interval": [low, high], "level": level}
    passed = low > 0 if incumbent is None else low > -MARGIN and gain >= -TOLERANCE
    return Verdict(passed, _sentence(task, passed, metrics), metrics)


def cluster_ids(participants: Sequence[str], sessions: Sequence[str], starts: Sequence[float]) -> list[str]:
    """One cluster id per window: its participant, or the minute of a session where there are few participants.

    Args:
        participants: of each window.
        sessions: in which each was recorded; recordings that are replayed fast may overlap in time.
        starts: Unix seconds at which the windows start.
    """
    if len(set(participants)) >= LEAST_PEOPLE:
        return list(participants)
    return [
        f"{person}{_BETWEEN}{session}{_BETWEEN}{int(start // 60)}"
        for person, session, start in zip(participants, sessions, starts, strict=True)
    ]


def class_balance(allowed: Flags, weights: Array, limit: float = math.inf) -> NDArray[np.float64]:
    """Weights under which every class that occurs counts the same; their sum stays that of `weights`.

    Args:
        allowed: bool [N, C]; a window that allows several classes counts for each of them in equal parts.
        weights: float [N], 0 or more.
        limit: no window is raised to more than so many times what it would have without balancing.
    """
    parts = allowed / np.maximum(allowed.sum(1, keepdims=True), 1)
    mass = weights @ parts
    share = np.divide(mass.sum(), mass, out=np.zeros(len(mass)), where=mass > 0) / max(int((mass > 0).sum()), 1)
    balanced = weights * np.minimum(parts @ share, limit)
    total = balanced.sum()
    result: NDArray[np.float64] = balanced * (weights.sum() / total if total > 0 else 1.0)
    return result


def brier_losses(allowed: Flags, probabilities: Array) -> NDArray[np.float64]:
    """The loss of each window, float64 [N] in 0..2; see the module's formulas."""
    hit = np.where(allowed, probabilities, 0.0).sum(1, dtype=np.float64)
    exact = ((probabilities.astype(np.float64) - allowed) ** 2).sum(1)
    losses: NDArray[np.float64] = np.where(allowed.sum(1) == 1, exact, 2 * (1 - hit) ** 2)
    return losses


def figures(allowed: Flags, probabilities: Array) -> dict[str, float]:
    """Class-balanced Brier score and accuracy, and the expected calibration error.

    The most probable class counts as right when the label allows it.
    """
    weights = class_balance(allowed, np.ones(len(allowed)))
    top = probabilities.argmax(1)
    right = allowed[np.arange(len(top)), top]
    labels = np.where(right, top, allowed.argmax(1))
    return {
        "balanced_accuracy": float(weights @ right / weights.sum()),
        "brier": float(weights @ brier_losses(allowed, probabilities) / weights.sum()),
        "ece": expected_calibration_error(probabilities, labels),
    }


def improvement(
    allowed: Flags, candidate: Array, opponent: Array, clusters: Sequence[str], seed: int, level: float
) -> tuple[float, float, float]:
    """How much lower the candidate's class-balanced Brier score is, with its interval over 5 or more clusters."""
    membership = allowed / allowed.sum(1, keepdims=True)
    gains = membership * (brier_losses(allowed, opponent) - brier_losses(allowed, candidate))[:, None]
    names, index = np.unique(np.array(clusters), return_inverse=True)
    count = len(names)
    gain, mass = (
        np.stack([np.bincount(index, column) for column in table.T], 1).astype(np.float64)
        for table in (gains, membership)
    )
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    resampled = _mean_of_classes(drawn @ gain, drawn @ mass)
    error = float(resampled.std()) * math.sqrt(count / (count - 1))
    reach = error * student_quantile(count - 1, (1 + level) / 2)
    estimate = float(_mean_of_classes(gain.sum(0), mass.sum(0)))
    return estimate, estimate - reach, estimate + reach


def _mean_of_classes(gain: Array, mass: Array) -> Array:
    """Mean over the classes that occur of gain per window, [..., C] -> [...].

    Balancing anew in each resample keeps the luck of how often a class was drawn out of the interval.
    """
    occurs = mass > 0
    means = np.where(occurs, gain / np.where(occurs, mass, 1.0), 0.0)
    result: Array = means.sum(-1) / occurs.sum(-1)
    return result


def student_quantile(degrees: int, probability: float) -> float:
    """A point of Student's t, to 0.01 from 4 degrees of freedom on (Abramowitz and Stegun 26.7.5)."""
    z = NormalDist().inv_cdf(probability)
    terms: tuple[float, ...] = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return sum(term / float(degrees**power) for power, term in enumerate(terms))


def _counts(clusters: list[str], first: bool) -> dict[str, Any]:
    return {
        "n": len(clusters),
        "people": len({cluster.partition(_BETWEEN)[0] for cluster in clusters}),
        "clusters": len(set(clusters)),
        "opponent": "constant forecast" if first else "incumbent",
    }


def _missing(allowed: Flags, clusters: int) -> str:
    """What the holdout lacks, in words; empty if it suffices."""
    if len(allowed) < LEAST_WINDOWS:
        return f"{LEAST_WINDOWS - len(allowed)} more windows are needed ({len(allowed)} of {LEAST_WINDOWS})"
    if allowed.all(0).any():
        return "a window of a second class is needed: so far one class would explain all of them"
    if clusters < LEAST_CLUSTERS:
        return f"{LEAST_CLUSTERS - clusters} more people or minutes are needed ({clusters} of {LEAST_CLUSTERS})"
    return ""


def _constant(allowed: Flags, prior: Array) -> NDArray[np.float64]:
    """The harder to beat of two constant forecasts, [N, C]: the prior, and even shares of the classes that occur.

    Under class balancing a skewed prior is easy to beat by saying nothing at all; even shares are not.
    """
    occurs = allowed.any(0)
    forecasts = [np.tile(row, (len(allowed), 1)) for row in (prior / prior.sum(), occurs / occurs.sum())]
    return min(forecasts, key=lambda forecast: figures(allowed, forecast)["brier"])


def _sentence(task: Task, passed: bool, metrics: dict[str, Any]) -> str:
    low, high = metrics["interval"]
    outcome = {
        ("constant forecast", True): "better than a constant forecast",
        ("constant forecast", False): "not shown to be better than a constant forecast",
        ("incumbent", True): "not worse than the incumbent",
        ("incumbent", False): "not shown to be as good as the incumbent",
    }[metrics["opponent"], passed]
    people = "1 person" if metrics["people"] == 1 else f"{metrics['people']} people"
    return (
        f"{task.name}: {outcome}; Brier score {metrics['brier']:.3f}, improvement {metrics['improvement']:+.3f} "
        f"({metrics['level']:.0%} interval {low:+.3f} to {high:+.3f}) on {metrics['n']} windows of {people}"
    )
